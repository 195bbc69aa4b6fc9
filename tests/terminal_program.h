// Runs the real program on a pseudo-terminal, as a person at a keyboard would. Tests look at the raw bytes that it
// sends to the terminal.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "test_paths.h"

namespace stablelm {

struct TerminalSettings {
  unsigned short columns = 80, rows = 24;
  std::map<std::string, std::string> environment = {};  // in addition to TERM=xterm; an empty value removes a variable
  std::string stdout_path = {};                         // standard output goes to this file instead of the terminal
  std::string stdin_path = {};                          // standard input comes from this file
  std::string program = kProgram;
};

class TerminalProgram {
 public:
  explicit TerminalProgram(const std::vector<std::string>& arguments, const TerminalSettings& settings = {}) {
    // Prepare everything before fork: the child may call only async-signal-safe functions.
    std::vector<std::string> words;
    if (settings.program == kProgram) {
      std::istringstream emulator(kEmulator);
      for (std::string word; emulator >> word;) words.push_back(word);
    }
    words.push_back(settings.program);
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::map<std::string, std::string> variables = settings.environment;
    variables.emplace("TERM", "xterm");
    for (const char* name : {"EDITOR", "VISUAL", "NO_COLOR"}) variables.emplace(name, "");
    std::vector<std::string> set;
    for (const auto& [name, value] : variables) {
      if (!value.empty()) set.push_back(name + "=" + value);
    }
    std::vector<char*> environment;
    for (char** e = environ; *e; ++e) {
      const std::string entry = *e;
      if (!variables.contains(entry.substr(0, entry.find('=')))) environment.push_back(*e);
    }
    for (std::string& one : set) environment.push_back(one.data());
    environment.push_back(nullptr);
    const winsize size = {.ws_row = settings.rows, .ws_col = settings.columns, .ws_xpixel = 0, .ws_ypixel = 0};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ == 0) {
      if (!settings.stdout_path.empty()) {
        dup2(open(settings.stdout_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
      }
      if (!settings.stdin_path.empty()) dup2(open(settings.stdin_path.c_str(), O_RDONLY), STDIN_FILENO);
      execve(argv[0], argv.data(), environment.data());
      _exit(127);
    }
    EXPECT_GT(child_, 0);
  }
  ~TerminalProgram() {
    if (child_ > 0 && !waited_) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;

  void Type(const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = write(terminal_, bytes.data() + done, bytes.size() - done);
      ASSERT_GT(n, 0);
      done += static_cast<size_t>(n);
    }
  }

  // Waits until `text` has come after what the last Await found, and returns what came up to its end. Fails when it
  // does not come in time.
  std::string Await(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      if (const size_t found = all_.find(text, seen_); found != std::string::npos) {
        const size_t begin = seen_;
        seen_ = found + text.size();
        return all_.substr(begin, seen_ - begin);
      }
      if (!Read(deadline)) break;
    }
    ADD_FAILURE() << "no \"" << text << "\" in: " << all_.substr(seen_);
    return {};
  }

  // Waits for the end; 128 + signal after a signal, as in a shell.
  int Exit() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (Read(deadline)) {
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      ADD_FAILURE() << "the program goes on: " << all_.substr(seen_);
      return -1;
    }
    int status = 0;
    waitpid(child_, &status, 0);
    waited_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  void Signal(int number) const { kill(child_, number); }
  termios Modes() const {
    termios modes = {};
    EXPECT_EQ(tcgetattr(terminal_, &modes), 0);
    return modes;
  }
  const std::string& all() const { return all_; }  // everything that was read
  std::string rest() const { return all_.substr(seen_); }

 private:
  static constexpr std::chrono::seconds kPatience{20};  // much longer than any of it takes

  // Reads what comes next. Returns false at the end of the program or the deadline.
  bool Read(std::chrono::steady_clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd wait = {.fd = terminal_, .events = POLLIN, .revents = 0};
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[65536];
    const ssize_t n = read(terminal_, buffer, sizeof buffer);
    if (n <= 0) return false;  // EIO: no process has the terminal open any more
    all_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  pid_t child_ = -1;
  int terminal_ = -1;
  bool waited_ = false;
  std::string all_;
  size_t seen_ = 0;
};

}  // namespace stablelm
