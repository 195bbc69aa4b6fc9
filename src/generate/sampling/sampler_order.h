// The steps from logits to a token, and their order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "generate/sampling/sampling_options.h"

namespace stablelm {

// In transformers' order; steps that transformers lacks are inserted where they fit.
enum class SamplerStep : uint8_t {
  // Processors: also for greedy decoding and beam search.
  kPadding,  // ids that are never chosen
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
  // Filters: only for sampling.
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

// The steps that the options enable, in the order of options.sampler_order; always includes kPadding and kConstraint.
// Orders:
//   "hf"     as above;
//   "llama"  llama.cpp's: repetition, presence, frequency, DRY, top-n-sigma, top-k, typical, top-p, min-p, cutoffs,
//            XTC, temperature last, then mirostat;
//   a list   of steps, "repetition_penalty,top_k,temperature": the penalties, length_decay and the filters in the order
//            given. The steps that only remove given tokens, and the bias, come before all of them.
//            Throws Error for an unknown name, a duplicate, and an enabled step that the list omits.
std::vector<SamplerStep> StepsInOrder(const SamplingOptions& options, const std::string& where = {});

}  // namespace stablelm
