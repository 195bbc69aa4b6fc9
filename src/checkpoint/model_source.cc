#include "checkpoint/model_source.h"

#include <algorithm>
#include <fstream>

#include "base/broken_link.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_locate.h"
#include "checkpoint/gguf/gguf_parts.h"
#include "checkpoint/gguf/gguf_tokenizer.h"
#include "checkpoint/huggingface/hub_cache.h"
#include "checkpoint/weight_files.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = 4 << 20;
constexpr const char* kFolderContent = "config.json, tokenizer.json and the weights";

[[noreturn]] void FailSource(const fs::path& where, const std::string& what, const std::string& found,
                             const std::string& expected, const std::string& hint) {
  throw Error({.where = where.string(), .what = what, .found = found, .expected = expected, .hint = hint});
}

// Throws an Error that explains what a folder without config.json seems to be.
[[noreturn]] void FailNoConfig(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_empty(folder, ignored)) {
    FailSource(folder, "the folder is empty", {}, kFolderContent, "is the download finished?");
  }
  if (fs::exists(folder / "adapter_config.json", ignored)) {
    FailSource(folder, "no config.json: this is a LoRA adapter", {}, kFolderContent,
               "give the folder of the base model, and this one as `lora`");
  }
  if (fs::is_directory(folder / "snapshots", ignored)) {
    FailSource(folder, "no config.json: this is a repository of the Hugging Face cache", {}, kFolderContent,
               "give its hub id (org/name) or one of the folders below snapshots/");
  }
  if (const std::string state = DeepSpeedStateIn(folder); !state.empty()) {
    FailSource(
        folder, "no config.json in this folder, but the state of a DeepSpeed run", Quoted(state), kFolderContent,
        "run `python zero_to_fp32.py . .` in the folder of the run, where DeepSpeed puts the script: it writes the "
        "weights; copy config.json and tokenizer.json of the base model there, then give that folder");
  }
  FailSource(folder, "no config.json in this folder", {}, kFolderContent, "give the folder of a Hugging Face model");
}

// Throws an Error that says what a file is that is not a model by itself.
[[noreturn]] void FailFile(const fs::path& file) {
  constexpr const char* kExpected = "the folder of a Hugging Face model, or a .gguf file";
  const fs::path parent = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code ignored;
  if (fs::exists(parent / "config.json", ignored)) {
    FailSource(file, "this is a file", {}, kExpected, "give the folder that holds config.json: " + parent.string());
  }
  if (fs::is_regular_file(file, ignored)) {
    char start[8192];
    std::ifstream in(file, std::ios::binary);
    in.read(start, sizeof start);
    const std::string_view content(start, static_cast<size_t>(in.gcount()));
    const FileKind kind = KindOf(content);
    if (kind != FileKind::kText && kind != FileKind::kJson) RefuseOtherKind(file.string(), content, FileKind::kGguf);
  }
  FailSource(file, "this file is not a model", {}, kExpected,
             "give the folder that holds config.json, tokenizer.json and the weights, or the .gguf file");
}

// The snapshot that a repository's folder in a Hugging Face cache holds (.../models--org--name); the folder itself for
// any other.
fs::path WithSnapshot(const fs::path& folder) {
  constexpr std::string_view kModels = "models--";
  const fs::path named = folder.has_filename() ? folder : folder.parent_path();
  const std::string name = named.filename().string();
  std::error_code ignored;
  if (!name.starts_with(kModels) || !fs::is_directory(named / "snapshots", ignored)) return folder;
  const size_t between = name.find("--", kModels.size());
  if (between == std::string::npos) return folder;
  const std::string org = name.substr(kModels.size(), between - kModels.size());
  return FindInHubCache(named.parent_path().empty() ? "." : named.parent_path(),
                        {.org = org, .name = name.substr(between + 2), .revision = "main"});
}

// Resolves a path or hub id to an existing folder or GGUF file.
fs::path Resolve(const std::string& path_or_hub_id) {
  if (path_or_hub_id.empty())
    FailSource({}, "the name of the model is empty", {}, "a folder, a .gguf file or a hub id", {});
  const fs::path path = path_or_hub_id;
  RefuseBrokenLink(path);
  std::error_code error;
  if (fs::is_directory(path, error)) return WithSnapshot(path);
  if (fs::exists(path, error)) {
    if (IsGgufPath(path) || HasGgufMagic(path)) return path;
    FailFile(path);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    FailSource(path, "cannot look at it: " + error.message(), {}, {}, {});
  }
  if (const std::string_view other = OtherHubPage(path_or_hub_id); !other.empty()) {
    FailSource(path_or_hub_id, "this is the address of " + std::string(other) + ", not of a model", {},
               "a folder, a .gguf file, or a hub id or address of a model",
               "open the page of the model and copy its name");
  }
  const std::optional<HubId> id = ParseHubId(path_or_hub_id);
  if (id && !id->file.empty()) return FindInHubCache(HubCacheFolder(), *id) / id->file;
  if (!id && path_or_hub_id.find("://") != std::string::npos) {
    FailSource(path, "this address is not of the Hugging Face hub", {}, "a folder, a .gguf file or a hub id (org/name)",
               "download the model, and give its folder or its .gguf file: nothing is downloaded here");
  }
  if (IsGgufPath(path)) FailSource(path, "no such file", {}, {}, "check the path");
  if (id) return FindInHubCache(HubCacheFolder(), *id);
  // "org/name:Q4_K_M": one of a repository's GGUF files, as llama.cpp and Ollama write it.
  const size_t colon = path_or_hub_id.rfind(':');
  if (const std::string before = path_or_hub_id.substr(0, colon); colon != std::string::npos && ParseHubId(before)) {
    FailSource(path, "no such folder, and a hub id does not name a type", Quoted(path_or_hub_id.substr(colon)),
               "a folder, a .gguf file or a hub id (org/name)",
               "give " + Quoted(before) + ", or the path of the file if the repository has several");
  }
  FailSource(path, "no such folder", {}, "a folder, a .gguf file or a hub id (org/name)", "check the path");
}

}  // namespace

std::shared_ptr<const ModelSource> ModelSource::Open(const std::string& path_or_hub_id) {
  const std::shared_ptr<ModelSource> source(new ModelSource);
  source->name_ = path_or_hub_id;
  source->path_ = Resolve(path_or_hub_id);
  std::error_code ignored;
  if (fs::is_directory(source->path_, ignored)) {
    const std::optional<fs::path> file = HasWeightFiles(source->path_) ? std::nullopt : FindGgufModel(source->path_);
    if (!file) return source;
    source->path_ = *file;
  }
  source->gguf_ = OpenGgufParts(source->path_);
  return source;
}

std::shared_ptr<const ModelSource> ModelSource::OpenGguf(const fs::path& file) {
  const std::shared_ptr<ModelSource> source(new ModelSource);
  source->name_ = file.string();
  source->path_ = file;
  source->gguf_ = OpenGgufParts(file);
  return source;
}

bool ModelSource::HasConfig() const {
  std::error_code ignored;
  return gguf() || fs::exists(path_ / "config.json", ignored);
}

ModelConfig ModelSource::ReadConfig(std::vector<std::string>* warnings) const {
  if (gguf()) return ReadGgufConfig(gguf_, warnings);
  const fs::path file = path_ / "config.json";
  RefuseBrokenLink(file);
  std::error_code error;
  if (!fs::exists(file, error)) {
    if (error && error != std::errc::no_such_file_or_directory) {
      FailSource(file, "cannot look at it: " + error.message(), {}, {}, "check the permissions of the folder");
    }
    FailNoConfig(path_);
  }
  const std::string text = ReadTextFile(file, kMaxConfigBytes);
  return ParseConfig(text, file.string(), warnings);
}

bool ModelSource::HasTokenizer() const {
  std::error_code ignored;
  if (gguf()) return HasGgufTokenizer(gguf()->header());
  return fs::exists(fs::symlink_status(path_ / "tokenizer.json", ignored));
}

Tokenizer ModelSource::ReadTokenizer(TokenizerOptions options) const {
  if (!HasTokenizer()) {
    FailSource(path_, "the model has no tokenizer", {},
               gguf() ? "the keys \"tokenizer.ggml.tokens\" or \"tokenizer.huggingface.json\""
                      : "tokenizer.json in the folder",
               gguf() ? "" : "copy the model's tokenizer.json into the folder");
  }
  if (!gguf()) return Tokenizer::FromFile(path_ / "tokenizer.json", std::move(options));
  options.where = path_.string() + ": its tokenizer";
  return Tokenizer(ReadGgufTokenizer(gguf()->header()), std::move(options));
}

std::optional<ModelSource::Text> ModelSource::ReadText(std::string_view name, size_t max_bytes) const {
  if (!gguf()) {
    const fs::path file = path_ / name;
    RefuseBrokenLink(file);
    std::error_code ignored;
    if (!fs::exists(file, ignored)) return std::nullopt;
    return Text{ReadTextFile(file, max_bytes), std::string(name), file.string()};
  }
  const auto files = CarriedFiles();
  const auto file = std::ranges::find(files, name, &CarriedFile::name);
  STABLELM_CHECK(file != files.end());
  const std::optional<std::string_view> text = gguf()->header().Text(file->key);
  if (!text) return std::nullopt;
  if (text->size() > max_bytes) {
    gguf()->header().Fail(file->key, "too large", std::to_string(text->size()) + " bytes",
                          "at most " + std::to_string(max_bytes) + " bytes");
  }
  return Text{std::string(*text), std::string(file->key), path_.string() + ": key \"" + std::string(file->key) + "\""};
}

}  // namespace stablelm
