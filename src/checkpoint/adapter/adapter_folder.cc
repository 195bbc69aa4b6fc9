#include "checkpoint/adapter/adapter_folder.h"

#include <algorithm>
#include <map>

#include "base/broken_link.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/read_error.h"
#include "base/sha256.h"
#include "checkpoint/huggingface/hub_cache.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxAdapterConfigBytes = 1 << 20;
constexpr const char* kConfig = "adapter_config.json";
// In the order in which PEFT looks for them.
constexpr const char* kWeights[] = {"adapter_model.safetensors", "adapter_model.bin"};
constexpr std::string_view kPrefix = "base_model.model.", kA = ".lora_A.weight", kB = ".lora_B.weight";

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

[[noreturn]] void FailNoAdapter(const fs::path& folder) {
  const std::string expected = std::string(kConfig) + " and " + kWeights[0];
  if (!Exists(folder)) {
    throw Error({.where = folder.string(),
                 .what = "no such folder",
                 .expected = "the folder of a LoRA adapter: " + expected,
                 .hint = "check the path"});
  }
  if (!fs::is_directory(folder)) {
    throw Error({.where = folder.string(),
                 .what = "this is a file",
                 .expected = "the folder of a LoRA adapter in PEFT's format: " + expected,
                 .hint = "adapters of other formats are not read"});
  }
  const bool model = Exists(folder / "config.json");
  throw Error({.where = folder.string(),
               .what = Exists(folder / kConfig) ? "no weights of an adapter in this folder" : "not a LoRA adapter",
               .found = model ? "the folder of a whole model" : "",
               .expected = expected,
               .hint = model ? "a whole model is named by -m" : "give the folder that PEFT's save_pretrained wrote"});
}

fs::path FolderOf(const fs::path& path) {
  RefuseBrokenLink(path);
  std::error_code ignored;
  if (const std::optional<HubId> id = ParseHubId(path.string()); id && !Exists(path)) {
    return FindInHubCache(HubCacheFolder(), *id);
  }
  const std::string name = path.filename().string();
  const bool part = name == kConfig || name == kWeights[0] || name == kWeights[1];
  if (!part || fs::is_directory(path, ignored)) return path;
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

bool IsAdaptable(WeightKind kind) {
  return kind == WeightKind::kQkvWeight || kind == WeightKind::kAttnOutWeight || kind == WeightKind::kMlpUpWeight ||
         kind == WeightKind::kMlpDownWeight;
}

std::string ModuleOf(const WeightEntry& entry) {
  constexpr std::string_view kWeight = ".weight";
  STABLELM_CHECK(entry.name.ends_with(kWeight));
  return entry.name.substr(0, entry.name.size() - kWeight.size());
}

std::string TargetOf(const WeightEntry& entry) {
  const std::string module = ModuleOf(entry);
  return module.substr(module.rfind('.') + 1);
}

AdapterTensorNames AdapterNamesOf(const WeightEntry& entry) {
  const std::string module = std::string(kPrefix) + ModuleOf(entry);
  return {module + std::string(kA), module + std::string(kB)};
}

std::shared_ptr<const AdapterFolder> AdapterFolder::Open(const fs::path& path) {
  const fs::path folder = FolderOf(path);
  const auto weights = std::ranges::find_if(kWeights, [&](const char* name) { return Exists(folder / name); });
  RefuseBrokenLink(folder / kConfig);
  for (const char* name : kWeights) RefuseBrokenLink(folder / name);
  if (!Exists(folder / kConfig) || weights == std::end(kWeights)) FailNoAdapter(folder);
  const std::string config = (folder / kConfig).string();
  return FromFile(OpenWeightFile(folder, *weights),
                  ParseAdapterConfig(ReadTextFile(config, kMaxAdapterConfigBytes), config), folder);
}

std::shared_ptr<const AdapterFolder> AdapterFolder::FromFile(WeightFile file, AdapterConfig config,
                                                             const fs::path& path) {
  const std::shared_ptr<AdapterFolder> adapter(new AdapterFolder);
  adapter->path_ = path;
  adapter->config_ = std::move(config);
  adapter->file_ = std::move(file);
  return adapter;
}

std::vector<AdaptedMatrix> AdapterFolder::Match(const ModelConfig& model, std::vector<std::string>* warnings) const {
  const std::string where = (path_ / file_.name).string();
  const std::string targets = ConfigName() + ": \"target_modules\"", excluded = ConfigName() + ": \"exclude_modules\"";
  std::map<std::string_view, const StoredTensor*> unread;
  for (const StoredTensor& tensor : file_.tensors) {
    if (!unread.emplace(tensor.name, &tensor).second) {
      throw Error(
          {.where = where, .what = "two tensors of one name", .found = Quoted(tensor.name), .hint = kDamagedFileHint});
    }
  }
  const auto take = [&](const std::string& name, const Shape& shape, const std::string& expected) {
    const auto it = unread.find(name);
    if (it == unread.end()) {
      throw Error({.where = where,
                   .what = "a tensor is missing",
                   .expected = Quoted(name) + ", because target_modules names the module",
                   .hint = "the file is incomplete, or adapter_config.json is another adapter's, or the base has more "
                           "layers than the one that was trained"});
    }
    const StoredTensor& tensor = *it->second;
    if (tensor.shape != shape) {
      throw Error({.where = where + ": tensor " + Quoted(name),
                   .what = "wrong shape",
                   .found = tensor.shape.ToString(),
                   .expected = shape.ToString() + expected,
                   .hint = "the adapter was trained on a model of another size, or with another rank"});
    }
    constexpr DType kTypes[] = {DType::kF16, DType::kBF16, DType::kF32, DType::kF64};
    if (!tensor.dtype || std::ranges::find(kTypes, *tensor.dtype) == std::end(kTypes)) {
      throw Error({.where = where + ": tensor " + Quoted(name),
                   .what = "type not supported",
                   .found = tensor.stored_as,
                   .expected = "fp16, bf16, fp32 or fp64",
                   .hint = "save the adapter again in one of these types"});
    }
    unread.erase(it);
    return &tensor;
  };

  std::vector<AdaptedMatrix> matrices;
  for (const WeightEntry& entry : WeightTable(model)) {
    if (!entry.IsMatrix()) continue;
    const std::string module = ModuleOf(entry);
    const bool layer = IsAdaptable(entry.kind);
    if (config_.targets.all_linear && !layer) continue;
    if (!config_.targets.Match(module, targets) || config_.excluded.Match(module, excluded)) continue;
    if (!layer) {
      throw Error({.where = targets,
                   .what = "adapters of the embedding and of the output matrix are not supported",
                   .found = Quoted(module),
                   .expected = "query_key_value, dense, dense_h_to_4h and dense_4h_to_h of the layers",
                   .hint = kMergeAdapterHint});
    }
    const auto [a, b] = AdapterNamesOf(entry);
    const int64_t n = entry.shape[0], k = entry.shape[1];
    const StoredTensor* const a_tensor = take(a, {config_.rank, k}, " (r, columns of the base)");
    matrices.push_back({entry, a_tensor, take(b, {n, config_.rank}, " (rows of the base, r)")});
  }
  if (matrices.empty()) {
    throw Error({.where = targets,
                 .what = "names no module of the model",
                 .found = config_.targets.pattern ? Quoted(*config_.targets.pattern) : Joined(config_.targets.names),
                 .expected = "some of query_key_value, dense, dense_h_to_4h and dense_4h_to_h",
                 .hint = "the adapter belongs to a model of another family"});
  }
  if (!unread.empty()) {
    const std::string name(unread.begin()->first);
    throw Error(
        {.where = where,
         .what = unread.size() == 1 ? "a tensor that the adapter should not have"
                                    : std::to_string(unread.size()) + " tensors that the adapter should not have",
         .found = Quoted(name),
         .expected = "lora_A.weight and lora_B.weight of the modules that target_modules names, in the base's " +
                     std::to_string(model.n_layers) + " layers",
         .hint = "the adapter belongs to another base, or is of a kind that is not supported"});
  }
  for (const std::string& name : config_.targets.names) {
    const bool used = std::ranges::any_of(matrices, [&](const AdaptedMatrix& matrix) {
      const std::string module = ModuleOf(matrix.entry);
      return module == name || module.ends_with("." + name);
    });
    if (!used && warnings) warnings->push_back(targets + ": the model has no module " + Quoted(name));
  }
  return matrices;
}

std::string AdapterFolder::Sha256() const { return Sha256Hex(file_.map->text()); }

uint64_t AdapterFolder::NumParameters() const {
  uint64_t n = 0;
  for (const StoredTensor& tensor : file_.tensors) n += static_cast<uint64_t>(tensor.shape.NumElements());
  return n;
}

}  // namespace stablelm
