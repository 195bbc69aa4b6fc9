#include "checkpoint/huggingface/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/write_error.h"
#include "checkpoint/describe/stored_tensor.h"
#include "checkpoint/huggingface/folder_hashes.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void FailFolder(const fs::path& where, const std::string& what, const std::string& hint = {}) {
  throw Error({.where = where.string(), .what = what, .hint = hint});
}

std::string ShardName(size_t i, size_t n) {
  if (n == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, n);
  return name;
}

}  // namespace

FolderWriter::FolderWriter(const fs::path& out, const ModelConfig& config, const WriterOptions& options)
    : folder_(out), table_(WeightTable(config)) {
  STABLELM_CHECK(options.dtype == DType::kF32 || options.dtype == DType::kF16 || options.dtype == DType::kBF16);
  STABLELM_CHECK(options.types.empty() || options.types.size() == table_.size());
  std::vector<std::vector<SafetensorsEntry>> shards(1);
  uint64_t shard_bytes = 0;
  for (size_t i = 0; i < table_.size(); ++i) {
    const WeightEntry& entry = table_[i];
    const DType type = options.types.empty() ? options.dtype : options.types[i];
    const uint64_t bytes = BytesOf(type, entry.shape.NumElements());
    if (!shards.back().empty() && bytes > options.max_shard_bytes - std::min(shard_bytes, options.max_shard_bytes)) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    places_.push_back({shards.size() - 1, shards.back().size()});
    shards.back().push_back({entry.name, type, entry.shape});
    shard_bytes += bytes;
    total_bytes_ += bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(i, shards.size());
    shards_.push_back(std::make_unique<SafetensorsWriter>(folder_.path() / name, shards[i],
                                                          std::map<std::string, std::string>{{"format", "pt"}},
                                                          folder_.target() / name));
  }

  if (shards.size() > 1) {
    JsonValue index;
    index["metadata"]["total_size"] = total_bytes_;
    index["weight_map"] = JsonValue::Object();
    for (size_t i = 0; i < table_.size(); ++i) {
      index["weight_map"][table_[i].name] = ShardName(places_[i].shard, shards.size());
    }
    WriteText("model.safetensors.index.json", index.Dump(2) + "\n");
  }
  WriteText("config.json", WriteConfig(config, options.dtype));
}

FolderWriter::FolderWriter(const fs::path& out) : folder_(out) {}

FolderWriter::~FolderWriter() = default;

void FolderWriter::WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
  shards_[places_[entry].shard]->WriteAt(places_[entry].entry, offset, bytes);
}

void FolderWriter::WriteText(const std::string& name, std::string_view text) {
  WriteTextFileAtomically(folder_.path() / name, text, folder_.target() / name);
}

void FolderWriter::CopyFile(const fs::path& source, const std::string& name) {
  std::error_code error;
  // Copy the content, not the symlink: files in the hub cache are symlinks into its folders.
  fs::copy_file(source, folder_.path() / name, error);
  if (error == std::errc::no_space_on_device || error == std::errc::file_too_large) {
    FailToWrite(folder_.target() / name, "cannot write", error.value());
  }
  if (error)
    FailFolder(source, "cannot copy it to " + (folder_.target() / name).string() + ": " + error.message(),
               "check its permissions and the room on the disk");
  fs::permissions(folder_.path() / name, fs::perms::owner_write, fs::perm_options::add, error);
  if (const int fd = open((folder_.path() / name).c_str(), O_RDONLY | O_CLOEXEC); fd >= 0) {
    fsync(fd);
    close(fd);
  }
}

void FolderWriter::CopyTokenizer(const fs::path& source) {
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
    std::error_code ignored;
    if (fs::is_regular_file(source / name, ignored)) CopyFile(source / name, name);
  }
}

SafetensorsWriter& FolderWriter::AddTensors(const std::string& name, const std::vector<SafetensorsEntry>& entries) {
  others_.push_back(std::make_unique<SafetensorsWriter>(
      folder_.path() / name, entries, std::map<std::string, std::string>{{"format", "pt"}}, folder_.target() / name));
  return *others_.back();
}

void FolderWriter::Commit(bool hashes) {
  for (const auto& shard : shards_) shard->Commit();
  for (const auto& other : others_) other->Commit();
  if (hashes) WriteText(kHashFile, HashFolder(folder_.path()));
  folder_.Commit();
}

uint64_t ParseByteSize(std::string_view text, const std::string& where) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(digits);
  struct Unit {
    std::string_view name;
    uint64_t factor;
  };
  constexpr Unit kUnits[] = {
      {"", 1},          {"B", 1},         {"KB", 1000},    {"MB", 1000 * 1000}, {"GB", 1000 * 1000 * 1000},
      {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
  if (digits > 0 && digits <= 18) {
    uint64_t value = 0;
    for (const char c : text.substr(0, digits)) value = value * 10 + static_cast<uint64_t>(c - '0');
    for (const Unit& known : kUnits) {
      if (known.name == unit) {
        if (const std::optional<uint64_t> bytes = CheckedMul(value, known.factor); bytes && *bytes > 0) return *bytes;
      }
    }
  }
  throw UsageError({.where = where,
                    .what = "not a size",
                    .found = Quoted(text),
                    .expected = "a whole number with B, KB, MB, GB, KiB, MiB or GiB, as in 5GB"});
}

}  // namespace stablelm
