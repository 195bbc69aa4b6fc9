// Compares the predictions of two models over the same windows of a text, with one model in memory at a time.
#pragma once

#include <span>
#include <vector>

#include "eval/divergence.h"
#include "eval/logits_file.h"
#include "eval/text_windows.h"

namespace stablelm {

// Writes the logits of every predicted token, PredictedTokens(windows) rows. Overwrites `pass.logits`.
void SaveLogits(const Transformer& source, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                WindowsPass pass, LogitsFile& file);

// The divergence of `other` from the model whose logits are in the file, for each token in order. The same for any
// number of threads.
std::vector<TokenDivergence> CompareWithSaved(const Transformer& other, const RunShape& run, ThreadPool& pool,
                                              std::span<const TextWindow> windows, WindowsPass pass, LogitsFile& file);

}  // namespace stablelm
