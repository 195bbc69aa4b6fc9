// Saves the parameters of a model in training as a Hugging Face folder, which every command opens.
//
// Saved are the masters, and the weights of parameters that are not trained. A bf16 folder of bf16 training (and an
// fp16 one of fp16 training) holds the weights that the model computes with; an fp32 folder loses nothing. Rows of
// query_key_value are written in Hugging Face's order, whatever their order in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/dtype.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "checkpoint/rewrite/tensor_copy.h"
#include "train/parameters.h"

namespace stablelm {

struct ParameterCopy {
  DType dtype = DType::kF32;              // of all tensors: kF32, kF16 or kBF16, rounded to nearest even
  ThreadPool* pool = nullptr;             // not owned, not null
  Progress* progress = nullptr;           // not owned, may be null: counts bytes of the result
  std::function<void()> checkpoint = {};  // called before every piece, from any thread; may throw to abort
};

// Passes every tensor to the sink, a panel of rows at a time: memory besides the parameters is one panel in fp32 and in
// `dtype` for each thread. Nothing may change the parameters meanwhile. The bytes do not depend on the number of
// threads. Throws Error for a value that is not finite in `dtype`, with tensor, row and column; passes on exceptions of
// sink and checkpoint.
void CopyParameters(const Parameters& parameters, const ParameterCopy& copy, const TensorSink& sink);

struct SaveOptions {
  DType dtype = DType::kF32;
  // Model folder whose tokenizer files and generation settings are copied; empty: none.
  std::filesystem::path tokenizer = {};
  std::map<std::string, std::string> texts = {};  // small files to write, by name
  uint64_t max_shard_bytes = 5'000'000'000;
  bool show_progress = false;
  std::function<void()> checkpoint = {};  // as above
};

// Writes the folder `out`, which must not exist or be empty. Atomic: it appears when it is complete, and an exception
// leaves nothing behind. Throws Error.
void SaveParameters(const Parameters& parameters, const std::filesystem::path& out, const SaveOptions& options,
                    ThreadPool& pool);

}  // namespace stablelm
