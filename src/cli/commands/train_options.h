// What commands of training share: options that `bench train` and `fit --for finetune` share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "checkpoint/describe/config.h"
#include "model/memory_plan.h"
#include "train/parameter_table.h"
#include "train/train_shape.h"

namespace CLI {
class App;
}

namespace stablelm {

// The parts of a plan, for --json: [{"name", "bytes"}].
JsonValue PartsJson(const MemoryPlan& plan);

struct TrainOptions {
  Precision precision = Precision::kF32;
  Recompute recompute = Recompute::kNone;
  std::vector<std::string> trained;  // patterns; empty: all parameters

  // Adds --precision, --recompute and --trained; `with` begins their help.
  void Add(CLI::App& app, const std::string& with = {});
  // Buffers for micro-batches of `documents` documents of `length` tokens.
  TrainShape ShapeOf(int64_t documents, int64_t length, size_t threads) const {
    return {.max_tokens = documents * length,
            .max_documents = documents,
            .precision = precision,
            .recompute = recompute,
            .threads = threads};
  }
};

}  // namespace stablelm
