// The files of `stablelm score --save-logits` and `--save-hidden`: written row by row while sequences are computed,
// there only when everything is in them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/huggingface/safetensors_writer.h"
#include "generate/scoring.h"

namespace stablelm {

class ScoreTensors {
 public:
  // Creates the files (room on disk included) whose path is not empty: `logits.S` [T, V] and `hidden.S.L` [T, C], fp32,
  // for every sequence S and, as transformers counts them, L from 0 (embeddings) to the number of layers (after the
  // final norm). Throws Error.
  ScoreTensors(const std::string& logits_path, const std::string& hidden_path, const ModelConfig& config,
               const std::vector<std::vector<int32_t>>& sequences);

  // What the scorer is to call for sequence S. The object must outlive the sinks.
  ScoreSinks SinksOf(size_t sequence);
  void Commit();

 private:
  int64_t vocab_size_, hidden_size_;
  size_t states_;  // hidden states per sequence
  std::unique_ptr<SafetensorsWriter> logits_, hidden_;
};

}  // namespace stablelm
