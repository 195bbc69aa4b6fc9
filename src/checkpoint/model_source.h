// Where a model lies: a folder in Hugging Face's layout, or one GGUF file; and its small files, which a GGUF file
// carries as values of keys (checkpoint/gguf/gguf_keys.h). No weights are looked at.
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

// Immutable; safe to share between threads.
class ModelSource {
 public:
  // A folder, a .gguf file, or a hub id "org/name[@revision]" that is looked up in the Hugging Face cache (a folder of
  // that name comes first). A folder without weights of Hugging Face's that holds one .gguf file is that file. Throws
  // Error.
  static std::shared_ptr<const ModelSource> Open(const std::string& path_or_hub_id);

  // A GGUF file of any name: one that is not in its place yet.
  static std::shared_ptr<const ModelSource> OpenGguf(const std::filesystem::path& file);

  const std::filesystem::path& path() const { return path_; }         // the folder, or the GGUF file
  const std::string& name() const { return name_; }                   // as the user gave it
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }  // null: a folder

  // Whether there is a config.json; a GGUF file says the same in its keys.
  bool HasConfig() const;
  // Throws Error, which says what a folder without config.json may be.
  ModelConfig ReadConfig(std::vector<std::string>* warnings = nullptr) const;

  bool HasTokenizer() const;
  // Throws Error when there is none or it cannot be read.
  Tokenizer ReadTokenizer(TokenizerOptions options = {}) const;

  struct Text {
    std::string text;
    std::string from;   // the file or key: "generation_config.json", "stablelm.generation_config"
    std::string where;  // for errors
  };
  // A small file by its name in a folder; empty when the model has none. Throws Error when it is larger than max_bytes.
  std::optional<Text> ReadText(std::string_view name, size_t max_bytes) const;

 private:
  ModelSource() = default;
  std::filesystem::path path_;
  std::string name_;
  std::optional<GgufFile> gguf_;
};

}  // namespace stablelm
