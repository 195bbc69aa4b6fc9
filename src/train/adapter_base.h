// The base of a LoRA run: the types that its weights take in memory. It is loaded as for generation (model/load.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/model_folder.h"
#include "model/load.h"
#include "model/memory_plan.h"
#include "train/precision.h"

namespace stablelm {

// The names of base_dtype: fp32, fp16, bf16 and the mixes of `quantize` (checkpoint/rewrite/quant_mix.h) in lower case.
std::vector<std::string> BaseTypeNames();

struct AdapterBase {
  std::optional<DType> dtype = {};    // LoadOptions::dtype
  std::vector<DType> types = {};      // LoadOptions::types
  Compute compute = Compute::kExact;  // of float matrices: kFast with bf16 training
};

// `name`: one of BaseTypeNames; empty: as in the files, but float matrices in bf16 when the precision is kBF16. Throws
// Error for a quantized type over a model that is quantized already. *warnings: matrices that get another type.
AdapterBase ChooseAdapterBase(const ModelFolder& model, const std::string& name, Precision precision,
                              std::vector<std::string>* warnings = nullptr);

WeightBytes PlanAdapterBase(const ModelFolder& model, const AdapterBase& base);
std::shared_ptr<const ModelWeights> LoadAdapterBase(std::shared_ptr<const ModelFolder> model, const AdapterBase& base,
                                                    ThreadPool& pool, bool show_progress);

}  // namespace stablelm
