// The predictions of two models over the same windows of a text, one model at a time.
#pragma once

#include <span>
#include <vector>

#include "eval/divergence.h"
#include "eval/logits_file.h"
#include "eval/text_windows.h"

namespace stablelm {

// Writes the logits of every predicted token, PredictedTokens(windows) rows. `pass.logits` is set here.
void SaveLogits(const Transformer& source, const RunShape& run, ThreadPool& pool, std::span<const TextWindow> windows,
                WindowsPass pass, LogitsFile& file);

// The divergence of `other` from the model whose logits are in the file, token by token in their order. The same for
// any number of threads.
std::vector<TokenDivergence> CompareWithSaved(const Transformer& other, const RunShape& run, ThreadPool& pool,
                                              std::span<const TextWindow> windows, WindowsPass pass, LogitsFile& file);

}  // namespace stablelm
