// Implements stablelm/request_engine.h: the engine of the floor below on a thread of its own.
#include "stablelm/request_engine.h"

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/counted.h"
#include "base/error_kinds.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "facade/language_model_body.h"
#include "facade/translate.h"
#include "generate/engine.h"
#include "generate/engine_memory.h"
#include "generate/token_ids.h"
#include "model/pass_hooks.h"

namespace stablelm {
namespace {

// A request that the engine runs: what it becomes, and what cancels it.
template <typename Result>
class Running {
 public:
  using ResultOf = std::function<Result(const EngineResult&)>;  // throws for a request without a result

  Running(GenerationCallbacks callbacks, ResultOf result_of, std::stop_token stop, Engine& engine)
      : callbacks_(std::move(callbacks)),
        calls_(CallsOf(callbacks_)),
        result_of_(std::move(result_of)),
        stop_(std::move(stop)),
        engine_(engine) {}

  std::future<Result> Future() { return promise_.get_future(); }

  // After Engine::Submit, which may be after the request's end.
  void Begun(RequestId id) {
    id_ = id;
    id_.notify_all();
    const std::lock_guard lock(mutex_);
    if (stop_.stop_possible() && !ended_) cancels_ = std::make_unique<StopCallback>(stop_, [this] { Cancel(); });
  }

  ReplyCallbacks Calls() {
    ReplyCallbacks calls;
    if (calls_.on_token || stop_.stop_possible()) {
      calls.on_token = [this](const ChosenToken& token) {
        if (calls_.on_token) Keep([&] { calls_.on_token(token); });
        CancelIfStopped();
      };
    }
    if (calls_.on_text) {
      calls.on_text = [this](std::string_view text) {
        Keep([&] { calls_.on_text(text); });
        CancelIfStopped();
      };
    }
    return calls;
  }

  void End(const EngineResult& result) {
    std::unique_ptr<StopCallback> last;  // destroyed without the lock: a running callback ends first
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      last.swap(cancels_);
    }
    try {
      promise_.set_value(Guarded(ErrorKind::kUsage, [&] {
        if (failure_) std::rethrow_exception(failure_);
        if (result.cause) std::rethrow_exception(result.cause);
        return result_of_(result);
      }));
    } catch (...) {
      promise_.set_exception(std::current_exception());
    }
  }

 private:
  using StopCallback = std::stop_callback<std::function<void()>>;

  // Before the next token, whether or not Begun has been called.
  void CancelIfStopped() {
    if (stop_.stop_requested()) Cancel();
  }
  void Cancel() {
    id_.wait(0);  // Submit is about to return it
    engine_.Cancel(id_);
  }

  // Keeps what a callback throws, whatever it is; the engine gets an exception that it knows.
  template <typename F>
  void Keep(F&& call) {
    try {
      call();
    } catch (...) {
      failure_ = std::current_exception();
      throw Error({.what = "a callback of the request failed"});
    }
  }

  const GenerationCallbacks callbacks_;
  const ReplyCallbacks calls_;
  const ResultOf result_of_;
  const std::stop_token stop_;
  Engine& engine_;
  std::atomic<RequestId> id_ = 0;
  std::promise<Result> promise_;
  std::exception_ptr failure_;
  std::mutex mutex_;  // guards the members below
  bool ended_ = false;
  std::unique_ptr<StopCallback> cancels_;
};

// Limits a request to `context` tokens, as a SequenceGenerator of that context does. Returns whether the context is
// what limits it. Throws Error when the prompt does not fit.
bool LimitToContext(int64_t context, GenerateRequest& request) {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size()), room = context - prompt;
  if (room < 0) {
    throw PromptTooLong({.where = "prompt",
                         .what = "longer than the engine's context",
                         .found = Counted(prompt, "token"),
                         .expected = "at most " + std::to_string(context),
                         .hint = "shorten it, or raise RequestEngineSettings::context"});
  }
  if (request.max_new_tokens.value_or(room + 1) <= room) return false;
  request.max_new_tokens = room;
  return true;
}

Generation ReplyTo(const EngineResult& result, const ChatPrompt& prompt, bool limited_by_context) {
  Generation out = GenerationOf(result.generated, prompt.request);
  if (limited_by_context && out.reason == EndReason::kLength) out.reason = EndReason::kContext;
  out.dropped_messages = prompt.dropped_messages;
  out.dropped_tokens = prompt.dropped_tokens;
  return out;
}

constexpr int64_t kScoredRows = 64;  // prompt rows scored per step: 13 MB of logits for a vocabulary of 50,688

EngineSettings SettingsFor(const LoadedModel& loaded, const RequestEngineSettings& settings) {
  const int64_t most = loaded.model.config().max_positions;
  const auto require = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return;
    throw UsageError({.where = "RequestEngineSettings::" + std::string(name),
                      .what = "out of range",
                      .found = std::to_string(value),
                      .expected = std::to_string(low) + " to " + std::to_string(high)});
  };
  require("max_running", settings.max_running, 1, 4096);
  require("context", settings.context, 0, most);
  const int64_t longest = settings.context == 0 ? most : settings.context;
  EngineSettings out;
  out.kv_type = loaded.cache;
  out.max_running = settings.max_running;
  out.max_logit_rows = kScoredRows;
  out.max_batch_rows = std::max(out.max_batch_rows, out.max_running);
  if (settings.cache_tokens != 0) {
    require("cache_tokens", settings.cache_tokens, longest, int64_t{1} << 40);
    out.cache_positions = settings.cache_tokens;
  } else {
    out.cache_positions =
        CachePositionsFor(loaded.model.config(), {}, out, longest, loaded.threads, AvailableMemory().bytes);
  }
  loaded.RequireRoom(ShapeOfEngine(out, loaded.threads));
  return out;
}

}  // namespace

struct [[gnu::visibility("hidden")]] RequestEngine::Body {
  Body(std::shared_ptr<const LoadedModel> shared, const RequestEngineSettings& settings)
      : loaded(std::move(shared)),
        context(settings.context == 0 ? loaded->model.config().max_positions : settings.context),
        pool(loaded->threads),
        engine(loaded->model, SettingsFor(*loaded, settings), pool),
        thread([this] { engine.Run(); }) {}
  ~Body() {
    engine.Stop();
    thread.join();
  }

  // A request, and what its result becomes.
  template <typename Result>
  struct Made {
    EngineRequest request;
    std::optional<FinishReason> ends = {};  // before it begins
    typename Running<Result>::ResultOf result_of;
  };

  // `make` gives a Made<Result>; its exceptions go into the future.
  template <typename Result, typename F>
  std::future<Result> Submit(const std::stop_token& stop, GenerationCallbacks callbacks, F&& make) {
    try {
      Made<Result> made = Guarded(ErrorKind::kUsage, make);
      auto running = std::make_shared<Running<Result>>(std::move(callbacks), std::move(made.result_of), stop, engine);
      std::future<Result> future = running->Future();
      if (stop.stop_requested()) made.ends = FinishReason::kCancelled;
      if (made.ends) {
        EngineResult none;
        none.generated.reason = *made.ends;
        running->End(none);
        return future;
      }
      running->Begun(engine.Submit(
          std::move(made.request),
          {.reply = running->Calls(), .on_end = [running](const EngineResult& result) { running->End(result); }}));
      return future;
    } catch (...) {
      std::promise<Result> failed;
      failed.set_exception(std::current_exception());
      return failed.get_future();
    }
  }

  // `make` gives a ChatPrompt.
  template <typename F>
  std::future<Generation> Generate(const std::stop_token& stop, GenerationCallbacks callbacks, F&& make) {
    return Submit<Generation>(stop, std::move(callbacks), [&] {
      const auto prompt = std::make_shared<ChatPrompt>(make());
      CheckTokenIds(prompt->request.prompt, loaded->model.config(), "prompt");
      const bool limited = LimitToContext(context, prompt->request);
      return Made<Generation>{
          .request = {.generate = prompt->request},
          .ends = prompt->request.max_new_tokens == 0 ? std::optional(FinishReason::kContext) : std::nullopt,
          .result_of = [prompt, limited](const EngineResult& result) { return ReplyTo(result, *prompt, limited); }};
    });
  }

  // `make` gives the ids.
  template <typename F>
  std::future<Scores> Score(const ScoreSettings& settings, F&& make) {
    return Submit<Scores>(settings.cancel, {}, [&] {
      loaded->CheckTopLogprobs(settings.top_logprobs);
      EngineRequest request;
      request.prompt_logprobs = true;
      request.generate.prompt = make();
      request.generate.max_new_tokens = 1;  // the engine has no shorter request
      request.generate.top_logprobs = settings.top_logprobs;
      request.generate.known_ids = loaded->KnownIds();
      return Made<Scores>{.request = std::move(request), .result_of = [](const EngineResult& result) {
                            if (result.generated.reason == FinishReason::kCancelled) throw Cancelled();
                            return Scores{.logprobs = result.prompt.logprobs, .top = AlternativesOf(result.prompt.top)};
                          }};
    });
  }

  std::shared_ptr<const LoadedModel> loaded;
  int64_t context;
  ThreadPool pool;
  Engine engine;
  std::thread thread;
};

RequestEngine::RequestEngine(const LanguageModel& model, const RequestEngineSettings& settings)
    : body_(Guarded(ErrorKind::kUsage, [&] { return std::make_unique<Body>(model.body_->loaded, settings); })) {}
RequestEngine::~RequestEngine() = default;

std::future<Generation> RequestEngine::Generate(std::string_view prompt, const GenerationSettings& settings,
                                                GenerationCallbacks callbacks) {
  return body_->Generate(settings.cancel, std::move(callbacks), [&] {
    return ChatPrompt{.request = body_->loaded->RequestOf(body_->loaded->RequireTokenizer().Encode(prompt), settings)};
  });
}

std::future<Generation> RequestEngine::Generate(std::span<const int32_t> prompt, const GenerationSettings& settings,
                                                GenerationCallbacks callbacks) {
  return body_->Generate(settings.cancel, std::move(callbacks), [&] {
    return ChatPrompt{.request = body_->loaded->RequestOf({prompt.begin(), prompt.end()}, settings)};
  });
}

std::future<Generation> RequestEngine::Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings,
                                            GenerationCallbacks callbacks) {
  return body_->Generate(settings.generation.cancel, std::move(callbacks),
                         [&] { return body_->loaded->RequestOf(conversation, settings, body_->context); });
}

std::future<Scores> RequestEngine::Score(std::string_view text, const ScoreSettings& settings) {
  return body_->Score(settings, [&] { return body_->loaded->RequireTokenizer().Encode(text); });
}

std::future<Scores> RequestEngine::Score(std::span<const int32_t> ids, const ScoreSettings& settings) {
  return body_->Score(settings, [&] { return std::vector<int32_t>(ids.begin(), ids.end()); });
}

}  // namespace stablelm
