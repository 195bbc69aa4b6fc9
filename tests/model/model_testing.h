// Helpers for tests of the model: golden folders, loaded models, forward passes over sequences.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/model_folder.h"
#include "model/chunked_forward.h"
#include "model/load.h"
#include "model/transformer.h"
#include "test_paths.h"

namespace stablelm {

// Every sub-folder of STABLELM_GOLDEN (default: the project's copy) with a config.json and expected.safetensors, sorted
// by name.
inline std::vector<std::filesystem::path> GoldenFolders() {
  const char* set = std::getenv("STABLELM_GOLDEN");
  const std::filesystem::path root = set ? std::string(set) : TestData("golden");
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (std::filesystem::exists(entry.path() / "config.json") &&
        std::filesystem::exists(entry.path() / "expected.safetensors")) {
      folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

inline Transformer LoadModel(const std::filesystem::path& folder, std::optional<DType> dtype = std::nullopt) {
  LoadOptions options;
  options.dtype = dtype;
  return Transformer(LoadWeights(ModelFolder::Open(folder.string()), options));
}

inline std::vector<float> Floats(const SafetensorsFile& file, const std::string& name) {
  const TensorView view = file.Get(name);
  std::vector<float> values(static_cast<size_t>(view.NumElements()));
  std::memcpy(values.data(), view.data, values.size() * sizeof(float));
  return values;
}

// Row `row` of a [rows, T] or [T] tensor of ids.
inline std::vector<int32_t> Ids(const SafetensorsFile& file, const std::string& name, int64_t row = 0) {
  const TensorView view = file.Get(name);
  const int64_t length = view.shape[view.shape.rank() - 1];
  std::vector<int32_t> ids(static_cast<size_t>(length));
  std::memcpy(ids.data(), view.data + static_cast<size_t>(row * length) * sizeof(int32_t),
              ids.size() * sizeof(int32_t));
  return ids;
}

// All logits [T, V] of one sequence, computed in chunks of `chunk` tokens.
inline std::vector<float> LogitsInChunks(const Transformer& model, const std::vector<int32_t>& ids, int64_t chunk,
                                         size_t threads, DType kv = DType::kF32, ForwardObserver* observer = nullptr) {
  const int64_t length = static_cast<int64_t>(ids.size());
  ThreadPool pool(threads);
  ForwardContext ctx(model.config(),
                     {.context = length,
                      .sequences = 1,
                      .kv_type = kv,
                      .max_rows = chunk,
                      .max_logit_rows = chunk,
                      .threads = threads},
                     pool);
  KvCache cache(model.config(), kv, KvCache::PagesFor(length));
  KvSequence sequence(cache);
  std::vector<float> logits;
  ForwardInChunks(
      model, ids, sequence, ctx, {.logits_from = 0, .hooks = {.observer = observer}},
      [&](int64_t, int64_t, std::span<const float> rows) { logits.insert(logits.end(), rows.begin(), rows.end()); });
  return logits;
}

// An observer that does nothing.
class NoObserver : public ForwardObserver {};

}  // namespace stablelm
