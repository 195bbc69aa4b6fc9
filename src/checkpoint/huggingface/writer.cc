#include "checkpoint/huggingface/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/temporary_paths.h"
#include "base/write_error.h"
#include "checkpoint/describe/stored_tensor.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Fail(const fs::path& where, const std::string& what, const std::string& hint = {}) {
  throw Error({.where = where.string(), .what = what, .hint = hint});
}

std::string ShardName(size_t i, size_t n) {
  if (n == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, n);
  return name;
}

}  // namespace

struct FolderWriter::WorkFolder {
  explicit WorkFolder(const fs::path& out) {
    std::error_code error;
    if (fs::exists(fs::symlink_status(out, error)) && !(fs::is_directory(out, error) && fs::is_empty(out, error))) {
      Fail(out, fs::is_directory(out, error) ? "the folder is not empty" : "there is a file of this name",
           "choose a new folder, or remove this one first");
    }
    const fs::path parent = out.has_parent_path() ? out.parent_path() : fs::path(".");
    if (!fs::is_directory(parent, error)) Fail(out, "its parent folder does not exist", "create " + parent.string());
    folder = TemporaryPath(parent / out.filename(), TemporaryPath::Kind::kFolder);
    folder.SetUsualPermissions();
  }
  const fs::path& path() const { return folder.path(); }
  TemporaryPath folder;
};

FolderWriter::FolderWriter(const fs::path& out, const ModelConfig& config, const WriterOptions& options)
    // "folder/" has an empty file name: the work folder needs a real one.
    : out_(out.has_filename() ? out : out.parent_path()),
      work_(std::make_unique<WorkFolder>(out_)),
      table_(WeightTable(config)) {
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
    shards_.push_back(std::make_unique<SafetensorsWriter>(
        work_->path() / name, shards[i], std::map<std::string, std::string>{{"format", "pt"}}, out_ / name));
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

FolderWriter::~FolderWriter() = default;

void FolderWriter::WriteAt(size_t entry, uint64_t offset, std::span<const std::byte> bytes) {
  shards_[places_[entry].shard]->WriteAt(places_[entry].entry, offset, bytes);
}

void FolderWriter::WriteText(const std::string& name, std::string_view text) {
  WriteTextFileAtomically(work_->path() / name, text, out_ / name);
}

void FolderWriter::CopyFile(const fs::path& source, const std::string& name) {
  std::error_code error;
  // Copy the content, not the symlink: files in the hub cache are symlinks into its folders.
  fs::copy_file(source, work_->path() / name, error);
  if (error == std::errc::no_space_on_device || error == std::errc::file_too_large) {
    FailToWrite(out_ / name, "cannot write", error.value());
  }
  if (error) Fail(source, "cannot copy it to " + (out_ / name).string() + ": " + error.message());
  fs::permissions(work_->path() / name, fs::perms::owner_write, fs::perm_options::add, error);
}

void FolderWriter::CopyTokenizer(const fs::path& source) {
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
    std::error_code ignored;
    if (fs::is_regular_file(source / name, ignored)) CopyFile(source / name, name);
  }
}

void FolderWriter::Commit() {
  for (const auto& shard : shards_) shard->Commit();
  // Renaming over an empty folder is atomic; over anything else it fails.
  if (const int error = work_->folder.MoveTo(out_, true); error != 0) {
    const fs::path beside = work_->folder.MoveBeside(out_);
    Fail(out_, std::string("cannot move the finished folder into place: ") + std::strerror(error),
         beside.empty() ? "choose another name and run again" : "what was written is " + beside.string());
  }
  const fs::path parent = out_.has_parent_path() ? out_.parent_path() : fs::path(".");
  if (const int dir = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); dir >= 0) {
    fsync(dir);
    close(dir);
  }
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
