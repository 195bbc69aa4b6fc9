// Many requests at once: each step of the model computes one token for each of them, which costs little more than a
// token for one.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "stablelm/language_model.h"

namespace stablelm {

struct RequestEngineSettings {
  int64_t max_running = 16;  // requests that are computed at the same time; the others wait
  int64_t context = 0;       // tokens of prompt and reply of one request, at most; 0: the model's context
  // Tokens in the cache of all requests together, at least `context`. 0: whole contexts for max_running requests, as
  // far as half of the free memory allows. With fewer, some requests are computed later.
  int64_t cache_tokens = 0;
};

// Runs the requests of any number of threads on a thread of its own. A request's result depends bit for bit only on its
// prompt, settings and seed, not on the other requests; it is that of LanguageModel. Requests with the same beginning
// compute it once. The seconds of a request count from its call (max_time_s).
//
// Threads: any thread, also a callback, may call Generate, Chat and Score at any time; they return at once. Callbacks
// run on the engine's thread: while one runs, all requests wait. Destroying needs the object alone, and not in a
// callback.
//
// The future gives the result, or rethrows what is wrong with the request: ModelError, or what its callback threw. The
// calls themselves throw nothing.
class RequestEngine {
 public:
  // Shares the weights and settings of `model`, which may be destroyed before the engine.
  // Throws ModelError.
  explicit RequestEngine(const LanguageModel& model, const RequestEngineSettings& settings = {});
  // Unfinished requests end as cancelled.
  ~RequestEngine();
  RequestEngine(const RequestEngine&) = delete;
  RequestEngine& operator=(const RequestEngine&) = delete;

  // As LanguageModel::Generate and Chat, except that OverflowPolicy::kShift is refused.
  std::future<Generation> Generate(std::string_view prompt, const GenerationSettings& settings = {},
                                   GenerationCallbacks callbacks = {});
  std::future<Generation> Generate(std::span<const int32_t> prompt, const GenerationSettings& settings = {},
                                   GenerationCallbacks callbacks = {});
  std::future<Generation> Chat(const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {},
                               GenerationCallbacks callbacks = {});

  // As LanguageModel::Score.
  std::future<Scores> Score(std::string_view text, const ScoreSettings& settings = {});
  std::future<Scores> Score(std::span<const int32_t> ids, const ScoreSettings& settings = {});

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace stablelm
