#include "checkpoint/weight_files.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "base/broken_link.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_locate.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/huggingface/shard_index.h"
#include "checkpoint/torch/torch_file.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 64 << 20;
// In the order of transformers' search: a single file goes before an index, which an earlier save may have left behind.
constexpr const char* kWeightNames[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};

// "a, b, c and 7 more"
std::string Listed(const std::vector<std::string>& names, size_t shown = 4) {
  std::string text;
  for (size_t i = 0; i < std::min(shown, names.size()); ++i) text += (i ? ", " : "") + Quoted(names[i]);
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

// What of the index and its files does not agree: said, but no reason to refuse, because tensors are found by their
// names. One that is missing altogether is MatchWeights' error.
void WarnOfTheIndex(const std::vector<WeightFile>& files, const ShardIndex& index, const std::string& where,
                    std::vector<std::string>& warnings) {
  std::map<std::string_view, std::string_view> file_of;
  std::vector<std::string> unnamed, elsewhere, absent;
  for (const WeightFile& file : files) {
    for (const StoredTensor& tensor : file.tensors) {
      file_of[tensor.name] = file.name;
      if (IsIgnoredBuffer(tensor.name)) continue;
      const auto it = index.file_of.find(tensor.name);
      if (it == index.file_of.end()) {
        unnamed.push_back(tensor.name);
      } else if (it->second != file.name) {
        elsewhere.push_back(tensor.name);
      }
    }
  }
  for (const auto& [tensor, file] : index.file_of) {
    if (!file_of.contains(tensor) && !IsIgnoredBuffer(tensor)) absent.push_back(tensor);
  }
  const auto warn = [&](const std::vector<std::string>& tensors, const std::string& what) {
    if (!tensors.empty()) warnings.push_back(where + ": " + what + ": " + Listed(tensors));
  };
  warn(unnamed, "the index does not name tensors that its files hold");
  warn(elsewhere, "the index puts tensors into another file than the one that holds them");
  warn(absent, "the index names tensors that its files do not hold");
}

std::vector<WeightFile> OpenShards(const fs::path& folder, const fs::path& index_path,
                                   std::vector<std::string>* warnings) {
  const std::string text = ReadTextFile(index_path, kMaxIndexBytes);
  const ShardIndex index = ParseShardIndex(text, index_path.string());
  const std::vector<std::string> names = index.Files();
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    RefuseBrokenLink(folder / name);
    if (!fs::exists(folder / name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    throw Error({.where = index_path.string(),
                 .what = "files of the checkpoint are missing",
                 .expected = Listed(missing),
                 .hint = "download them into " + folder.string()});
  }
  std::vector<WeightFile> files;
  for (const std::string& name : names) files.push_back(OpenWeightFile(folder, name));
  if (warnings) WarnOfTheIndex(files, index, index_path.string(), *warnings);
  return files;
}

// What makes weights of the only files of a folder that may hold them.
std::string HintFor(const std::vector<std::string>& others) {
  const std::string all = "a complete Hugging Face folder is needed: config.json, tokenizer.json and the weights";
  if (others.empty() || others[0].ends_with(".gguf")) return all;
  const std::string name = others[0].ends_with(".safetensors") ? "model.safetensors" : "pytorch_model.bin";
  if (others[0].find("-of-") != std::string::npos) {
    return "for parts the index is needed, which names their tensors: download " + name + ".index.json too";
  }
  if (others.size() > 1) return all;
  return "if that file holds the model's weights, name it " + name;
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
  const std::string expected = "model.safetensors or pytorch_model.bin, or one of their index files";
  if (const std::string state = DeepSpeedStateIn(folder); !state.empty()) {
    throw Error({.where = folder.string(),
                 .what = "no weights in this folder, but the state of a DeepSpeed run",
                 .found = Quoted(state),
                 .expected = expected,
                 .hint = "run `python zero_to_fp32.py . .` in that folder (DeepSpeed puts the script there): it writes "
                         "the weights"});
  }
  FindGgufModel(folder, true);  // throws if there are several
  throw Error({.where = folder.string(),
               .what = "no weights in this folder",
               .found = others.empty() ? "" : "only " + Listed(others),
               .expected = expected,
               .hint = HintFor(others)});
}

bool SameBytes(const WeightFile& a, const StoredTensor& x, const WeightFile& b, const StoredTensor& y) {
  if (x.dtype != y.dtype || x.bytes != y.bytes || !x.contiguous() || !y.contiguous()) return false;
  return std::memcmp(a.map->bytes().data() + x.offset, b.map->bytes().data() + y.offset, x.bytes) == 0;
}

// The names of a folder's tensors as the weight table has them. Files may hold the model under another prefix than
// "gpt_neox.": none when the bare model was saved, "module.gpt_neox." or "_orig_mod.gpt_neox." when a wrapped one was.
class FolderNames {
 public:
  explicit FolderNames(const std::vector<WeightFile>& files) {
    std::set<std::string_view> prefixes;
    for (const WeightFile& file : files) {
      for (const StoredTensor& tensor : file.tensors) {
        std::string_view name = tensor.name;
        if (!name.ends_with(kEmbedding)) continue;
        name.remove_suffix(kEmbedding.size());
        if (name.empty() || name.ends_with('.')) prefixes.insert(name);
      }
    }
    if (prefixes.size() == 1 && !prefixes.contains(kModel)) prefix_ = *prefixes.begin();
    around_ = prefix_;
    if (around_.ends_with(kModel)) around_.remove_suffix(kModel.size());
  }

  std::string InTable(std::string_view name) const {
    if (name.starts_with(around_)) {
      const std::string_view inner = name.substr(around_.size());
      if (inner == "embed_out.weight" || inner == "lm_head.weight") return "embed_out.weight";
    }
    if (!name.starts_with(prefix_)) return std::string(name);
    return std::string(kModel).append(name.substr(prefix_.size()));
  }

  std::string_view prefix() const { return prefix_; }
  bool usual() const { return prefix_ == kModel; }

 private:
  static constexpr std::string_view kEmbedding = "embed_in.weight", kModel = "gpt_neox.";
  std::string_view prefix_ = kModel;  // of all tensors but the output matrix; a view into a name of the files
  std::string_view around_;           // of the output matrix
};

// All tensors of the files but the ignored buffers, by their names in the weight table of this format.
class FoundTensors {
 public:
  FoundTensors(const std::vector<WeightFile>& files, const std::string& folder, std::vector<std::string>* warnings)
      : files_(files) {
    const bool gguf = !files.empty() && files[0].format == WeightFormat::kGguf;
    const FolderNames names(files);
    if (!gguf && !names.usual() && warnings) {
      warnings->push_back(folder + ": the names of its tensors " +
                          (names.prefix().empty()
                               ? "lack \"gpt_neox.\" at their beginning"
                               : "begin with " + Quoted(names.prefix()) + " instead of \"gpt_neox.\""));
    }
    for (size_t f = 0; f < files.size(); ++f) {
      for (size_t t = 0; t < files[f].tensors.size(); ++t) {
        const std::string_view name = files[f].tensors[t].name;
        const std::string in_table = gguf ? std::string(name) : names.InTable(name);
        if (IsIgnoredBuffer(in_table)) continue;
        const auto [it, added] = places_.emplace(in_table, TensorPlace{f, t});
        if (!added) Repeated(it->second, {f, t}, folder, warnings);
      }
    }
  }

  const StoredTensor& At(TensorPlace place) const { return files_[place.file].tensors[place.tensor]; }
  std::optional<TensorPlace> Take(const std::string& name) {
    const auto node = places_.extract(name);
    return node ? std::optional(node.mapped()) : std::nullopt;
  }
  std::vector<std::string> Rest() const {
    std::vector<std::string> names;
    for (const auto& [name, place] : places_) names.push_back(At(place).name);
    return names;
  }
  bool Same(TensorPlace a, TensorPlace b) const { return SameBytes(files_[a.file], At(a), files_[b.file], At(b)); }

 private:
  void Repeated(TensorPlace& first, TensorPlace second, const std::string& folder, std::vector<std::string>* warnings) {
    const std::string &a = At(first).name, &b = At(second).name;
    if (!Same(first, second)) {
      throw Error({.where = folder,
                   .what = a == b ? "the tensor " + Quoted(a) + " appears twice, with other values"
                                  : "two tensors with other values for one place: " + Quoted(a) + " and " + Quoted(b),
                   .found = files_[first.file].name + " and " + files_[second.file].name,
                   .hint = "remove the one that is out of date, or download the files again"});
    }
    if (warnings) {
      warnings->push_back(folder + ": " + Quoted(b) + " is a copy of " + Quoted(a) + " and left aside");
    }
  }

  const std::vector<WeightFile>& files_;
  std::map<std::string, TensorPlace> places_;
};

// Dimensions of 1 before the others say nothing in GGUF, where they are written last: some writers always write four.
bool SameShape(const Shape& found, const Shape& expected, bool gguf) {
  if (!gguf) return found == expected;
  const auto significant = [](const Shape& shape) {
    std::span<const int64_t> dims = shape.dims();
    while (dims.size() > 1 && dims[0] == 1) dims = dims.subspan(1);
    return dims;
  };
  return std::ranges::equal(significant(found), significant(expected));
}

void CheckTensor(const WeightFile& file, const StoredTensor& tensor, const WeightEntry& entry) {
  const bool gguf = file.format == WeightFormat::kGguf;
  const std::string where = file.map->path().string() + ": tensor " + Quoted(tensor.name);
  if (!SameShape(tensor.shape, entry.shape, gguf)) {
    throw Error({.where = where,
                 .what = "wrong shape",
                 .found = tensor.shape.ToString(),
                 .expected = entry.shape.ToString() + (gguf ? " by the file's keys" : " by config.json"),
                 .hint = gguf ? "the file is damaged" : "config.json and weights do not belong together"});
  }
  const DType type = tensor.dtype.value_or(DType::kBool);
  const bool quantized = gguf && entry.IsMatrix() && IsQuantized(type);
  if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16 && type != DType::kF64 && !quantized) {
    throw Error(
        {.where = where,
         .what = "unsupported type of weights",
         .found = tensor.stored_as,
         .expected = !gguf ? "fp32, fp16, bf16 or fp64"
                     : entry.IsMatrix()
                         ? "F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K, Q4_0, or a type that is decoded while loading: "
                           "Q5_1, Q5_0, Q4_1, Q3_K, Q2_K, IQ4_NL, IQ4_XS"
                         : "F32, F16 or BF16",
         .hint = gguf ? "take a file of another type, or quantize the original weights: stablelm quantize" : ""});
  }
}

[[noreturn]] void FailMissing(const std::vector<std::string>& missing, const std::vector<std::string>& surplus,
                              size_t wanted, bool gguf, const std::string& folder) {
  if (missing == std::vector<std::string>{"embed_out.weight"} && surplus.empty()) {
    throw Error({.where = folder,
                 .what = "the output matrix is missing",
                 .expected = Quoted(missing[0]) + ", or \"tie_word_embeddings\": true in config.json",
                 .hint = "these are the weights of the bare model (GPTNeoXModel): save GPTNeoXForCausalLM"});
  }
  throw Error({.where = folder,
               .what = std::to_string(missing.size()) + " of " + std::to_string(wanted) +
                       (missing.size() == 1 ? " tensors is missing" : " tensors are missing"),
               .found = surplus.empty() ? "" : "instead " + Listed(surplus),
               .expected = Listed(missing),
               .hint = gguf ? "the file is of another model family, or incomplete"
                            : "the weights are incomplete, or config.json is another model's"});
}

}  // namespace

WeightFile OpenWeightFile(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / name;
  WeightFile file{name, std::make_shared<MappedFile>(path), WeightFormat::kSafetensors, {}};
  const std::string where = path.string();
  const bool safetensors = path.extension() == ".safetensors";
  RefuseOtherKind(where, file.map->text(), safetensors ? FileKind::kSafetensors : FileKind::kTorch);
  if (safetensors) {
    file.tensors = ParseSafetensors(file.map->bytes(), where).tensors;
  } else {
    TorchFile torch = ParseTorchFile(file.map->bytes(), where);
    file.format = torch.legacy ? WeightFormat::kTorchLegacy : WeightFormat::kTorchZip;
    file.tensors = std::move(torch.tensors);
  }
  return file;
}

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

std::vector<WeightFile> OpenWeightFiles(std::span<const GgufFile> parts) {
  std::vector<WeightFile> files;
  for (const GgufFile& file : parts) {
    files.push_back({file.path().filename().string(), file.shared_map(), WeightFormat::kGguf, file.header().tensors});
  }
  return files;
}

bool HasWeightFiles(const fs::path& folder) {
  std::error_code ignored;
  return std::ranges::any_of(kWeightNames,
                             [&](const char* name) { return fs::exists(fs::symlink_status(folder / name, ignored)); });
}

std::string DeepSpeedStateIn(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with("_model_states.pt") || name.ends_with("_optim_states.pt")) return name;
    if (name.starts_with("global_step") && fs::is_directory(entry.path(), ignored)) return name + "/";
  }
  return {};
}

std::vector<WeightFile> OpenWeightFiles(const fs::path& folder, std::vector<std::string>* warnings) {
  const auto warn = [&](const fs::path& path, const std::string& what) {
    if (warnings) warnings->push_back(path.string() + ": " + what);
  };
  std::error_code error;
  std::vector<fs::path> aside;  // names of weights that are no files
  for (const char* name : kWeightNames) {
    const fs::path path = folder / name;
    if (!fs::is_regular_file(path, error)) {
      if (fs::exists(fs::symlink_status(path, error))) aside.push_back(path);
      continue;
    }
    for (const fs::path& other : aside) {
      const bool link = !fs::exists(other, error);
      warn(other, std::string(link ? "a link without its file" : "no file") + "; left aside, because " + name +
                      " lies beside it");
    }
    if (path.extension() == ".json") return OpenShards(folder, path, warnings);
    std::vector<WeightFile> files;
    files.push_back(OpenWeightFile(folder, name));
    const std::string index = std::string(name) + ".index.json";
    if (fs::exists(folder / index)) {
      warn(folder / index, std::string("left aside, because ") + name + " lies beside it");
    }
    return files;
  }
  if (!aside.empty()) MappedFile refused(aside[0]);  // says what it is
  FailNoWeights(folder);
}

std::vector<TensorPlace> MatchWeights(const std::vector<WeightEntry>& table, const ModelConfig& config,
                                      const std::vector<WeightFile>& files, const std::string& folder,
                                      std::vector<std::string>* warnings) {
  const bool gguf = !files.empty() && files[0].format == WeightFormat::kGguf;
  const std::string output = gguf ? "output.weight" : "embed_out.weight";
  FoundTensors found(files, folder, warnings);
  std::vector<TensorPlace> places;
  std::vector<std::string> missing;
  for (const WeightEntry& entry : table) {
    const std::string name = gguf ? GgufTensorName(entry) : entry.name;
    std::optional<TensorPlace> place = found.Take(name);
    // Two names for one tensor: a file may hold it under either.
    const bool tied = config.tie_word_embeddings && entry.kind == WeightKind::kEmbedding;
    if (!place && tied) place = found.Take(output);
    if (place) {
      CheckTensor(files[place->file], found.At(*place), entry);
      places.push_back(*place);
    } else {
      missing.push_back(name);
    }
  }
  if (!missing.empty()) FailMissing(missing, found.Rest(), table.size(), gguf, folder);
  if (config.tie_word_embeddings) {
    const std::optional<TensorPlace> second = found.Take(output);
    if (second && !found.Same(places[0], *second)) {
      throw Error({.where = folder,
                   .what = "config.json ties the output matrix to the embedding, but the files hold another one",
                   .expected = "\"tie_word_embeddings\": false, or no output matrix",
                   .hint = "write false if the model was trained with its own output matrix, as StableLM-Alpha was"});
    }
  }
  if (const std::vector<std::string> surplus = found.Rest(); !surplus.empty()) {
    if (gguf) {
      throw Error({.where = folder,
                   .what = "tensors that the model does not have",
                   .found = Listed(surplus),
                   .expected = "the " + std::to_string(table.size()) + " tensors by the file's keys",
                   .hint = "the file is of another model family"});
    }
    if (warnings) {
      warnings->push_back(folder + ": left aside, because the model has no such tensors: " + Listed(surplus));
    }
  }
  return places;
}

}  // namespace stablelm
