// Arrays that live in memory up to a budget, and in temporary files beyond it: the keys and signatures of millions of
// rows in bounded memory. The result is the same either way. Each object is for one thread at a time. Functions throw
// Error, with the path, when a temporary file cannot be written or read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <queue>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/temporary_paths.h"

namespace stablelm {

struct SpillOptions {
  size_t memory_bytes = size_t{64} << 20;  // for all that one object holds; at least 64 KiB are used
  std::filesystem::path target;            // temporary files are made beside this path (base/temporary_paths.h);
                                           // empty: nothing may go beyond the budget

  SpillOptions Share(size_t parts) const { return {memory_bytes / parts, target}; }
};

// A temporary file that is appended to and read.
class SpillFile {
 public:
  explicit SpillFile(const std::filesystem::path& target);
  void Append(const void* bytes, size_t size);
  void Read(uint64_t offset, void* bytes, size_t size) const;
  // Reserves `size` zero bytes, so that a map of them never meets a full disk.
  void Reserve(uint64_t size);
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_.path(); }
  int fd() const { return path_.fd(); }

 private:
  TemporaryPath path_;
  uint64_t size_ = 0;
};

// An array that is written from front to back, then read.
template <typename T>
requires std::is_trivially_copyable_v<T>
class SpillVector {
 public:
  explicit SpillVector(SpillOptions options) : options_(std::move(options)) {}

  void Append(std::span<const T> values) {
    buffer_.insert(buffer_.end(), values.begin(), values.end());
    size_ += values.size();
    const size_t most = file_ ? kPieceBytes : std::max(kPieceBytes, options_.memory_bytes);
    if (buffer_.size() * sizeof(T) > most) Flush();
  }
  uint64_t size() const { return size_; }
  uint64_t spilled_bytes() const { return file_ ? file_->size() : 0; }

  // All values; nothing may be appended any more. Those in a file are mapped: page cache, not memory of the process.
  std::span<const T> Values() {
    if (!file_) return buffer_;
    if (!buffer_.empty()) Flush();
    if (map_.size() == 0) map_ = MappedFile(file_->path());
    return {reinterpret_cast<const T*>(map_.bytes().data()), static_cast<size_t>(size_)};
  }

 private:
  static constexpr size_t kPieceBytes = size_t{64} << 10;

  void Flush() {
    if (!file_) file_.emplace(options_.target);
    file_->Append(buffer_.data(), buffer_.size() * sizeof(T));
    if (buffer_.capacity() * sizeof(T) > 4 * kPieceBytes) buffer_ = {};
    buffer_.clear();
  }

  SpillOptions options_;
  std::vector<T> buffer_;  // all values, or those after the file's
  std::optional<SpillFile> file_;
  MappedFile map_;
  uint64_t size_ = 0;
};

// Sorts records by operator<: in memory, or as sorted runs in a temporary file that are merged.
template <typename Record>
requires std::is_trivially_copyable_v<Record>
class SortedRecords {
 public:
  explicit SortedRecords(SpillOptions options) : options_(std::move(options)) {
    options_.memory_bytes = std::max(options_.memory_bytes, size_t{64} << 10);
  }

  void Add(const Record& record) {
    if ((buffer_.size() + 1) * sizeof(Record) > options_.memory_bytes) Flush();
    if (buffer_.size() == buffer_.capacity()) {  // double, but never beyond the budget
      buffer_.reserve(std::min(std::max<size_t>(256, 2 * buffer_.size()), options_.memory_bytes / sizeof(Record)));
    }
    buffer_.push_back(record);
    ++size_;
  }
  uint64_t size() const { return size_; }
  uint64_t spilled_bytes() const { return file_ ? file_->size() : 0; }

  // Calls use(record) for all records in ascending order; once, and nothing may be added afterwards.
  template <typename F>
  void ForEach(F&& use) {
    if (!file_) {
      std::sort(buffer_.begin(), buffer_.end());
      for (const Record& record : buffer_) use(record);
      buffer_ = {};
      return;
    }
    if (!buffer_.empty()) Flush();
    buffer_ = {};
    constexpr size_t kLeast = 4096 / sizeof(Record) + 1;
    const size_t each = std::max(kLeast, options_.memory_bytes / sizeof(Record) / runs_.size());
    std::vector<Source> sources(runs_.size());
    const auto later = [](const Source* a, const Source* b) { return b->records[b->next] < a->records[a->next]; };
    std::priority_queue<Source*, std::vector<Source*>, decltype(later)> heads(later);
    for (size_t i = 0; i < runs_.size(); ++i) {
      sources[i].offset = runs_[i].offset;
      sources[i].left = runs_[i].records;
      if (Refill(sources[i], each)) heads.push(&sources[i]);
    }
    while (!heads.empty()) {
      Source* source = heads.top();
      heads.pop();
      use(source->records[source->next++]);
      if (source->next < source->records.size() || Refill(*source, each)) heads.push(source);
    }
  }

 private:
  struct Run {
    uint64_t offset = 0;
    uint64_t records = 0;
  };
  struct Source {
    uint64_t offset = 0;
    uint64_t left = 0;
    std::vector<Record> records;
    size_t next = 0;
  };

  void Flush() {
    if (!file_) file_.emplace(options_.target);
    std::sort(buffer_.begin(), buffer_.end());
    runs_.push_back({file_->size(), buffer_.size()});
    file_->Append(buffer_.data(), buffer_.size() * sizeof(Record));
    buffer_.clear();
  }

  bool Refill(Source& source, size_t most) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(source.left, most));
    source.records.resize(count);
    source.next = 0;
    if (count == 0) return false;
    file_->Read(source.offset, source.records.data(), count * sizeof(Record));
    source.offset += count * sizeof(Record);
    source.left -= count;
    return true;
  }

  SpillOptions options_;
  std::vector<Record> buffer_;
  std::vector<Run> runs_;
  std::optional<SpillFile> file_;
  uint64_t size_ = 0;
};

// `count` numbers that begin as zero and are read and written anywhere.
class ScratchNumbers {
 public:
  ScratchNumbers(uint64_t count, const SpillOptions& options);
  ScratchNumbers(const ScratchNumbers&) = delete;
  ScratchNumbers& operator=(const ScratchNumbers&) = delete;
  ~ScratchNumbers();

  uint32_t& operator[](uint64_t i) { return numbers_[i]; }
  uint64_t spilled_bytes() const { return file_ ? file_->size() : 0; }

 private:
  uint32_t* numbers_ = nullptr;
  std::vector<uint32_t> memory_;
  std::optional<SpillFile> file_;
};

}  // namespace stablelm
