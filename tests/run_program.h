// Runs the real program (kProgram) as a user would, and captures its output. A program for another processor runs in
// kEmulator.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "test_paths.h"

namespace stablelm {

struct ProgramResult {
  int exit_code = -1;  // 128 + signal after a signal, as in a shell
  std::string out;
  std::string err;
};

struct ProgramInput {
  std::string standard_input = {};
  std::map<std::string, std::string> environment = {};  // added to the test's environment
  std::string stdout_path = {};                         // open this file as stdout instead of capturing it
  bool close_stdout = false;                            // close the reading end of stdout before the program writes
  // Called about every 10 ms while the program runs, for tests that send signals.
  std::function<void(pid_t)> while_running = {};
  std::string program = kProgram;
};

inline ProgramResult RunProgramBinary(const std::vector<std::string>& arguments, const ProgramInput& input = {}) {
  const auto make_pipe = [](int(&ends)[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  };
  int in[2], out[2], err[2];
  make_pipe(in);
  make_pipe(out);
  make_pipe(err);
  // Prepare everything before fork: the child may call only async-signal-safe functions.
  std::vector<std::string> emulator;
  if (input.program == kProgram) {
    std::istringstream words(kEmulator);
    for (std::string word; words >> word;) emulator.push_back(word);
  }
  std::vector<char*> argv;
  for (std::string& word : emulator) argv.push_back(word.data());
  argv.push_back(const_cast<char*>(input.program.c_str()));
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> settings;
  for (const auto& [name, value] : input.environment) settings.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (char** e = environ; *e; ++e) {
    const std::string entry = *e;
    if (!input.environment.count(entry.substr(0, entry.find('=')))) environment.push_back(*e);
  }
  for (std::string& s : settings) environment.push_back(s.data());
  environment.push_back(nullptr);

  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    int to = out[1];
    if (!input.stdout_path.empty()) to = open(input.stdout_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(in[0], 0);
    dup2(to, 1);
    dup2(err[1], 2);
    signal(SIGPIPE, SIG_DFL);
    execve(argv[0], argv.data(), environment.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  if (input.close_stdout) {
    close(out[0]);
    out[0] = -1;
  }
  void (*old_pipe_handler)(int) = signal(SIGPIPE, SIG_IGN);
  fcntl(in[1], F_SETFL, O_NONBLOCK);

  ProgramResult result;
  size_t written = 0;
  const auto drain = [](int& fd, std::string& into) {
    char buffer[65536];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) {
      into.append(buffer, static_cast<size_t>(n));
    } else if (n == 0) {
      close(fd);
      fd = -1;
    }
  };
  while (out[0] >= 0 || err[0] >= 0) {
    if (in[1] >= 0) {
      if (written < input.standard_input.size()) {
        const ssize_t n = write(in[1], input.standard_input.data() + written, input.standard_input.size() - written);
        if (n > 0) written += static_cast<size_t>(n);
        if (n < 0 && errno != EAGAIN && errno != EINTR) written = input.standard_input.size();
      }
      if (written == input.standard_input.size()) {
        close(in[1]);
        in[1] = -1;
      }
    }
    struct pollfd fds[3] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {in[1], POLLOUT, 0}};
    poll(fds, 3, 10);
    if (out[0] >= 0 && fds[0].revents) drain(out[0], result.out);
    if (err[0] >= 0 && fds[1].revents) drain(err[0], result.err);
    if (input.while_running) input.while_running(child);
  }
  if (in[1] >= 0) close(in[1]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  signal(SIGPIPE, old_pipe_handler);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace stablelm
