// A helper program that writes to a pipe what it makes of a file.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/read/byte_source.h"

namespace stablelm {

struct HelperCommand {
  std::filesystem::path program;
  std::vector<std::string> arguments;
  std::filesystem::path input;  // its standard input: a regular file, handed over open
  double patience_s = 120;      // it counts as hanging when nothing comes for so long while it is waited for
  std::string name;             // of the program, in errors
  // What to do about the message with which it failed.
  std::string (*hint)(std::string_view message) = nullptr;
};

// The helper's standard output. Ends, with its children, with this object, when it hangs, or when this program ends,
// however that ends. It has a process group of its own: an interrupt on the terminal is the caller's to handle. For one
// thread.
class HelperProcess final : public ByteSource {
 public:
  // Throws Error when it cannot be started.
  explicit HelperProcess(HelperCommand command);
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;
  ~HelperProcess() override;

  // 0: the helper has ended, with success. Throws Error, with the first line that it wrote to standard error, when it
  // ended with another exit code or by a signal, or hangs.
  size_t Read(char* into, size_t bytes) override;
  uint64_t consumed() const override { return received_; }  // bytes of the pipe, not of the file
  pid_t id() const { return child_; }                       // -1 after the end

 private:
  void Start();
  void StartWatcher();
  void WaitForOutput();  // until a byte or the end of the output comes
  void WaitForExit();
  void ReadErrors();
  int Reap();  // ends what still runs; returns the status of waitpid
  [[noreturn]] void FailHanging();
  void CloseAll();
  [[noreturn]] void Fail(const std::string& what, std::string hint = {}) const;

  HelperCommand command_;
  pid_t child_ = -1;
  // A shell that leads the process group, and kills it when the other end of its pipe is closed.
  pid_t watcher_ = -1;
  int leash_ = -1;
  int out_ = -1, err_ = -1;
  uint64_t received_ = 0;
  std::string errors_;  // the first bytes of its standard error
};

}  // namespace stablelm
