// Writes the files of `stablelm score --save-logits` and `--save-hidden`, row by row while sequences are computed. The
// files appear only when they are complete.
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
  // Creates each file whose path is not empty and reserves its disk space. Tensors, fp32: `logits.S` [T, V] and
  // `hidden.S.L` [T, C] for every sequence S. As in transformers, L runs from 0 (embeddings) to the number of layers
  // (after the final norm). Throws Error.
  ScoreTensors(const std::string& logits_path, const std::string& hidden_path, const ModelConfig& config,
               const std::vector<std::vector<int32_t>>& sequences);

  // The sinks that the scorer calls for `sequence`. This object must outlive them.
  ScoreSinks SinksOf(size_t sequence);
  void Commit();

 private:
  int64_t vocab_size_, hidden_size_;
  size_t states_;  // hidden states per sequence
  std::unique_ptr<SafetensorsWriter> logits_, hidden_;
};

}  // namespace stablelm
