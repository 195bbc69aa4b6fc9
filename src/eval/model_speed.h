// Measures prefill and decoding speed of a loaded model, and the time per operation.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/repeated_timing.h"
#include "base/thread_pool.h"
#include "model/inference_session.h"

namespace stablelm {

// One benchmark case, with random tokens: prefill of `tokens` tokens with the logits of the last row; or `tokens`
// decoding steps of `sequences` sequences in one batch, each with `depth` cached tokens before the first step.
struct SpeedCase {
  int64_t tokens = 0;
  int64_t sequences = 0;  // 0: a prompt
  int64_t depth = 0;

  bool Prompt() const { return sequences == 0; }
  int64_t Steps() const { return Prompt() ? 1 : tokens; }
  std::string Name() const;  // "prompt 128", "decode 16"
};

struct CaseSpeed {
  SpeedCase of;
  Samples tokens_per_s = {};  // summed over all sequences
  // Per second, in the median sample. gflops: arithmetic of products and causal attention (a multiply-add counts as
  // two). gb_per_s: weights, embedding rows, keys and values that have to be read.
  double gflops = 0, gb_per_s = 0;
  // Milliseconds per prompt or per step, by operation, from one additional pass with an observer.
  std::map<std::string, double> ms = {};
};
// The keys of CaseSpeed::ms in the order of a pass.
std::span<const char* const> OperationNames();

class ModelSpeed {
 public:
  // Allocates memory for all `cases`. Model and pool must outlive it.
  ModelSpeed(const Transformer& model, DType kv_type, std::span<const SpeedCase> cases, ThreadPool& pool);
  static RunShape ShapeOf(DType kv_type, std::span<const SpeedCase> cases, size_t threads);

  CaseSpeed Measure(const SpeedCase& of, uint64_t samples);

 private:
  class Watch;
  double PromptSeconds(const SpeedCase& of, Watch* watch);
  double DecodeSeconds(const SpeedCase& of, std::vector<KvSequence>& sequences, Watch* watch);
  std::vector<KvSequence> Filled(const SpeedCase& of);
  double Flops(const SpeedCase& of) const;
  double Bytes(const SpeedCase& of) const;

  InferenceSession session_;
  std::vector<int32_t> ids_;  // random
};

}  // namespace stablelm
