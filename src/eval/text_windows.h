// Runs a text through a model in independent windows: each starts with an empty context.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "model/inference_session.h"

namespace stablelm {

using TextWindow = std::span<const int32_t>;

// Splits `ids` into windows of `length` tokens; the last one may be shorter. A window of one token is left out, because
// nothing predicts its token. length >= 2.
std::vector<TextWindow> TextWindows(std::span<const int32_t> ids, int64_t length);
// Number of predicted tokens: all but the first of each window.
uint64_t PredictedTokens(std::span<const TextWindow> windows);

// The run shape for windows of at most `length` tokens. With `logits`, only the logits of one chunk are in memory at a
// time, never those of a whole window.
RunShape ShapeOfWindows(int64_t length, bool logits, size_t threads);

struct WindowsPass {
  // Logits [rows, V] that predict window[first + 1 .. first + rows + 1), in order; valid during the call. Empty: no
  // logits are computed.
  std::function<void(TextWindow window, int64_t first, int64_t rows, std::span<const float> logits)> logits = {};
  PassHooks hooks = {};          // used by every pass
  Progress* progress = nullptr;  // counts tokens; may be null
};

// Runs every window through the model. `run` (from ShapeOfWindows) gives the sizes of buffers and cache. Throws Error
// as Transformer::Forward, and Cancelled.
void RunWindows(const Transformer& model, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                const WindowsPass& pass);

}  // namespace stablelm
