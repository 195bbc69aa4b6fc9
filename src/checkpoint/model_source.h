// Finds a model, a folder in Hugging Face's layout or a GGUF file, and reads its small files, which a GGUF file stores
// as values of keys (checkpoint/gguf/gguf_keys.h). Does not read weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/describe/config.h"
#include "checkpoint/gguf/gguf.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

// Immutable; thread-safe.
class ModelSource {
 public:
  // Opens a folder, a GGUF file of any name, or a hub id "org/name[@revision]" from the Hugging Face cache (an existing
  // folder of that name takes precedence). If a folder has one model as GGUF (FindGgufModel) and no Hugging Face
  // weights, opens that. Of a split model, all parts are opened (OpenGgufParts). Throws Error.
  static std::shared_ptr<const ModelSource> Open(const std::string& path_or_hub_id);

  // Opens a GGUF file with any name, such as a temporary file.
  static std::shared_ptr<const ModelSource> OpenGguf(const std::filesystem::path& file);

  const std::filesystem::path& path() const { return path_; }  // the folder, or the GGUF file or its first part
  const std::string& name() const { return name_; }            // as given by the user
  // The file with the keys: the first part of a split model. Null: a folder.
  const GgufFile* gguf() const { return gguf_.empty() ? nullptr : gguf_.data(); }
  const std::vector<GgufFile>& gguf_parts() const { return gguf_; }  // all parts; one if not split; empty: a folder

  // Whether a folder has a config.json; true for a GGUF file, whose keys replace it.
  bool HasConfig() const;
  // Throws Error. For a folder without config.json, the error suggests what the folder may be.
  ModelConfig ReadConfig(std::vector<std::string>* warnings = nullptr) const;

  // Whether there is anything of the name tokenizer.json; whether it can be read is for ReadTokenizer.
  bool HasTokenizer() const;
  // Throws Error if there is none or it cannot be read.
  Tokenizer ReadTokenizer(TokenizerOptions options = {}) const;

  struct Text {
    std::string text;
    std::string from;   // the file or key: "generation_config.json", "stablelm.generation_config"
    std::string where;  // for errors
  };
  // Reads a small file by its name in a folder; nullopt if the model does not have it. Throws Error if it is larger
  // than
  // max_bytes.
  std::optional<Text> ReadText(std::string_view name, size_t max_bytes) const;

 private:
  ModelSource() = default;
  std::filesystem::path path_;
  std::string name_;
  std::vector<GgufFile> gguf_;
};

}  // namespace stablelm
