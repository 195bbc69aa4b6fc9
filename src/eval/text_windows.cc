#include "eval/text_windows.h"

#include <algorithm>

#include "base/error.h"

namespace stablelm {

std::vector<TextWindow> TextWindows(std::span<const int32_t> ids, int64_t length) {
  STABLELM_CHECK(length >= 2);
  std::vector<TextWindow> windows;
  while (ids.size() >= 2) {
    const size_t n = std::min(ids.size(), static_cast<size_t>(length));
    windows.push_back(ids.first(n));
    ids = ids.subspan(n);
  }
  return windows;
}

uint64_t PredictedTokens(std::span<const TextWindow> windows) {
  uint64_t tokens = 0;
  for (const TextWindow& window : windows) tokens += window.size() - 1;
  return tokens;
}

RunShape ShapeOfWindows(int64_t length, bool logits, size_t threads) {
  RunShape run;
  run.context = length;
  run.max_rows = std::min(run.max_rows, length);
  run.max_logit_rows = logits ? run.max_rows : 1;
  run.threads = threads;
  return run;
}

void RunWindows(const Transformer& model, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                const WindowsPass& pass) {
  InferenceSession session(model, run, pool);
  for (const TextWindow& window : windows) {
    if (pass.hooks.leave && pass.hooks.leave()) throw Cancelled();
    // The last token has no known successor.
    const TextWindow tokens = pass.logits ? window.first(window.size() - 1) : window;
    KvSequence sequence(session.cache());
    session.ForwardInChunks(tokens, sequence,
                            {.logits_from = pass.logits ? 0 : static_cast<int64_t>(tokens.size()), .hooks = pass.hooks},
                            [&](int64_t first, int64_t rows, std::span<const float> logits) {
                              pass.logits(window, first, rows, logits);
                              if (pass.progress) pass.progress->Add(static_cast<uint64_t>(rows));
                            });
    if (!pass.logits && pass.progress) pass.progress->Add(window.size());
  }
}

}  // namespace stablelm
