// The output file of a run over a prompt file: one line of JSON per prompt, in the order of the prompts. Its length is
// the progress of the run: a killed run resumes after the last complete line, and only a torn line is cut off.
//
// Every line begins with {"index":N, counted from 0; a failed prompt has "error" as its next key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace stablelm {

// The beginning of line `index`: {"index":12,
std::string RunLineHead(uint64_t index);

// One thread. One process at a time: the object holds a lock on the file.
class RunLines {
 public:
  // Counts the complete lines of the file if it exists. Changes nothing. Throws Error when it is not a regular file,
  // when another process is writing it, and for an unexpected line (named with its number).
  explicit RunLines(const std::filesystem::path& path);
  RunLines(const RunLines&) = delete;
  RunLines& operator=(const RunLines&) = delete;
  ~RunLines();

  bool empty() const { return bytes_ == 0; }       // no file, or an empty one
  uint64_t finished() const { return finished_; }  // complete lines, including appended ones
  uint64_t failed() const { return failed_; }      // how many of them are errors

  // Prepares the file for Append: creates it, cuts off a torn last line, or with `anew` empties it.
  void Begin(bool anew = false);
  // Writes the next line, which must begin with RunLineHead(finished()), and a line end. The operating system then has
  // the line, so killing the program does not lose it.
  void Append(std::string_view line);
  // Waits until the lines are on disk (fdatasync).
  void Sync();

 private:
  void Open(int flags);
  void Scan();
  void TakeLine(std::string_view head, bool closed);
  void Count(std::string_view line);
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;  // of the file
  uint64_t whole_ = 0;  // bytes of the complete lines
  uint64_t finished_ = 0, failed_ = 0;
};

}  // namespace stablelm
