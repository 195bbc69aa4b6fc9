#include "generate/engine.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "generate/cancel_observer.h"
#include "generate/token_ids.h"
#include "ops/softmax.h"

namespace stablelm {
namespace {

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

EngineSettings Checked(const EngineSettings& settings) {
  const auto require = [](bool ok, const char* field, int64_t found, const std::string& expected) {
    if (!ok) {
      throw Error(
          {.where = field, .what = "out of range", .found = std::to_string(found), .expected = expected, .hint = {}});
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
      : spec(std::move(wanted)), callbacks(std::move(calls)), sequence(cache) {}

  int64_t Generated() const { return static_cast<int64_t>(ids.size()) - prompt; }
  // Tokens whose keys and values are not in the cache. A sequence that decodes has one: the newest.
  int64_t Pending() const { return static_cast<int64_t>(ids.size()) - sequence.length(); }
  bool Decodes() const { return Generated() > 0 && Pending() == 1; }

  RequestId id = 0;
  EngineRequest spec;
  EngineCallbacks callbacks;
  EngineResult result;
  std::vector<int32_t> ids;  // prompt and generated
  int64_t prompt = 0;
  int64_t tokens_wanted = 0;                       // generated at most
  FinishReason when_done = FinishReason::kLength;  // the reason when they are
  std::optional<Sampler> sampler;
  std::optional<StoppedText> text;
  KvSequence sequence;
  Clock::time_point submitted = Clock::now(), let_in, first_token;
  bool was_in = false;
  int64_t last_step = 0;  // that computed a row of it
  bool ended = false;
};

// Leaves a forward pass when most of its rows belong to requests that were cancelled.
class Engine::Watch : public ForwardObserver {
 public:
  Watch(Engine& engine, std::span<const Work> batch) : engine_(engine), batch_(batch) {}
  void OnHidden(int64_t, const float*, int64_t rows, int64_t) override {
    if (!engine_.cancels_waiting_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(engine_.mutex_);
    int64_t cancelled = 0;
    for (const Work& work : batch_) {
      if (std::ranges::find(engine_.cancels_, work.request->id) != engine_.cancels_.end()) {
        cancelled += static_cast<int64_t>(work.sequence.tokens.size());
      }
    }
    if (2 * cancelled > rows) throw Cancelled();
  }

 private:
  Engine& engine_;
  std::span<const Work> batch_;
};

RunShape ShapeOfEngine(const EngineSettings& settings, size_t threads) {
  RunShape run;
  run.context = KvCache::PagesFor(settings.cache_positions) * kKvPageTokens;
  run.sequences = 1;  // the positions of all together
  run.kv_type = settings.kv_type;
  run.max_rows = settings.max_batch_rows;
  run.max_logit_rows = std::min(settings.max_running, run.max_rows);
  run.threads = threads;
  return run;
}

Engine::Engine(const Transformer& model, const EngineSettings& settings, ThreadPool& pool)
    : model_(model),
      settings_(Checked(settings)),
      ctx_(model.config(), ShapeOfEngine(settings_, pool.NumThreads()), pool),
      cache_(model.config(), settings_.kv_type, KvCache::PagesFor(settings_.cache_positions)),
      prefixes_(cache_),
      workspace_(model.config().vocab_size) {}

Engine::~Engine() {
  TakeInbox();
  for (Requests* all : {&running_, &waiting_}) {
    for (const auto& request : *all) End(*request, FinishReason::kCancelled);
  }
}

// ------------------------------------------------------------------------------------------------ any thread

RequestId Engine::Submit(EngineRequest request, EngineCallbacks callbacks) {
  auto entry = std::make_unique<Request>(std::move(request), std::move(callbacks), cache_);
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

bool Engine::Step() {
  const auto start = Clock::now();
  TakeInbox();
  EndOverdue();
  DropEnded();
  LetIn();
  std::vector<Work> batch = PlanBatch();
  FindPages(batch);
  if (!batch.empty()) {
    ++stats_.steps;
    for (const Work& work : batch) work.request->last_step = stats_.steps;
    Compute(batch);
    DropEnded();
  }
  stats_.total_s += SecondsSince(start);
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
      if (!request->ended && std::ranges::find(cancels, request->id) != cancels.end()) {
        End(*request, FinishReason::kCancelled);
      }
    }
  }
}

void Engine::Prepare(Request& request) {
  const GenerateRequest& spec = request.spec.generate;
  try {
    CheckTokenIds(spec.prompt, model_.config(), "prompt");
    request.prompt = static_cast<int64_t>(spec.prompt.size());
    const int64_t cache = cache_.n_pages() * kKvPageTokens;
    if (request.prompt > cache) {
      throw Error({.where = "prompt",
                   .what = "longer than the key-value cache of all requests",
                   .found = std::to_string(request.prompt) + " tokens",
                   .expected = "at most " + std::to_string(cache),
                   .hint = "shorten it, or give the cache more positions"});
    }
    if (spec.max_new_tokens && *spec.max_new_tokens < 1) {
      throw Error({.where = "max_new_tokens",
                   .what = "out of range",
                   .found = std::to_string(*spec.max_new_tokens),
                   .expected = "at least 1",
                   .hint = {}});
    }
    if (spec.max_time_s && !(*spec.max_time_s > 0)) {
      throw Error({.where = "max_time",
                   .what = "out of range",
                   .found = std::to_string(*spec.max_time_s),
                   .expected = "more than 0 seconds",
                   .hint = {}});
    }
    // The last token is never computed, so it needs no place in the cache.
    const int64_t room = std::min(model_.config().max_positions, cache + 1) - request.prompt;
    request.tokens_wanted = std::min(room, spec.max_new_tokens.value_or(room));
    request.when_done =
        spec.max_new_tokens && *spec.max_new_tokens <= room ? FinishReason::kLength : FinishReason::kContext;
    request.sampler.emplace(SetupOf(spec), model_.config().vocab_size);
    request.text.emplace(spec.tokenizer, StopSettings{.ids = spec.stop_ids, .strings = spec.stop_strings});
    request.ids.reserve(static_cast<size_t>(request.prompt + request.tokens_wanted));
    request.ids = spec.prompt;
    if (request.tokens_wanted == 0 && !request.spec.prompt_logprobs) End(request, FinishReason::kContext);
  } catch (const std::exception& e) {
    End(request, FinishReason::kCancelled, e.what());
  }
}

void Engine::EndOverdue() {
  for (Requests* all : {&running_, &waiting_}) {
    for (const auto& request : *all) {
      const auto& limit = request->spec.generate.max_time_s;
      if (!request->ended && limit && SecondsSince(request->submitted) > *limit) End(*request, FinishReason::kTime);
    }
  }
}

// Pages for all of its tokens so far and one more, within what it can ever need.
int64_t Engine::PagesWanted(const Request& request) const {
  const int64_t most = request.prompt + std::max<int64_t>(0, request.tokens_wanted - 1);
  return std::min(KvCache::PagesFor(static_cast<int64_t>(request.ids.size())) + 1, KvCache::PagesFor(most));
}

// Whether a prompt that is being computed begins like this one: waiting for it is cheaper than computing it twice.
bool Engine::AnotherComputesItsBeginning(const Request& request) const {
  const int64_t limit = static_cast<int64_t>(request.ids.size()) - 1;
  const int64_t known = prefixes_.MatchedPositions(request.ids, limit);
  return std::ranges::any_of(running_, [&](const auto& other) {
    if (other->Pending() <= 1) return false;
    const auto [a, b] = std::ranges::mismatch(other->ids, request.ids);
    const int64_t common = std::min<int64_t>(a - other->ids.begin(), limit);
    return common / kKvPageTokens * kKvPageTokens > known;
  });
}

void Engine::LetIn() {
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
    if (share) request.sequence = prefixes_.Match(request.ids, static_cast<int64_t>(request.ids.size()) - 1);
    const int64_t needed = PagesWanted(request) - static_cast<int64_t>(request.sequence.pages().size());
    if (cache_.free_pages() < reserved + needed && cache_.free_pages() + prefixes_.Evictable() < reserved + needed) {
      request.sequence.Truncate(0);
      break;  // nobody overtakes it
    }
    reserved += needed;
    stats_.prefix_rows += request.sequence.length();
    if (!request.was_in) {
      request.was_in = true;
      request.let_in = Clock::now();
      request.result.prefix_positions = request.sequence.length();
    }
    const auto place = std::ranges::find_if(running_, [&](const auto& other) { return other->id > request.id; });
    running_.insert(place, std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::vector<Engine::Work> Engine::PlanBatch() {
  std::vector<Request*> order;
  for (const auto& request : running_) {
    if (request->Decodes()) order.push_back(request.get());
  }
  std::ranges::stable_sort(order, {}, &Request::last_step);  // who waited longest comes first
  for (const auto& request : running_) {
    if (!request->Decodes()) order.push_back(request.get());
  }
  std::vector<Work> batch;
  int64_t rows = ctx_.max_rows, logit_rows = ctx_.max_logit_rows;
  // A part of every step is for prompts, so that those who decode cannot keep others out; of single rows, every second.
  const bool prompts = !order.empty() && !order.back()->Decodes();
  const int64_t kept = !prompts ? 0 : ctx_.max_rows > 1 ? std::max<int64_t>(1, ctx_.max_rows / 4) : stats_.steps % 2;
  for (Request* request : order) {
    if (request->Decodes() && (rows <= kept || logit_rows <= std::min<int64_t>(kept, 1))) continue;
    if (rows == 0 || logit_rows == 0) break;
    const int64_t pending = request->Pending();
    int64_t n = std::min(rows, pending);
    // Rows of a prompt whose log-probabilities are still to be found.
    const int64_t start = request->sequence.length();
    const bool scored = request->spec.prompt_logprobs && start + 1 < request->prompt;
    if (scored) n = std::min(n, logit_rows);
    const int64_t logits = scored ? n : (n == pending ? 1 : 0);
    batch.push_back(
        {.request = request,
         .sequence = {.tokens = std::span(request->ids).subspan(static_cast<size_t>(start), static_cast<size_t>(n)),
                      .cache = &request->sequence,
                      .logits_from = n - logits}});
    rows -= n;
    logit_rows -= logits;
  }
  return batch;
}

// Makes the pages that the batch will take free; when there are not enough, the newest requests leave it, and the
// cache.
void Engine::FindPages(std::vector<Work>& batch) {
  const auto needed = [&] {
    int64_t pages = 0;
    for (const Work& work : batch) {
      pages += work.request->sequence.PagesToAppend(static_cast<int64_t>(work.sequence.tokens.size()));
    }
    return pages;
  };
  while (!prefixes_.MakeRoom(needed())) {
    STABLELM_CHECK(running_.size() > 1);  // one request alone always fits: Prepare saw to it
    std::unique_ptr<Request> newest = std::move(running_.back());
    running_.pop_back();
    std::erase_if(batch, [&](const Work& work) { return work.request == newest.get(); });
    if (settings_.share_prefixes) prefixes_.Insert(newest->ids, newest->sequence);
    newest->sequence.Truncate(0);
    ++newest->result.preemptions;
    ++stats_.preemptions;
    const auto place = std::ranges::find_if(waiting_, [&](const auto& other) { return other->id > newest->id; });
    waiting_.insert(place, std::move(newest));
  }
}

void Engine::Compute(std::span<const Work> batch) {
  std::vector<BatchSequence> sequences;
  for (const Work& work : batch) sequences.push_back(work.sequence);
  Watch watch(*this, batch);
  std::span<const float> logits;
  const auto start = Clock::now();
  try {
    logits = model_.Forward(sequences, ctx_, &watch);
    stats_.forward_s += SecondsSince(start);
  } catch (const Cancelled&) {
    stats_.forward_s += SecondsSince(start);
    return;
  } catch (const std::exception& e) {
    stats_.forward_s += SecondsSince(start);
    // Who is at fault fails alone.
    if (batch.size() == 1) return End(*batch[0].request, FinishReason::kCancelled, e.what());
    for (const Work& work : batch) Compute({&work, 1});
    return;
  }
  const auto sampling = Clock::now();
  size_t at = 0;
  for (const Work& work : batch) {
    const size_t size = static_cast<size_t>(work.sequence.NumLogits() * model_.config().vocab_size);
    Deliver(work, logits.subspan(at, size));
    at += size;
  }
  stats_.sampling_s += SecondsSince(sampling);
}

void Engine::Deliver(const Work& work, std::span<const float> logits) {
  Request& request = *work.request;
  const int64_t rows = static_cast<int64_t>(work.sequence.tokens.size());
  stats_.computed_rows += rows;
  if (rows > 1 && settings_.share_prefixes) prefixes_.Insert(request.ids, request.sequence);
  const size_t vocab = static_cast<size_t>(model_.config().vocab_size);
  if (request.spec.prompt_logprobs) {
    const int64_t first = request.sequence.length() - work.sequence.NumLogits();
    for (int64_t i = 0; i < work.sequence.NumLogits(); ++i) {
      const int64_t next = first + i + 1;
      if (next >= request.prompt || next <= static_cast<int64_t>(request.result.prompt_logprobs.size())) continue;
      const auto row = logits.subspan(static_cast<size_t>(i) * vocab, vocab);
      request.result.prompt_logprobs.push_back(
          static_cast<double>(row[static_cast<size_t>(request.ids[static_cast<size_t>(next)])]) -
          LogSumExp(row.data(), vocab));
    }
  }
  if (request.Pending() > 0) return;
  if (request.tokens_wanted == 0) return End(request, FinishReason::kContext);
  try {
    TakeToken(request, logits.last(vocab));
  } catch (const std::exception& e) {
    End(request, FinishReason::kCancelled, e.what());
  }
}

void Engine::TakeToken(Request& request, std::span<const float> logits) {
  GenerateResult& result = request.result.generated;
  const ChosenToken token = request.sampler->Choose(logits, request.ids, request.Generated(), workspace_);
  if (request.Generated() == 0) {
    request.first_token = Clock::now();
    result.prefill_s = std::chrono::duration<double>(request.first_token - request.let_in).count();
  }
  request.ids.push_back(token.id);
  result.ids.push_back(token.id);
  result.logprobs.push_back(token.logprob);
  if (request.spec.generate.top_logprobs > 0) result.top.emplace_back(token.top.begin(), token.top.end());
  if (!token.emptied_by.empty()) ++result.forced_tokens;
  if (request.callbacks.on_token) request.callbacks.on_token(token);
  Show(request, request.text->Add(token.id));
  if (request.text->Cause().Found()) return End(request, FinishReason::kStop);
  if (request.Generated() == request.tokens_wanted) End(request, request.when_done);
}

void Engine::Show(Request& request, const std::string& text) {
  if (text.empty()) return;
  request.result.generated.text += text;
  if (request.callbacks.on_text) request.callbacks.on_text(text);
}

void Engine::End(Request& request, FinishReason reason, const std::string& error) {
  request.ended = true;
  request.result.error = error;
  GenerateResult& result = request.result.generated;
  result.reason = reason;
  if (request.text) {
    try {
      Show(request, request.text->Finish());
    } catch (const std::exception& e) {
      if (error.empty()) request.result.error = e.what();
    }
    result.stop = request.text->Cause();
    if (result.stop.Found() && request.result.error.empty()) result.reason = FinishReason::kStop;
  }
  if (!result.ids.empty()) result.decode_s = SecondsSince(request.first_token);
  if (settings_.share_prefixes) prefixes_.Insert(request.ids, request.sequence);
  request.sequence.Truncate(0);
  if (!request.callbacks.on_end) return;
  try {
    request.callbacks.on_end(request.result);
  } catch (const std::exception&) {  // there is nobody left to tell
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
  stats.free_pages = cache_.free_pages();
  stats.prefix_pages = prefixes_.pages();
  stats.n_pages = cache_.n_pages();
  return stats;
}

void Engine::ForgetPrefixes() { prefixes_.MakeRoom(cache_.n_pages()); }

}  // namespace stablelm
