#include "checkpoint/weight_files.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/huggingface/lfs_pointer.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/huggingface/shard_index.h"
#include "checkpoint/torch/torch_file.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 64 << 20;

// "a, b, c and 7 more"
std::string Listed(const std::vector<std::string>& names, size_t shown = 4) {
  std::string text;
  for (size_t i = 0; i < std::min(shown, names.size()); ++i) text += (i ? ", " : "") + Quoted(names[i]);
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

WeightFile OpenWeightFile(const fs::path& path) {
  WeightFile file{path.filename().string(), std::make_shared<MappedFile>(path), WeightFormat::kSafetensors, {}};
  RefuseLfsPointer(path, file.map->text());
  const std::string where = path.string();
  if (path.extension() == ".safetensors") {
    file.tensors = ParseSafetensors(file.map->bytes(), where).tensors;
  } else {
    TorchFile torch = ParseTorchFile(file.map->bytes(), where);
    file.format = torch.legacy ? WeightFormat::kTorchLegacy : WeightFormat::kTorchZip;
    file.tensors = std::move(torch.tensors);
  }
  return file;
}

void CheckAgainstIndex(const WeightFile& file, const ShardIndex& index, const fs::path& folder,
                       std::vector<std::string>* warnings) {
  std::set<std::string_view> inside;
  const std::string where = (folder / file.name).string();
  for (const StoredTensor& tensor : file.tensors) {
    inside.insert(tensor.name);
    const auto it = index.file_of.find(tensor.name);
    if (it != index.file_of.end() && it->second == file.name) continue;
    const std::string what = "the tensor " + Quoted(tensor.name) + " is in this file, but the index " +
                             (it == index.file_of.end() ? "does not name it" : "puts it in " + Quoted(it->second));
    if (!IsIgnoredBuffer(tensor.name)) {
      throw Error(
          {.where = where, .what = what, .hint = "index and shards do not belong together: download all files again"});
    }
    if (warnings) warnings->push_back(where + ": " + what);
  }
  std::vector<std::string> missing;
  for (const auto& [tensor, name] : index.file_of) {
    if (name == file.name && !inside.contains(tensor)) missing.push_back(tensor);
  }
  if (!missing.empty()) {
    throw Error({.where = where,
                 .what = "tensors that the index puts in this file are not there",
                 .expected = Listed(missing),
                 .hint = "index and shards do not belong together: download all files again"});
  }
}

std::vector<WeightFile> OpenShards(const fs::path& folder, const fs::path& index_path,
                                   std::vector<std::string>* warnings) {
  const std::string text = ReadTextFile(index_path, kMaxIndexBytes);
  RefuseLfsPointer(index_path, text);
  const ShardIndex index = ParseShardIndex(text, index_path.string());
  const std::vector<std::string> names = index.Files();
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!fs::exists(folder / name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    throw Error({.where = index_path.string(),
                 .what = "files of the checkpoint are missing",
                 .expected = Listed(missing),
                 .hint = "download them into " + folder.string()});
  }
  std::vector<WeightFile> files;
  for (const std::string& name : names) {
    files.push_back(OpenWeightFile(folder / name));
    CheckAgainstIndex(files.back(), index, folder, warnings);
  }
  return files;
}

[[noreturn]] void FailNoWeights(const fs::path& folder) {
  std::vector<std::string> others;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string extension = entry.path().extension().string();
    for (const char* known : {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5"}) {
      if (extension == known) others.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(others);
  throw Error({.where = folder.string(),
               .what = "no weights in this folder",
               .found = others.empty() ? "" : "only " + Listed(others),
               .expected = "model.safetensors or pytorch_model.bin, or one of their index files",
               .hint = "a complete Hugging Face folder is needed: config.json, tokenizer.json and the weights"});
}

bool SameBytes(const WeightFile& a, const StoredTensor& x, const WeightFile& b, const StoredTensor& y) {
  if (x.dtype != y.dtype || x.bytes != y.bytes || !x.contiguous() || !y.contiguous()) return false;
  return std::memcmp(a.map->bytes().data() + x.offset, b.map->bytes().data() + y.offset, x.bytes) == 0;
}

}  // namespace

const char* NameOf(WeightFormat format) {
  switch (format) {
    case WeightFormat::kSafetensors:
      return "safetensors";
    case WeightFormat::kTorchZip:
      return "PyTorch zip";
    case WeightFormat::kTorchLegacy:
      return "PyTorch legacy";
    case WeightFormat::kGguf:
      return "GGUF";
  }
  STABLELM_CHECK(false);
}

std::vector<WeightFile> OpenWeightFiles(const GgufFile& file) {
  std::vector<WeightFile> files;
  files.push_back({file.path().filename().string(), file.shared_map(), WeightFormat::kGguf, file.header().tensors});
  return files;
}

bool HasWeightFiles(const fs::path& folder) {
  std::error_code ignored;
  for (const char* name :
       {"model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin"}) {
    if (fs::exists(folder / name, ignored)) return true;
  }
  return false;
}

std::vector<WeightFile> OpenWeightFiles(const fs::path& folder, std::vector<std::string>* warnings) {
  if (const fs::path index = folder / "model.safetensors.index.json"; fs::exists(index)) {
    return OpenShards(folder, index, warnings);
  }
  const auto single = [&](const fs::path& path) {
    std::vector<WeightFile> files;
    files.push_back(OpenWeightFile(path));
    return files;
  };
  if (const fs::path file = folder / "model.safetensors"; fs::exists(file)) return single(file);
  if (const fs::path index = folder / "pytorch_model.bin.index.json"; fs::exists(index)) {
    return OpenShards(folder, index, warnings);
  }
  if (const fs::path file = folder / "pytorch_model.bin"; fs::exists(file)) return single(file);
  FailNoWeights(folder);
}

std::vector<TensorPlace> MatchWeights(const std::vector<WeightEntry>& table, const ModelConfig& config,
                                      const std::vector<WeightFile>& files, const std::string& folder) {
  const bool gguf = !files.empty() && files[0].format == WeightFormat::kGguf;
  const std::string by = gguf ? " by the file's keys" : " by config.json";
  const auto name_of = [&](const WeightEntry& entry) { return gguf ? GgufTensorName(entry) : entry.name; };
  const std::string output = gguf ? "output.weight" : "embed_out.weight";
  // All tensors of the files, by the name of their table entry in this format.
  std::map<std::string_view, TensorPlace> found;
  for (size_t f = 0; f < files.size(); ++f) {
    for (size_t t = 0; t < files[f].tensors.size(); ++t) {
      const std::string_view name = files[f].tensors[t].name;
      if (IsIgnoredBuffer(name)) continue;
      const bool alias = !gguf && name == "lm_head.weight";
      const auto [it, added] = found.emplace(alias ? std::string_view(output) : name, TensorPlace{f, t});
      if (added) continue;
      const std::string_view other = files[it->second.file].tensors[it->second.tensor].name;
      if (other != name) {
        throw Error({.where = folder,
                     .what = "two output matrices: \"embed_out.weight\" and \"lm_head.weight\"",
                     .expected = "one of the two names"});
      }
      throw Error({.where = folder,
                   .what = "the tensor " + Quoted(name) + " appears twice",
                   .found = files[it->second.file].name + " and " + files[f].name});
    }
  }
  const auto tensor_at = [&](TensorPlace place) -> const StoredTensor& {
    return files[place.file].tensors[place.tensor];
  };

  std::vector<TensorPlace> places;
  std::vector<std::string> missing;
  for (const WeightEntry& entry : table) {
    const auto it = found.find(name_of(entry));
    if (it == found.end()) {
      missing.push_back(name_of(entry));
      continue;
    }
    const StoredTensor& tensor = tensor_at(it->second);
    const std::string where = files[it->second.file].map->path().string() + ": tensor " + Quoted(tensor.name);
    if (!(tensor.shape == entry.shape)) {
      throw Error({.where = where,
                   .what = "wrong shape",
                   .found = tensor.shape.ToString(),
                   .expected = entry.shape.ToString() + by,
                   .hint = gguf ? "the file is damaged" : "config.json and weights do not belong together"});
    }
    const DType type = tensor.dtype.value_or(DType::kBool);
    const bool quantized = gguf && entry.IsMatrix() && IsQuantized(type);
    if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16 && type != DType::kF64 && !quantized) {
      throw Error({.where = where,
                   .what = "unsupported type of weights",
                   .found = tensor.stored_as,
                   .expected = !gguf              ? "fp32, fp16, bf16 or fp64"
                               : entry.IsMatrix() ? "F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K or Q4_0"
                                                  : "F32, F16 or BF16"});
    }
    places.push_back(it->second);
    found.erase(it);
  }
  if (config.tie_word_embeddings && missing.empty()) {
    if (const auto it = found.find(output); it != found.end()) {
      if (!SameBytes(files[places[0].file], tensor_at(places[0]), files[it->second.file], tensor_at(it->second))) {
        throw Error({.where = folder,
                     .what = "config.json ties the output matrix to the embedding, but the files hold another one",
                     .expected = "\"tie_word_embeddings\": false, or no output matrix"});
      }
      found.erase(it);
    }
  }
  std::vector<std::string> surplus;
  for (const auto& [name, place] : found) surplus.emplace_back(tensor_at(place).name);
  if (!missing.empty()) {
    throw Error(
        {.where = folder,
         .what = std::to_string(missing.size()) + " of " + std::to_string(table.size()) + " tensors are missing",
         .found = surplus.empty() ? "" : "instead " + Listed(surplus),
         .expected = Listed(missing),
         .hint = gguf ? "the file is of another model family, or incomplete"
                      : "the weights are incomplete, or config.json is another model's"});
  }
  if (!surplus.empty()) {
    throw Error(
        {.where = folder,
         .what = "tensors that the model does not have",
         .found = Listed(surplus),
         .expected = "the " + std::to_string(table.size()) + " tensors" + by,
         .hint = gguf ? "the file is of another model family" : "config.json and weights do not belong together"});
  }
  return places;
}

}  // namespace stablelm
