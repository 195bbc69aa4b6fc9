// The steps from logits to a token, and the order in which they come.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "generate/sampling/sampling_options.h"

namespace stablelm {

// In transformers' order, with what it does not have put where it fits.
enum class SamplerStep : uint8_t {
  // Processors: for greedy choice and beams too.
  kPadding,  // ids that are never produced
  kLogitBias,
  kRepetitionPenalty,
  kDry,
  kPresencePenalty,
  kFrequencyPenalty,
  kNoRepeatNgram,
  kBadWords,
  kMinLength,
  kMinNewTokens,
  kConstraint,  // a TokenConstraint (sampler.h)
  kLengthDecay,
  kSuppress,
  kBeginSuppress,
  // Filters: only when a token is drawn.
  kTemperature,  // plain or dynamic
  kTopNSigma,
  kTopK,
  kTopP,
  kMinP,
  kTypicalP,
  kEpsilonCutoff,
  kEtaCutoff,
  kXtc,
  kMirostat,  // instead of kTopNSigma to kXtc
};
std::string_view NameOf(SamplerStep step);  // "padding", "repetition_penalty", "top_k", ...
inline bool IsFilter(SamplerStep step) { return step >= SamplerStep::kTemperature; }

// The steps that the options switch on, in the order that options.sampler_order asks for; kPadding and kConstraint are
// always among them. Orders:
//   "hf"     as above;
//   "llama"  llama.cpp's: repetition, presence, frequency, DRY, top-n-sigma, top-k, typical, top-p, min-p, cutoffs,
//            XTC, temperature last, then mirostat;
//   a list   of steps, "repetition_penalty,top_k,temperature": the penalties, length_decay and the filters in the order
//            given. The steps that only remove given tokens, and the bias, come before all of them.
// Throws Error: an unknown name, one twice, an active step that the list leaves out.
std::vector<SamplerStep> StepsInOrder(const SamplingOptions& options, const std::string& where = {});

}  // namespace stablelm
