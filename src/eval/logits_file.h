// Stores the logits of one model on disk while another one runs, so that two models need not be in memory together.
//
// In fp32, so nothing is lost; 4 V bytes per row (0.2 MB for StableLM). The file is unlinked as soon as it is created,
// so it disappears with the object or the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace stablelm {

// One thread. Throws Error when the folder is not writable, the disk is full, ...
class LogitsFile {
 public:
  // Reserves disk space for `rows` rows of V = `width` logits.
  LogitsFile(const std::filesystem::path& folder, uint64_t rows, size_t width);
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;
  ~LogitsFile();

  static uint64_t Bytes(uint64_t rows, size_t width) { return rows * width * sizeof(float); }

  // Write and read complete rows sequentially, each from its own offset; at most `rows` rows in total.
  void Write(std::span<const float> rows);
  void Read(std::span<float> rows);

 private:
  [[noreturn]] void Fail(const char* what, int error) const;

  const std::filesystem::path folder_;
  const uint64_t bytes_;
  int fd_ = -1;
  uint64_t written_ = 0, read_ = 0;
};

}  // namespace stablelm
