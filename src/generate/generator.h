// One request, one sequence: a prompt is computed in chunks, then tokens are chosen one by one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "generate/reply.h"
#include "model/memory_plan.h"
#include "model/transformer.h"

namespace stablelm {

// The run of one sequence of at most `context` positions.
RunShape ShapeOfGenerate(int64_t context, DType kv, size_t threads);
// The run that a request needs, for the memory plan. Throws Error when the prompt is empty, has an id that the model
// does not have, or is longer than the context; `where` names the prompt.
RunShape ShapeOfGenerate(const ModelConfig& config, const GenerateRequest& request, DType kv, size_t threads,
                         const std::string& where = "prompt");

// One request after the other, as in a chat: buffers and cache live as long as the object. What a prompt has in common
// with the text before it, prompt and reply, is not computed again; the result has the same bits as without that. (Of a
// text whose context was shifted only what stood before the dropped positions counts: no reply is approximate because
// an earlier one was.)
// One thread at a time; model and pool outlive it.
class SequenceGenerator {
 public:
  // `run` is ShapeOfGenerate of the longest text, prompt and reply together.
  SequenceGenerator(const Transformer& model, const RunShape& run, ThreadPool& pool);
  SequenceGenerator(SequenceGenerator&&) noexcept;
  SequenceGenerator& operator=(SequenceGenerator&&) noexcept;
  ~SequenceGenerator();

  // The reply ends where run.context does, or with request.keep_on_shift makes room there. `cancel`, set by anyone,
  // ends it between two tokens or two layers of the prompt. Throws Error as Generate; the next request may then come as
  // usual.
  GenerateResult Generate(const GenerateRequest& request, const ReplyCallbacks& callbacks = {},
                          const std::atomic<bool>* cancel = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `run` is ShapeOfGenerate of this request. Buffers and cache live for the call. Throws Error as Transformer::Forward,
// Sampler and StoppedText.
GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const ReplyCallbacks& callbacks = {}, const std::atomic<bool>* cancel = nullptr);

}  // namespace stablelm
