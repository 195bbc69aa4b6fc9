// Validation loss: over the validation split of the prepared data, on the weights in training.
//
// Uses the buffers of the training pass, so it takes no memory of its own but the ids of a batch. A token's loss has
// the bits that `score` gives it with the weights of that moment, and the sums do not depend on threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "dataset/manifest.h"
#include "dataset/token_shards.h"
#include "model/pass_hooks.h"
#include "train/gradient_pass.h"
#include "train/pack_batches.h"

namespace stablelm {

struct SourceLoss {
  std::string source;
  double sum = 0;  // of the losses of its tokens
  int64_t loss_tokens = 0;
  double Mean() const { return loss_tokens > 0 ? sum / static_cast<double>(loss_tokens) : 0; }
};

struct ValidationResult {
  std::vector<SourceLoss> sources;  // those with loss tokens, in the manifest's order
  // Over all loss tokens: the sources weighted by their tokens.
  int64_t LossTokens() const;
  double Mean() const;
};

// {"event": "validation", "loss": ..., "loss_tokens": ..., "sources": {NAME: {"loss": ..., "loss_tokens": ...}}}
JsonValue ValidationJson(const ValidationResult& result);

// Immutable.
class Validation {
 public:
  // None when the data have no validation split, or one without targets. `rows`: packs that are computed at once.
  // Throws Error for damaged shards.
  static std::optional<Validation> Open(const std::filesystem::path& data, const Manifest& manifest, uint64_t rows);

  uint64_t packs() const { return shards_.packs(); }
  int64_t vocab_size() const { return shards_.vocab_size(); }
  // Of one batch: what the pass must have room for.
  uint64_t MostTokens() const;
  uint64_t MostDocuments() const;

  // Overwrites the activations of `pass`, not the gradients. Throws Cancelled when hooks.leave says so.
  ValidationResult Run(GradientPass& pass, const PassHooks& hooks = {}) const;

 private:
  Validation(TokenShards shards, std::vector<std::string> sources, uint64_t rows)
      : shards_(std::move(shards)), sources_(std::move(sources)), rows_(rows) {}

  TokenShards shards_;
  std::vector<std::string> sources_;
  uint64_t rows_;
};

}  // namespace stablelm
