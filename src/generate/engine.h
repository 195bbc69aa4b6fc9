// Continuous batching: runs many requests through one model. Each step computes one ragged batch of prefill chunks and
// decoded tokens.
//
// Reproducible: the result of a request depends bit for bit only on its prompt, parameters and seed, not on other
// requests, chunking, cached prefixes or preemption. This follows from the guarantee of model/transformer.h.
//
// Scheduling: each step has a budget of rows. Decoding sequences come first, one row each; when there are more of them
// than rows they take turns, the longest waiting first. The remaining rows go to prefill, in order of submission; while
// prompts are pending they get at least a quarter of the rows. A request is admitted when the cache has pages for its
// whole prompt and one more. When pages run out, cached prefixes are evicted first (model/prefix_cache.h). Then the
// newest request is preempted: it releases its pages and is recomputed later, including its generated tokens.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
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
  int64_t cache_positions = 0;   // tokens in the cache, all sequences together; at least 1, rounded up to whole pages
  DType kv_type = DType::kF32;   // kF32, kF16 or kI8
  int64_t max_batch_rows = 256;  // tokens that one step computes
  int64_t max_running = 16;      // sequences in the cache at the same time
  int64_t max_logit_rows = 0;    // rows with logits per step, at least max_running; more speed up prompt_logprobs
  bool share_prefixes = true;
  int64_t context = 0;  // most tokens of one sequence, prompt and reply together; 0: the model's context
};

// The run shape of an engine, for the memory plan.
RunShape ShapeOfEngine(const EngineSettings& settings, size_t threads);

struct EngineRequest {
  GenerateRequest generate;      // max_time_s counts from submission
  bool prompt_logprobs = false;  // score prompt[1..], each with top_logprobs alternatives; uses no cached prefix
};

struct EngineResult {
  RequestId request = 0;
  GenerateResult generated;  // partial when the request failed or was cancelled
  PromptLogprobs prompt;     // when requested
  int64_t preemptions = 0;   // how often it was preempted
  std::string error;         // why the request failed; else empty
  std::exception_ptr cause;  // the exception that has this text
};

// Called on the thread that steps the engine. When a callback throws, its request fails.
struct EngineCallbacks {
  ReplyCallbacks reply = {};
  std::function<void(const EngineResult&)> on_end = {};  // once for every request
};

// Totals since the engine was made, and what is there now: for the server's metrics; the benchmark reads some.
struct EngineStats {
  int64_t steps = 0;
  int64_t computed_rows = 0;
  int64_t prefix_rows = 0;  // taken from cached prefixes instead of computed
  int64_t preemptions = 0;
  int64_t running = 0, waiting = 0;
  int64_t free_pages = 0, prefix_pages = 0, n_pages = 0;
  double forward_s = 0, sampling_s = 0, total_s = 0;  // total_s: all of Step
};

class Engine {
 public:
  // Throws Error when memory cannot be allocated. Model and pool must outlive the engine.
  Engine(const Transformer& model, const EngineSettings& settings, ThreadPool& pool);
  // Unfinished requests end as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // From any thread, also from callbacks. Invalid parameters make the request fail, reported by its on_end.
  RequestId Submit(EngineRequest request, EngineCallbacks callbacks);
  // From any thread. The request ends as cancelled before the next step; a long prefill stops between two layers.
  // Cancelling a finished request does nothing.
  void Cancel(RequestId request);
  // For the server. From any thread: Run returns after the current step.
  void Stop();

  // Call the functions below from one thread at a time.
  // Computes one batch. Returns false when there was nothing to do. Setting `leave` cancels the pass between two layers
  // and changes nothing.
  bool Step(const std::atomic<bool>* leave = nullptr);
  // For the server. Steps until Stop; blocks while there are no requests.
  void Run();
  EngineStats Stats() const;
  // For the server. Evicts all cached prefixes.
  void ForgetPrefixes();

 private:
  struct Request;
  using Requests = std::vector<std::unique_ptr<Request>>;
  struct Work {  // the rows of one request in a batch
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
  // Whether to cancel a forward pass: `leave` is set, or most of its rows belong to cancelled requests.
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

  mutable std::mutex mutex_;  // guards the members below
  std::condition_variable wake_;
  Requests inbox_;
  std::vector<RequestId> cancels_;
  RequestId next_id_ = 1;
  bool stop_ = false;
  std::atomic<bool> cancels_waiting_ = false;  // cancels_ is not empty
};

}  // namespace stablelm
