// What the passes over the sources gave, in a file beside OUT, so that an interrupted run need not read, clean and
// encode again: `prepare --resume` takes the rows from it and reads on after the last.
//
// OUT.stablelm.resume, little-endian
//   bytes 0-7     "SLMPASS1"
//   16 bytes      hash of the preparation's key (run_record.h)
//   then blocks   u64 size, 16 bytes: XXH3 of the block before's hash and the content, content
// The content of the blocks, one after the other, is a list of events: a file begins, a row, a file is dropped, a file
// ends. A block holds whole events. Blocks are only appended. One that was cut off or does not have its hash, as after
// kill -9 or a power failure, ends the list: it and what follows are dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "dataset/clean/hashes.h"
#include "dataset/source_pass.h"

namespace stablelm {

struct PassLogOptions {
  bool resume = false;
  size_t block_bytes = size_t{4} << 20;  // a run that gives less within the seconds below has no file
  double block_s = 5;
};

// For one thread. The destructor removes the file: only a run that is killed or interrupted leaves it. Throws Error
// when the file cannot be written or read.
class PassLog {
 public:
  // `key`: PreparationKey. Throws Error when an interrupted run's file is there and `resume` is not set, or when it is
  // of another preparation, or when a running program has it.
  PassLog(const std::filesystem::path& out, const std::string& key, const PassLogOptions& options);
  PassLog(const PassLog&) = delete;
  PassLog& operator=(const PassLog&) = delete;
  ~PassLog();

  // A file of a source; files come in the order of the passes.
  struct FileId {
    uint32_t source = 0, file = 0;
    std::string sha256;
  };
  // What the log has of the next file.
  struct Replayed {
    uint64_t rows = 0;
    bool ended = false;
    std::optional<std::string> dropped;  // why
  };
  // Calls begin(format) if the file had begun, and row(row) for each of its rows. nullopt: the log has nothing of it,
  // nor of any later one. Throws Error when the log has another file here.
  std::optional<Replayed> Replay(const FileId& id, FunctionRef<void(const std::string& format)> begin,
                                 FunctionRef<void(PassedRow&)> row);

  // What the pass finds beyond that.
  void BeginFile(const FileId& id, const std::string& format);
  void Row(const PassedRow& row);
  void DropFile(const std::string& why);
  void EndFile();

  uint64_t replayed_rows() const { return replayed_rows_; }
  uint64_t bytes() const { return size_; }  // of the file

  static std::filesystem::path PathOf(const std::filesystem::path& out);
  // Removes what a run that was killed after its last step left.
  static void RemoveLeftOver(const std::filesystem::path& out, const std::string& key);

 private:
  enum class Event : uint8_t { kFile = 1, kRow, kDropped, kEnd };

  void WriteHeader();
  std::optional<Event> NextEvent();
  bool NextBlock();
  void EndEvent();
  void WriteBlock();
  [[noreturn]] void Damaged() const;

  std::filesystem::path path_;
  ContentKey key_, chain_;  // of the last block
  PassLogOptions options_;
  int fd_ = -1;
  uint64_t size_ = 0;      // of the part of the file that was read or written
  std::string block_;      // while it is replayed the block that was read, else what is to be written
  std::string_view left_;  // of the block that is replayed
  bool replaying_ = false;
  uint64_t replayed_rows_ = 0;
  double written_s_ = 0;  // when the last block was written
};

}  // namespace stablelm
