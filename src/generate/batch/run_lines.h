// The output of a run over a file of prompts: a line of JSON for each, in the order of the prompts, and so the mark of
// how far the run has come. What is in the file when a run is killed stays; only a line that was torn is cut off.
//
// Every line begins with {"index":N, where N counts from 0; a prompt that failed has "error" as its next key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace stablelm {

// The beginning of line `index`: {"index":12,
std::string RunLineHead(uint64_t index);

// One thread. One process at a time: the file is locked as long as the object lives.
class RunLines {
 public:
  // Looks at the file, when there is one: counts its whole lines. Nothing is changed. Throws Error: it is no regular
  // file, another process writes it, a line is not the one that belongs there (named with its number).
  explicit RunLines(const std::filesystem::path& path);
  RunLines(const RunLines&) = delete;
  RunLines& operator=(const RunLines&) = delete;
  ~RunLines();

  bool empty() const { return bytes_ == 0; }       // no file, or nothing in it
  uint64_t finished() const { return finished_; }  // whole lines, those appended among them
  uint64_t failed() const { return failed_; }      // of those: errors

  // Makes the file ready for Append: creates it, cuts a torn last line off, or with `anew` all of it.
  void Begin(bool anew = false);
  // Writes the next line, which begins with RunLineHead(finished()), with its line end. It is the system's then: a
  // killed program loses nothing of it.
  void Append(std::string_view line);
  // Waits until the lines are on the disk.
  void Sync();

 private:
  void Open(int flags);
  void Scan();
  void TakeLine(std::string_view head, bool closed);
  void Count(std::string_view line);
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;  // of the file
  uint64_t whole_ = 0;  // bytes of the whole lines
  uint64_t finished_ = 0, failed_ = 0;
};

}  // namespace stablelm
