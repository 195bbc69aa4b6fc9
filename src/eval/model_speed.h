// How fast a loaded model computes prompts and decodes, and where its time goes.
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

// One thing that was timed, with random tokens: a prompt of `tokens` with the logits of its last row; or `tokens` steps
// of `sequences` sequences side by side, which have `depth` positions each before the first step.
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
  Samples tokens_per_s = {};  // of all sequences together
  // Per second, in the median sample: arithmetic of products and causal attention (a multiply-add counts two); weights,
  // embedding rows and keys and values that have to be read.
  double gflops = 0, gb_per_s = 0;
  // Milliseconds of a prompt or of a step, by operation, from one more pass whose steps are watched.
  std::map<std::string, double> ms = {};
};
// The names of CaseSpeed::ms in the order of a pass.
std::span<const char* const> OperationNames();

class ModelSpeed {
 public:
  // Memory for all of `cases`. The model and the pool outlive it.
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
