// Arrays that live in memory up to a budget, and in temporary files beyond it: the keys and signatures of millions of
// rows in bounded memory. The result is the same either way. Each object is for one thread at a time. Functions throw
// Error, with the path, when a temporary file cannot be written or read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
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
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();
  // Maps `size` zero bytes of an empty file, for reading and writing, until the end of this object. They are reserved,
  // so that the map never meets a full disk. They are page cache, not memory of the process.
  void* MapZeros(uint64_t size);
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_.path(); }
  int fd() const { return path_.fd(); }

 private:
  TemporaryPath path_;
  uint64_t size_ = 0;
  void* map_ = nullptr;  // [size_]
};

// An array that is written from front to back, then read.
template <typename T>
requires std::is_trivially_copyable_v<T>
class SpillVector {
 public:
  explicit SpillVector(SpillOptions options) : options_(std::move(options)) {}

  void Append(std::span<const T> values) {
    size_ += values.size();
    while (!values.empty()) {
      const size_t most =
          std::max<size_t>(1, (file_ ? kPieceBytes : std::max(kPieceBytes, options_.memory_bytes)) / sizeof(T));
      if (buffer_.size() >= most) Flush();
      const size_t count = std::min(values.size(), most - buffer_.size());
      if (buffer_.size() + count > buffer_.capacity()) {  // double, but never beyond the budget
        buffer_.reserve(std::min(most, std::max(buffer_.size() + count, 2 * buffer_.capacity())));
      }
      buffer_.insert(buffer_.end(), values.begin(), values.begin() + static_cast<ptrdiff_t>(count));
      values = values.subspan(count);
    }
  }
  void Append(const T& value) { Append(std::span<const T>(&value, 1)); }
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
    if (!file_) file_ = std::make_unique<SpillFile>(options_.target);
    file_->Append(buffer_.data(), buffer_.size() * sizeof(T));
    if (buffer_.capacity() * sizeof(T) > 4 * kPieceBytes) buffer_ = {};
    buffer_.clear();
  }

  SpillOptions options_;
  std::vector<T> buffer_;  // all values, or those after the file's
  std::unique_ptr<SpillFile> file_;
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
    if (!file_) file_ = std::make_unique<SpillFile>(options_.target);
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
  std::unique_ptr<SpillFile> file_;
  uint64_t size_ = 0;
};

// `count` values that begin as zero bytes and are read and written anywhere.
template <typename T>
requires std::is_trivially_copyable_v<T>
class ScratchArray {
 public:
  ScratchArray(uint64_t count, const SpillOptions& options) : count_(count) {
    const uint64_t bytes = count * sizeof(T);
    if (bytes <= options.memory_bytes || count == 0) {
      memory_.resize(static_cast<size_t>(count));
      values_ = memory_.data();
    } else {
      file_ = std::make_unique<SpillFile>(options.target);
      values_ = static_cast<T*>(file_->MapZeros(bytes));
    }
  }

  T& operator[](uint64_t i) { return values_[i]; }
  const T& operator[](uint64_t i) const { return values_[i]; }
  uint64_t size() const { return count_; }
  uint64_t spilled_bytes() const { return file_ ? file_->size() : 0; }

 private:
  T* values_ = nullptr;
  uint64_t count_;
  std::vector<T> memory_;
  std::unique_ptr<SpillFile> file_;
};
using ScratchNumbers = ScratchArray<uint32_t>;

}  // namespace stablelm
