// Implements stablelm/request_engine.h: the engine of the floor below on a thread of its own.
#include "stablelm/request_engine.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/error.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "facade/language_model_body.h"
#include "facade/translate.h"
#include "generate/engine.h"
#include "generate/engine_memory.h"

namespace stablelm {
namespace {

// A request that the engine runs: its promise, and what cancels it.
class Running {
 public:
  Running(ChatPrompt prompt, GenerationCallbacks callbacks, std::stop_token stop, Engine& engine)
      : prompt_(std::move(prompt)),
        callbacks_(std::move(callbacks)),
        calls_(CallsOf(callbacks_)),
        stop_(std::move(stop)),
        engine_(engine) {}

  std::future<Generation> Future() { return promise_.get_future(); }
  const GenerateRequest& request() const { return prompt_.request; }

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

  // For a request that was cancelled before it began.
  void EndCancelled() {
    GenerateResult none;
    none.reason = FinishReason::kCancelled;
    Finish(none);
  }
  void End(const EngineResult& result) {
    std::unique_ptr<StopCallback> last;  // destroyed without the lock: a running callback ends first
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      last.swap(cancels_);
    }
    if (failure_ || result.cause) {
      promise_.set_exception(failure_ ? failure_ : ForCaller(result.cause));
      return;
    }
    Finish(result.generated);
  }

 private:
  using StopCallback = std::stop_callback<std::function<void()>>;

  void Finish(const GenerateResult& result) {
    Generation out = GenerationOf(result, prompt_.request);
    out.dropped_messages = prompt_.dropped_messages;
    out.dropped_tokens = prompt_.dropped_tokens;
    promise_.set_value(std::move(out));
  }

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

  static std::exception_ptr ForCaller(const std::exception_ptr& cause) {
    try {
      Guarded(ErrorKind::kUsage, [&] { std::rethrow_exception(cause); });
    } catch (...) {
      return std::current_exception();
    }
    return cause;
  }

  const ChatPrompt prompt_;
  const GenerationCallbacks callbacks_;
  const ReplyCallbacks calls_;
  const std::stop_token stop_;
  Engine& engine_;
  std::atomic<RequestId> id_ = 0;
  std::promise<Generation> promise_;
  std::exception_ptr failure_;
  std::mutex mutex_;  // guards the members below
  bool ended_ = false;
  std::unique_ptr<StopCallback> cancels_;
};

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

  // `make` gives the request; its exceptions go into the future.
  template <typename F>
  std::future<Generation> Submit(const std::stop_token& stop, GenerationCallbacks callbacks, F&& make) {
    try {
      auto running = std::make_shared<Running>(Guarded(ErrorKind::kUsage, make), std::move(callbacks), stop, engine);
      std::future<Generation> future = running->Future();
      if (stop.stop_requested()) {
        running->EndCancelled();
        return future;
      }
      const RequestId id = engine.Submit(
          {.generate = running->request()},
          {.reply = running->Calls(), .on_end = [running](const EngineResult& result) { running->End(result); }});
      running->Begun(id);
      return future;
    } catch (...) {
      std::promise<Generation> failed;
      failed.set_exception(std::current_exception());
      return failed.get_future();
    }
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
  return body_->Submit(settings.cancel, std::move(callbacks), [&] {
    return ChatPrompt{.request = body_->loaded->RequestOf(body_->loaded->RequireTokenizer().Encode(prompt), settings)};
  });
}

std::future<Generation> RequestEngine::Generate(std::span<const int32_t> prompt, const GenerationSettings& settings,
                                                GenerationCallbacks callbacks) {
  return body_->Submit(settings.cancel, std::move(callbacks), [&] {
    return ChatPrompt{.request = body_->loaded->RequestOf({prompt.begin(), prompt.end()}, settings)};
  });
}

std::future<Generation> RequestEngine::Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings,
                                            GenerationCallbacks callbacks) {
  return body_->Submit(settings.generation.cancel, std::move(callbacks),
                       [&] { return body_->loaded->RequestOf(conversation, settings, body_->context); });
}

}  // namespace stablelm
