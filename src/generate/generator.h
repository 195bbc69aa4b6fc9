// Generates for one request: computes the prompt in chunks (prefill), then chooses tokens one by one (decoding).
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

// The run shape of one sequence of at most `context` tokens.
RunShape ShapeOfGenerate(int64_t context, DType kv, size_t threads);
// The run shape of a request, for the memory plan. Throws Error when the prompt is empty, has an id that the model does
// not have, or is longer than the context; `where` names the prompt.
RunShape ShapeOfGenerate(const ModelConfig& config, const GenerateRequest& request, DType kv, size_t threads,
                         const std::string& where = "prompt");

// Generates for one request after the other, as in a chat: buffers and cache live as long as the object. The prefix
// that a prompt shares with the previous prompt and reply is not computed again; the result has the same bits. After a
// context shift only the tokens before the dropped ones are reused, so that no reply is approximate because an earlier
// one was.
// One thread at a time; model and pool must outlive it.
class SequenceGenerator {
 public:
  // `run`: ShapeOfGenerate of the longest text, prompt and reply together.
  SequenceGenerator(const Transformer& model, const RunShape& run, ThreadPool& pool);
  SequenceGenerator(SequenceGenerator&&) noexcept;
  SequenceGenerator& operator=(SequenceGenerator&&) noexcept;
  ~SequenceGenerator();

  // The reply ends at run.context, or with request.keep_on_shift the context is shifted there. Any thread may set
  // `cancel`, which ends the reply between two tokens or two layers of the prefill. Throws Error as Generate; the
  // object stays usable.
  GenerateResult Generate(const GenerateRequest& request, const ReplyCallbacks& callbacks = {},
                          const std::atomic<bool>* cancel = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `run`: ShapeOfGenerate of this request. Buffers and cache live for the call. Throws Error as Transformer::Forward,
// Sampler and StoppedText.
GenerateResult Generate(const Transformer& model, const GenerateRequest& request, const RunShape& run, ThreadPool& pool,
                        const ReplyCallbacks& callbacks = {}, const std::atomic<bool>* cancel = nullptr);

}  // namespace stablelm
