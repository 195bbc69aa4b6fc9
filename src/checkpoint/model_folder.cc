#include "checkpoint/model_folder.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/hub_cache.h"
#include "checkpoint/lfs_pointer.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = 4 << 20;

[[noreturn]] void Fail(const fs::path& where, const std::string& what, const std::string& found,
                       const std::string& expected, const std::string& hint) {
  throw Error({.where = where.string(), .what = what, .found = found, .expected = expected, .hint = hint});
}

// Says what a folder without config.json is, as far as one can see.
[[noreturn]] void FailNoConfig(const fs::path& folder) {
  std::error_code ignored;
  const std::string expected = "config.json, tokenizer.json and the weights";
  if (fs::is_empty(folder, ignored)) Fail(folder, "the folder is empty", {}, expected, "is the download finished?");
  if (fs::exists(folder / "adapter_config.json", ignored))
    Fail(folder, "no config.json: this is a LoRA adapter", {}, expected, "give the folder of the base model");
  if (fs::is_directory(folder / "snapshots", ignored))
    Fail(folder, "no config.json: this is a repository of the Hugging Face cache", {}, expected,
         "give its hub id (org/name) or one of the folders below snapshots/");
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".gguf")
      Fail(folder, "no config.json", "the GGUF file " + Quoted(entry.path().filename().string()), expected, {});
  Fail(folder, "no config.json in this folder", {}, expected, "give the folder of a Hugging Face model");
}

}  // namespace

fs::path ModelFolder::Resolve(const std::string& path_or_hub_id) {
  if (path_or_hub_id.empty()) Fail({}, "the name of the model is empty", {}, "a folder or a hub id", {});
  const fs::path path = path_or_hub_id;
  std::error_code error;
  if (fs::is_directory(path, error)) return path;
  if (fs::exists(path, error)) {
    const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
    Fail(path, "this is a file", {}, "the folder of a Hugging Face model",
         "give the folder that holds config.json: " + parent.string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    Fail(path, "cannot look at it: " + error.message(), {}, {}, {});
  if (const std::optional<HubId> id = ParseHubId(path_or_hub_id)) return FindInHubCache(HubCacheFolder(), *id);
  Fail(path, "no such folder", {}, "a folder or a hub id (org/name)", "check the path");
}

std::shared_ptr<const ModelFolder> ModelFolder::Open(const std::string& path_or_hub_id) {
  const std::shared_ptr<ModelFolder> model(new ModelFolder);
  model->folder_ = Resolve(path_or_hub_id);
  const fs::path& folder = model->folder_;
  const fs::path config_path = folder / "config.json";
  std::error_code ignored;
  if (!fs::exists(config_path, ignored)) FailNoConfig(folder);
  const std::string config_text = ReadTextFile(config_path, kMaxConfigBytes);
  RefuseLfsPointer(config_path, config_text);
  model->config_ = ParseConfig(config_text, config_path.string(), &model->warnings_);
  if (const fs::path tokenizer = folder / "tokenizer.json"; fs::is_regular_file(tokenizer, ignored))
    model->tokenizer_file_ = tokenizer;

  model->files_ = OpenWeightFiles(folder, &model->warnings_);
  model->table_ = WeightTable(model->config_);
  model->places_ = MatchWeights(model->table_, model->config_, model->files_, folder.string());
  return model;
}

}  // namespace stablelm
