// The tokens of a sample in runs of one look, for showing them to people.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

struct SampleRun {
  std::string bytes;     // of the tokens together: a character may lie in several
  bool target = false;   // to be learned
  bool control = false;  // special tokens
};

// Calls `visit` with the longest runs of tokens that are alike in both, in order. targets[ids.size()].
inline void ForEachRun(std::span<const int32_t> ids, std::span<const uint8_t> targets, const Tokenizer& tokenizer,
                       FunctionRef<void(const SampleRun&)> visit) {
  for (size_t begin = 0; begin < ids.size();) {
    const bool target = targets[begin] != 0, control = tokenizer.IsSpecial(ids[begin]);
    size_t end = begin + 1;
    while (end < ids.size() && (targets[end] != 0) == target && tokenizer.IsSpecial(ids[end]) == control) ++end;
    visit({.bytes = tokenizer.DecodeBytes(ids.subspan(begin, end - begin)), .target = target, .control = control});
    begin = end;
  }
}

}  // namespace stablelm
