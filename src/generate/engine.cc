#include "generate/engine.h"

#include <algorithm>

#include "base/counted.h"
#include "base/error_kinds.h"
#include "base/stopwatch.h"
#include "generate/token_ids.h"

namespace stablelm {
namespace {

EngineSettings Checked(const EngineSettings& settings) {
  const auto require = [](bool ok, const char* field, int64_t found, const std::string& expected) {
    if (!ok) {
      throw Error({.where = field, .what = "out of range", .found = std::to_string(found), .expected = expected});
    }
  };
  require(settings.cache_positions >= 1, "cache_positions", settings.cache_positions, "at least 1");
  require(settings.max_batch_rows >= 1, "max_batch_rows", settings.max_batch_rows, "at least 1");
  require(settings.max_running >= 1, "max_running", settings.max_running, "at least 1");
  return settings;
}

}  // namespace

struct Engine::Request {
  Request(EngineRequest wanted, EngineCallbacks calls, KvCache& cache)
      : spec(std::move(wanted)), callbacks(std::move(calls.reply)), on_end(std::move(calls.on_end)), sequence(cache) {}

  // Number of tokens whose keys and values are not in the cache. A decoding sequence has one, the newest.
  int64_t Pending() const { return static_cast<int64_t>(reply->ids().size()) - sequence.length(); }
  bool Decodes() const { return reply->generated() > 0 && Pending() == 1; }

  RequestId id = 0;
  EngineRequest spec;
  ReplyCallbacks callbacks;
  std::function<void(const EngineResult&)> on_end;
  EngineResult result;
  std::optional<Reply> reply;  // empty when the request was rejected
  KvSequence sequence;
  Clock::time_point submitted = Clock::now(), admitted, first_token;
  bool admitted_before = false;
  int64_t last_step = 0;  // the last step that computed a row of it
  bool ended = false;
};

RunShape ShapeOfEngine(const EngineSettings& settings, size_t threads) {
  RunShape run;
  run.context = KvCache::PagesFor(settings.cache_positions) * kKvPageTokens;
  run.sequences = 1;  // one context for the tokens of all sequences
  run.kv_type = settings.kv_type;
  run.max_rows = settings.max_batch_rows;
  run.max_logit_rows = std::min(std::max(settings.max_running, settings.max_logit_rows), run.max_rows);
  run.threads = threads;
  return run;
}

Engine::Engine(const Transformer& model, const EngineSettings& settings, ThreadPool& pool)
    : settings_(Checked(settings)),
      session_(model, ShapeOfEngine(settings_, pool.NumThreads()), pool),
      prefixes_(session_.cache()),
      workspace_(model.config().vocab_size),
      top_(model.config().vocab_size) {}

Engine::~Engine() {
  TakeInbox();
  for (Requests* all : {&running_, &waiting_}) {
    for (const auto& request : *all) End(*request, FinishReason::kCancelled);
  }
}

// ------------------------------------------------------------------------------------------------ any thread

RequestId Engine::Submit(EngineRequest request, EngineCallbacks callbacks) {
  auto entry = std::make_unique<Request>(std::move(request), std::move(callbacks), session_.cache());
  const std::lock_guard lock(mutex_);
  const RequestId id = next_id_++;
  entry->id = entry->result.request = id;
  inbox_.push_back(std::move(entry));
  wake_.notify_one();
  return id;
}

void Engine::Cancel(RequestId request) {
  const std::lock_guard lock(mutex_);
  cancels_.push_back(request);
  cancels_waiting_.store(true, std::memory_order_relaxed);
  wake_.notify_one();
}

void Engine::Stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  wake_.notify_one();
}

// ------------------------------------------------------------------------------------------------ the steps

void Engine::Run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] {
        return stop_ || !inbox_.empty() || !cancels_.empty() || !running_.empty() || !waiting_.empty();
      });
      if (stop_) {
        stop_ = false;
        return;
      }
    }
    Step();
  }
}

bool Engine::Step(const std::atomic<bool>* leave) {
  const Stopwatch whole(stats_.total_s);
  TakeInbox();
  EndOverdue();
  DropEnded();
  AdmitWaiting();
  std::vector<Work> batch = PlanBatch();
  ReservePages(batch);
  if (!batch.empty()) {
    ++stats_.steps;
    for (const Work& work : batch) work.request->last_step = stats_.steps;
    Compute(batch, leave);
    DropEnded();
  }
  return !batch.empty();
}

void Engine::TakeInbox() {
  Requests arrived;
  std::vector<RequestId> cancels;
  {
    const std::lock_guard lock(mutex_);
    arrived.swap(inbox_);
    cancels.swap(cancels_);
    cancels_waiting_.store(false, std::memory_order_relaxed);
  }
  for (auto& request : arrived) {
    Prepare(*request);
    waiting_.push_back(std::move(request));
  }
  if (cancels.empty()) return;
  for (Requests* all : {&running_, &waiting_}) {
    for (const auto& request : *all) {
      if (std::ranges::find(cancels, request->id) != cancels.end()) End(*request, FinishReason::kCancelled);
    }
  }
}

void Engine::Prepare(Request& request) {
  const GenerateRequest& spec = request.spec.generate;
  try {
    CheckTokenIds(spec.prompt, session_.config(), "prompt");
    if (spec.keep_on_shift) {
      // Shifted keys depend on when the cache was full, so shared prefixes and preemption would change the bits.
      throw Error({.where = "context policy shift",
                   .what = "not available where many requests share a cache",
                   .expected = "error, drop-oldest-turns or stop",
                   .hint = "generate the reply by itself to shift"});
    }
    const int64_t prompt = static_cast<int64_t>(spec.prompt.size()), cache = session_.cache().n_pages() * kKvPageTokens;
    if (prompt > cache) {
      throw PromptTooLong({.where = "prompt",
                           .what = "longer than the key-value cache of all requests",
                           .found = Counted(prompt, "token"),
                           .expected = "at most " + std::to_string(cache),
                           .hint = "shorten it, or give the cache more positions"});
    }
    // The last token is never computed, so it needs no room in the cache.
    const int64_t model = session_.config().max_positions;
    const int64_t context = settings_.context > 0 ? std::min(settings_.context, model) : model;
    const int64_t room = std::min(context, cache + 1) - prompt;
    request.reply.emplace(spec, room, session_.config().vocab_size);
    if (request.reply->limit().tokens == 0 && !request.spec.prompt_logprobs) End(request, FinishReason::kContext);
  } catch (const std::exception& e) {
    End(request, FinishReason::kCancelled, e.what());
  }
}

void Engine::EndOverdue() {
  for (Requests* all : {&running_, &waiting_}) {
    for (const auto& request : *all) {
      const auto& limit = request->spec.generate.max_time_s;
      if (limit && SecondsSince(request->submitted) > *limit) End(*request, FinishReason::kTime);
    }
  }
}

// Pages for its tokens so far plus one page, but no more than its maximum length needs.
int64_t Engine::PagesWanted(const Request& request) const {
  const Reply& reply = *request.reply;
  const int64_t most = reply.prompt() + std::max<int64_t>(0, reply.limit().tokens - 1);
  return std::min(KvCache::PagesFor(static_cast<int64_t>(reply.ids().size())) + 1, KvCache::PagesFor(most));
}

// Whether a running prefill has a prefix in common with this prompt: waiting for it is cheaper than computing the
// prefix twice.
bool Engine::AnotherComputesItsBeginning(const Request& request) const {
  const std::vector<int32_t>& ids = request.reply->ids();
  const int64_t limit = static_cast<int64_t>(ids.size()) - 1;
  const int64_t known = prefixes_.MatchedPositions(ids, limit);
  return std::ranges::any_of(running_, [&](const auto& other) {
    if (other->Pending() <= 1) return false;
    const std::vector<int32_t>& others = other->reply->ids();
    const int64_t common = std::min<int64_t>(std::ranges::mismatch(others, ids).in1 - others.begin(), limit);
    return common / kKvPageTokens * kKvPageTokens > known;
  });
}

void Engine::InsertBySubmission(std::unique_ptr<Request> request, Requests& into) {
  const auto place = std::ranges::find_if(into, [&](const auto& other) { return other->id > request->id; });
  into.insert(place, std::move(request));
}

void Engine::AdmitWaiting() {
  int64_t reserved = 0;
  for (const auto& request : running_) {
    reserved += std::max<int64_t>(0, PagesWanted(*request) - static_cast<int64_t>(request->sequence.pages().size()));
  }
  for (size_t i = 0; i < waiting_.size() && static_cast<int64_t>(running_.size()) < settings_.max_running;) {
    Request& request = *waiting_[i];
    const bool share = settings_.share_prefixes && !request.spec.prompt_logprobs;
    if (share && AnotherComputesItsBeginning(request)) {
      ++i;
      continue;
    }
    if (share) {
      const std::vector<int32_t>& ids = request.reply->ids();
      request.sequence = prefixes_.Match(ids, static_cast<int64_t>(ids.size()) - 1);
    }
    const int64_t needed = PagesWanted(request) - static_cast<int64_t>(request.sequence.pages().size());
    if (session_.cache().free_pages() < reserved + needed &&
        session_.cache().free_pages() + prefixes_.Evictable() < reserved + needed) {
      request.sequence.Truncate(0);
      break;  // first come, first served
    }
    reserved += needed;
    stats_.prefix_rows += request.sequence.length();
    if (!request.admitted_before) {
      request.admitted_before = true;
      request.admitted = Clock::now();
      request.reply->result.known_positions = request.sequence.length();
    }
    InsertBySubmission(std::move(waiting_[i]), running_);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::vector<Engine::Work> Engine::PlanBatch() {
  std::vector<Request*> order;
  for (const auto& request : running_) {
    if (request->Decodes()) order.push_back(request.get());
  }
  std::ranges::stable_sort(order, {}, &Request::last_step);  // the longest waiting first
  for (const auto& request : running_) {
    if (!request->Decodes()) order.push_back(request.get());
  }
  std::vector<Work> batch;
  const int64_t max_rows = session_.context().max_rows;
  int64_t rows = max_rows, logit_rows = session_.context().max_logit_rows;
  // Keep part of every step for prefill, so that decoding requests cannot starve it; with one row per step, every
  // second step.
  const bool prompts = !order.empty() && !order.back()->Decodes();
  const int64_t kept = !prompts ? 0 : max_rows > 1 ? std::max<int64_t>(1, max_rows / 4) : stats_.steps % 2;
  for (Request* request : order) {
    if (request->Decodes() && (rows <= kept || logit_rows <= std::min<int64_t>(kept, 1))) continue;
    if (rows == 0 || logit_rows == 0) break;
    const int64_t pending = request->Pending();
    int64_t n = std::min(rows, pending);
    // Prompt rows whose log-probabilities are requested and not yet computed.
    const int64_t start = request->sequence.length();
    const bool scored = request->spec.prompt_logprobs && start + 1 < request->reply->prompt();
    if (scored) n = std::min(n, logit_rows);
    const int64_t logits = scored ? n : (n == pending ? 1 : 0);
    batch.push_back(
        {.request = request,
         .sequence = {
             .tokens = std::span(request->reply->ids()).subspan(static_cast<size_t>(start), static_cast<size_t>(n)),
             .cache = &request->sequence,
             .logits_from = n - logits}});
    rows -= n;
    logit_rows -= logits;
  }
  return batch;
}

// Evicts cached prefixes, then preempts the newest requests, until the batch's pages are free.
void Engine::ReservePages(std::vector<Work>& batch) {
  const auto needed = [&] {
    int64_t pages = 0;
    for (const Work& work : batch) {
      pages += work.request->sequence.PagesToAppend(static_cast<int64_t>(work.sequence.tokens.size()));
    }
    return pages;
  };
  while (!prefixes_.MakeRoom(needed())) {
    STABLELM_CHECK(running_.size() > 1);  // a single request always fits: Prepare checked it
    std::unique_ptr<Request> newest = std::move(running_.back());
    running_.pop_back();
    std::erase_if(batch, [&](const Work& work) { return work.request == newest.get(); });
    if (settings_.share_prefixes) prefixes_.Insert(newest->reply->ids(), newest->sequence);
    newest->sequence.Truncate(0);
    ++newest->result.preemptions;
    ++stats_.preemptions;
    InsertBySubmission(std::move(newest), waiting_);
  }
}

bool Engine::ShouldLeave(std::span<const Work> batch, const std::atomic<bool>* leave) {
  if (leave && leave->load(std::memory_order_relaxed)) return true;
  if (!cancels_waiting_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);
  int64_t rows = 0, cancelled = 0;
  for (const Work& work : batch) {
    const int64_t n = static_cast<int64_t>(work.sequence.tokens.size());
    rows += n;
    if (std::ranges::find(cancels_, work.request->id) != cancels_.end()) cancelled += n;
  }
  return 2 * cancelled > rows;
}

void Engine::Compute(std::span<const Work> batch, const std::atomic<bool>* leave) {
  std::vector<BatchSequence> sequences;
  for (const Work& work : batch) sequences.push_back(work.sequence);
  std::span<const float> logits;
  try {
    const Stopwatch forward(stats_.forward_s);
    logits = session_.Forward(sequences, {.leave = [&] { return ShouldLeave(batch, leave); }});
  } catch (const Cancelled&) {
    return;
  } catch (const std::exception& e) {
    // Retry the requests one by one, so that only the faulty one fails.
    if (batch.size() == 1) return End(*batch[0].request, FinishReason::kCancelled, e.what());
    for (const Work& work : batch) Compute({&work, 1}, leave);
    return;
  }
  const Stopwatch sampling(stats_.sampling_s);
  size_t at = 0;
  for (const Work& work : batch) {
    const size_t size = static_cast<size_t>(work.sequence.NumLogits() * session_.config().vocab_size);
    Deliver(work, logits.subspan(at, size));
    at += size;
  }
}

void Engine::Deliver(const Work& work, std::span<const float> logits) {
  Request& request = *work.request;
  Reply& reply = *request.reply;
  const int64_t rows = static_cast<int64_t>(work.sequence.tokens.size());
  stats_.computed_rows += rows;
  if (rows > 1 && settings_.share_prefixes) prefixes_.Insert(reply.ids(), request.sequence);
  const size_t vocab = static_cast<size_t>(session_.config().vocab_size);
  if (request.spec.prompt_logprobs) {
    const GenerateRequest& spec = request.spec.generate;
    const TopWanted top = {.finder = &top_, .wanted = spec.top_logprobs, .known_ids = spec.known_ids};
    AddPromptLogprobs(std::span(reply.ids()).first(static_cast<size_t>(reply.prompt())),
                      request.sequence.length() - work.sequence.NumLogits(), logits, session_.config().vocab_size, top,
                      request.result.prompt);
  }
  if (request.Pending() > 0) return;
  if (reply.limit().tokens == 0) return End(request, FinishReason::kContext);
  if (reply.generated() == 0) request.first_token = Clock::now();
  try {
    reply.Take(logits.last(vocab), workspace_, request.callbacks);
    if (reply.ended()) End(request, reply.result.reason);
  } catch (const std::exception& e) {
    End(request, FinishReason::kCancelled, e.what());
  }
}

void Engine::End(Request& request, FinishReason reason, const std::string& error) {
  if (request.ended) return;
  request.ended = true;
  EngineResult& result = request.result;
  result.error = error;
  if (!error.empty()) result.cause = std::current_exception();
  if (request.reply) {
    Reply& reply = *request.reply;
    try {
      reply.End(reason, request.callbacks);
    } catch (const std::exception& e) {
      if (error.empty()) {
        result.error = e.what();
        result.cause = std::current_exception();
      }
    }
    if (settings_.share_prefixes) prefixes_.Insert(reply.ids(), request.sequence);
    request.sequence.Truncate(0);
    result.generated = std::move(reply.result);
    if (!result.generated.ids.empty()) {
      result.generated.prefill_s = SecondsBetween(request.admitted, request.first_token);
      result.generated.decode_s = SecondsSince(request.first_token);
    }
  }
  if (!result.error.empty()) result.generated.reason = FinishReason::kCancelled;
  if (!request.on_end) return;
  try {
    request.on_end(result);
  } catch (const std::exception&) {  // nobody is left to report it to
  }
}

void Engine::DropEnded() {
  for (Requests* all : {&running_, &waiting_}) {
    std::erase_if(*all, [](const auto& request) { return request->ended; });
  }
}

EngineStats Engine::Stats() const {
  EngineStats stats = stats_;
  stats.running = static_cast<int64_t>(running_.size());
  stats.waiting = static_cast<int64_t>(waiting_.size());
  stats.free_pages = session_.cache().free_pages();
  stats.prefix_pages = prefixes_.pages();
  stats.n_pages = session_.cache().n_pages();
  return stats;
}

void Engine::ForgetPrefixes() { prefixes_.MakeRoom(session_.cache().n_pages()); }

}  // namespace stablelm
