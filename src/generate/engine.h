// Many requests at once through one model: every step computes one ragged batch of prompt chunks and next tokens.
//
// Reproducible: what a request gives depends on its prompt, parameters and seed alone, bit for bit, whatever else runs,
// however its prompt is cut, whether a part of it was known from an earlier prompt, and whether it was put back to make
// room. This rests on the promise of model/transformer.h.
//
// Scheduling: each step has room for a number of rows. Sequences that decode come first, one row each; when there are
// more of them than rows they take turns, the one that waited longest first. What is left, and a quarter at least while
// there are any, goes to prompts, in the order of their submission. A request is let in when the cache has pages for
// its whole prompt and one more; when pages run out, those of finished texts go first (model/prefix_cache.h), then the
// newest request gives back its own and is computed again later, its generated tokens with it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "generate/prompt_logprobs.h"
#include "generate/reply.h"
#include "model/inference_session.h"
#include "model/prefix_cache.h"

namespace stablelm {

using RequestId = uint64_t;

struct EngineSettings {
  int64_t cache_positions = 0;   // of all sequences together, at least 1; rounded up to whole pages
  DType kv_type = DType::kF32;   // kF32, kF16 or kI8
  int64_t max_batch_rows = 256;  // tokens that one step computes
  int64_t max_running = 16;      // sequences that are in the cache at the same time
  int64_t max_logit_rows = 0;    // rows of a step whose logits are computed, at least max_running: more make prompts
                                 // whose log-probabilities are wanted faster
  bool share_prefixes = true;
};

// The memory of an engine, for the plan.
RunShape ShapeOfEngine(const EngineSettings& settings, size_t threads);

struct EngineRequest {
  GenerateRequest generate;      // max_time_s counts from the submission here
  bool prompt_logprobs = false;  // of prompt[1..], with top_logprobs the most likely ones at each of these places
                                 // too; such a prompt is computed as a whole
};

struct EngineResult {
  RequestId request = 0;
  GenerateResult generated;  // what there is, when the request failed or was cancelled
  PromptLogprobs prompt;     // when wanted, with the prompt's top_logprobs
  int64_t preemptions = 0;   // times that it gave its pages back
  std::string error;         // not empty: the request failed, and why
};

// Called on the thread that steps the engine. A callback that throws makes its own request fail.
struct EngineCallbacks {
  ReplyCallbacks reply = {};
  std::function<void(const EngineResult&)> on_end = {};  // once for every request
};

struct EngineStats {
  int64_t steps = 0;
  int64_t computed_rows = 0;
  int64_t prefix_rows = 0;  // not computed because they were known
  int64_t preemptions = 0;
  int64_t running = 0, waiting = 0;
  int64_t free_pages = 0, prefix_pages = 0, n_pages = 0;
  double forward_s = 0, sampling_s = 0, total_s = 0;  // total: all of Step
};

class Engine {
 public:
  // Throws Error when the memory is not there. Model and pool outlive the engine.
  Engine(const Transformer& model, const EngineSettings& settings, ThreadPool& pool);
  // Requests that are still there end as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // From any thread, callbacks included. Bad parameters are the request's failure, reported by its on_end.
  RequestId Submit(EngineRequest request, EngineCallbacks callbacks);
  // From any thread. The request ends as cancelled before the next step; a long prompt is left between two layers. An
  // id that has ended is no error.
  void Cancel(RequestId request);
  // From any thread: Run returns after the step at hand.
  void Stop();

  // The rest is for one thread at a time.
  // Computes one batch. Returns false when there was nothing to do. `leave`, when somebody sets it, ends the pass
  // between two layers with nothing changed.
  bool Step(const std::atomic<bool>* leave = nullptr);
  // Steps until Stop, waiting for requests when there are none.
  void Run();
  EngineStats Stats() const;
  // Forgets the pages of finished texts.
  void ForgetPrefixes();

 private:
  struct Request;
  using Requests = std::vector<std::unique_ptr<Request>>;
  struct Work {  // rows of one request in a batch
    Request* request = nullptr;
    BatchSequence sequence = {};
  };

  void TakeInbox();
  void Prepare(Request& request);
  void EndOverdue();
  void AdmitWaiting();
  static void InsertBySubmission(std::unique_ptr<Request> request, Requests& into);
  bool AnotherComputesItsBeginning(const Request& request) const;
  int64_t PagesWanted(const Request& request) const;
  std::vector<Work> PlanBatch();
  void ReservePages(std::vector<Work>& batch);
  // Whether to leave a forward pass: `leave` is set, or most of its rows belong to requests that were cancelled.
  bool ShouldLeave(std::span<const Work> batch, const std::atomic<bool>* leave);
  void Compute(std::span<const Work> batch, const std::atomic<bool>* leave);
  void Deliver(const Work& work, std::span<const float> logits);
  void End(Request& request, FinishReason reason, const std::string& error = {});
  void DropEnded();

  EngineSettings settings_;
  InferenceSession session_;
  PrefixCache prefixes_;
  SamplerWorkspace workspace_;
  TopLogprobs top_;
  Requests running_;  // by submission
  Requests waiting_;  // by submission
  EngineStats stats_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Requests inbox_;
  std::vector<RequestId> cancels_;
  RequestId next_id_ = 1;
  bool stop_ = false;
  std::atomic<bool> cancels_waiting_ = false;  // cancels_ is not empty
};

}  // namespace stablelm
