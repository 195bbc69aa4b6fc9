// The logits of one model, kept on disk while another one runs, so that two models need not be in memory together.
//
// fp32, so nothing is lost; 4 V bytes a row (0.2 MB for StableLM). The file has no name from the beginning: it is gone
// when the object or the process is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace stablelm {

// One thread. Throws Error: a folder that cannot be written, a full disk, ...
class LogitsFile {
 public:
  // Room for `rows` rows of V = `width` logits is reserved at once.
  LogitsFile(const std::filesystem::path& folder, uint64_t rows, size_t width);
  LogitsFile(const LogitsFile&) = delete;
  LogitsFile& operator=(const LogitsFile&) = delete;
  ~LogitsFile();

  static uint64_t Bytes(uint64_t rows, size_t width) { return rows * width * sizeof(float); }

  // Whole rows, at most as many as there is room for: what is written and what is read goes on where it stopped.
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
