// manifest.json: what a folder of prepared data holds and how it came about. No time, path, host or version in it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "dataset/prepare.h"
#include "prompt/chat_record.h"

namespace stablelm {

inline constexpr const char* kManifestFile = "manifest.json";

struct ShardFile {
  std::string name;
  uint64_t bytes = 0;
  std::string sha256;
};

JsonValue ManifestOf(const PrepareSetup& setup, const PreparedData& data, const std::vector<ShardFile>& files);
// The accounts alone, for --json.
JsonValue AccountJson(const PreparedData& data);

// What readers of prepared data need of the manifest.
struct Manifest {
  std::string name;
  int rules = 0;
  std::string tokenizer_hash;
  int64_t sequence_length = 0;
  std::string prompt_template;
  std::optional<ChatRecord> chat_record;
  std::vector<std::string> sources;             // by number
  std::vector<std::vector<std::string>> files;  // of each source, by number
  std::vector<std::string> licences;            // of each source; empty: not known
  std::vector<ShardFile> shards;
  JsonValue json;  // the whole, for showing; with every member that AccountText and VerifyPreparedData read
};

// Throws Error when the folder has no manifest or a malformed one.
Manifest ReadManifest(const std::filesystem::path& folder);

}  // namespace stablelm
