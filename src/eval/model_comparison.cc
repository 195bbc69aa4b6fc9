#include "eval/model_comparison.h"

#include "base/aligned_buffer.h"

namespace stablelm {

void SaveLogits(const Transformer& source, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                WindowsPass pass, LogitsFile& file) {
  pass.logits = [&](TextWindow, int64_t, int64_t, std::span<const float> logits) { file.Write(logits); };
  RunWindows(source, run, pool, windows, pass);
}

std::vector<TokenDivergence> CompareWithSaved(const Transformer& other, const RunShape& run, ThreadPool& pool,
                                              std::span<const TextWindow> windows, WindowsPass pass, LogitsFile& file) {
  const auto vocab = static_cast<size_t>(other.config().vocab_size);
  AlignedBuffer<float> saved(static_cast<size_t>(run.max_logit_rows) * vocab, "logits of the source model");
  std::vector<TokenDivergence> tokens;
  pass.logits = [&](TextWindow window, int64_t first, int64_t rows, std::span<const float> logits) {
    const std::span<float> source = saved.span().first(logits.size());
    file.Read(source);
    const size_t begin = tokens.size(), count = static_cast<size_t>(rows);
    tokens.resize(begin + count);
    pool.ForEach(count, [&](size_t r, size_t) {
      tokens[begin + r] = CompareLogits(source.subspan(r * vocab, vocab), logits.subspan(r * vocab, vocab),
                                        window[static_cast<size_t>(first) + r + 1]);
    });
  };
  RunWindows(other, run, pool, windows, pass);
  return tokens;
}

}  // namespace stablelm
