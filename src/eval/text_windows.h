// A text through a model, window by window: each window is read from its beginning, with nothing before it.
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

// `ids` cut into windows of `length` tokens; the last one may be shorter. Windows of one token are left out: nothing
// predicts it. length >= 2.
std::vector<TextWindow> TextWindows(std::span<const int32_t> ids, int64_t length);
// Tokens that are predicted in the windows: all but the first of each.
uint64_t PredictedTokens(std::span<const TextWindow> windows);

// The run that windows of at most `length` tokens need. With `logits`, those of a chunk exist at once, never those of a
// whole window.
RunShape ShapeOfWindows(int64_t length, bool logits, size_t threads);

struct WindowsPass {
  // Logits [rows, V] that predict window[first + 1 .. first + rows + 1), in order; valid during the call. Empty: no
  // logits are computed.
  std::function<void(TextWindow window, int64_t first, int64_t rows, std::span<const float> logits)> logits = {};
  PassHooks hooks = {};          // of every pass
  Progress* progress = nullptr;  // counts tokens; may be null
};

// Runs every window through the model, buffers and cache made from `run` (ShapeOfWindows). Throws Error as
// Transformer::Forward, and Cancelled.
void RunWindows(const Transformer& model, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                const WindowsPass& pass);

}  // namespace stablelm
