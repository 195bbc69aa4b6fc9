#include "dataset/read/helper_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/read_error.h"

extern char** environ;

namespace stablelm {
namespace {

constexpr size_t kMostErrorBytes = size_t{1} << 16;

// A file descriptor that is closed at the end. Never 0, 1 or 2, which the helper gets anew.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd < 0 || fd > 2) return;
    fd_ = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// `group`: of the new process; 0: its own.
struct SpawnSettings {
  explicit SpawnSettings(pid_t group) {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, group);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

[[noreturn]] void FailToStart(const std::string& program, int error, const std::string& expected = {}) {
  std::string hint = "check that it is installed and may be run";
  if (error == EAGAIN) hint = "too many processes run: end some, or raise the limit, see `ulimit -u`";
  if (error == EMFILE || error == ENFILE || error == ENOMEM) hint = HintToRead(error);
  throw Error({.where = program,
               .what = std::string("cannot start: ") + std::strerror(error),
               .expected = expected,
               .hint = hint});
}

}  // namespace

HelperProcess::HelperProcess(HelperCommand command) : command_(std::move(command)) { Start(); }

HelperProcess::~HelperProcess() {
  Reap();
  CloseAll();
}

// The helper cannot be told to end with its parent: a setting of its process is not that of its children, and DuckDB's
// program of PyPI is a script that starts another. A process group is all of them, and the kernel closes the pipe of a
// program that is gone.
void HelperProcess::StartWatcher() {
  int ends[2] = {-1, -1};
  const bool piped = pipe2(ends, O_CLOEXEC) == 0;
  const int error = errno;
  Descriptor read_end(ends[0]), write_end(ends[1]);
  if (!piped) FailToStart("/bin/sh", error);
  SpawnSettings settings(0);
  posix_spawn_file_actions_adddup2(&settings.actions, read_end.get(), 0);
  posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&settings.actions, 2, "/dev/null", O_WRONLY, 0);
  std::string words[] = {"/bin/sh", "-c", "read -r line; kill -KILL 0"};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  const int failed = posix_spawn(&watcher_, "/bin/sh", &settings.actions, &settings.attributes, arguments, environ);
  if (failed != 0) {
    watcher_ = -1;
    FailToStart("/bin/sh", failed, "a shell, which ends " + command_.name + " with this program");
  }
  leash_ = write_end.Take();
}

void HelperProcess::Start() {
  const std::string input = command_.input.string();
  const Descriptor in(open(input.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) FailToRead(input, "cannot open", errno);
  int out[2] = {-1, -1}, err[2] = {-1, -1};
  const bool piped = pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0;
  const int error = errno;
  Descriptor out_read(out[0]), out_write(out[1]), err_read(err[0]), err_write(err[1]);
  if (!piped) FailToStart(command_.program.string(), error);
  fcntl(out_read.get(), F_SETPIPE_SZ, 1 << 20);  // fewer switches between the two; as it is where that is refused
  fcntl(err_read.get(), F_SETFL, O_NONBLOCK);

  StartWatcher();
  SpawnSettings settings(watcher_);
  posix_spawn_file_actions_adddup2(&settings.actions, in.get(), 0);
  posix_spawn_file_actions_adddup2(&settings.actions, out_write.get(), 1);
  posix_spawn_file_actions_adddup2(&settings.actions, err_write.get(), 2);
  std::string program = command_.program.string();
  std::vector<char*> words = {program.data()};
  for (std::string& argument : command_.arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  const int failed =
      posix_spawn(&child_, program.c_str(), &settings.actions, &settings.attributes, words.data(), environ);
  if (failed != 0) {
    child_ = -1;
    Reap();
    CloseAll();
    FailToStart(program, failed, "the program " + command_.name);
  }
  out_ = out_read.Take();
  err_ = err_read.Take();
}

size_t HelperProcess::Read(char* into, size_t bytes) {
  if (out_ < 0) return 0;
  WaitForOutput();
  ssize_t n;
  do {
    n = read(out_, into, bytes);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    received_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }
  // The exit code tells whether that was all.
  WaitForExit();
  const int status = Reap();
  ReadErrors();
  CloseAll();
  if (WIFSIGNALED(status)) {
    Fail("was ended by signal " + std::to_string(WTERMSIG(status)) + " before it had read the file",
         WTERMSIG(status) == SIGKILL ? "the system may have been out of memory; start it again" : "");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) Fail("cannot read the file");
  return 0;
}

void HelperProcess::WaitForOutput() {
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    const double waited_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double left_ms = (command_.patience_s - waited_s) * 1000;
    struct pollfd ready[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    const int n = poll(ready, 2, static_cast<int>(std::clamp(left_ms, 0.0, 1e6)));
    if (n < 0 && errno != EINTR) Fail(std::string("cannot be waited for: ") + std::strerror(errno));
    if (n > 0 && ready[1].revents != 0) ReadErrors();
    if (n > 0 && ready[0].revents != 0) return;
    if (n == 0 && left_ms <= 0) FailHanging();
  }
}

void HelperProcess::WaitForExit() {
  const auto start = std::chrono::steady_clock::now();
  const timespec pause = {0, 2'000'000};
  siginfo_t info = {};
  // It closed its output: what is left is its end, which is a matter of milliseconds and cannot be polled for.
  while (waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == 0) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > command_.patience_s) {
      FailHanging();
    }
    ReadErrors();
    nanosleep(&pause, nullptr);
  }
}

void HelperProcess::FailHanging() {
  Reap();
  CloseAll();
  Fail("gave nothing for " + std::to_string(static_cast<int>(command_.patience_s)) + " seconds and was stopped",
       "start it again; if it hangs every time, the file may be damaged");
}

void HelperProcess::ReadErrors() {
  char buffer[4096];
  ssize_t n;
  while (err_ >= 0 && ((n = read(err_, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))) {
    if (n < 0) continue;
    errors_.append(buffer, std::min(static_cast<size_t>(n), kMostErrorBytes - errors_.size()));
  }
  if (err_ >= 0 && n == 0) close(std::exchange(err_, -1));
}

int HelperProcess::Reap() {
  int status = 0;
  if (watcher_ > 0) kill(-watcher_, SIGKILL);  // its children too; the exit code of what has ended stays
  while (child_ > 0 && waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  while (watcher_ > 0 && waitpid(watcher_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = watcher_ = -1;
  return status;
}

void HelperProcess::CloseAll() {
  if (out_ >= 0) close(std::exchange(out_, -1));
  if (err_ >= 0) close(std::exchange(err_, -1));
  if (leash_ >= 0) close(std::exchange(leash_, -1));
}

void HelperProcess::Fail(const std::string& what, std::string hint) const {
  // One line says it; the lines after it point into the command.
  std::string_view line = errors_;
  line = line.substr(std::min(line.find_first_not_of("\r\n\t "), line.size()));
  line = line.substr(0, line.find_first_of("\r\n"));
  if (hint.empty() && command_.hint) hint = command_.hint(line);
  throw Error({.where = command_.input.string(),
               .what = command_.name + " " + what,
               .found = line.empty() ? "" : Quoted(line, 300),
               .hint = std::move(hint)});
}

}  // namespace stablelm
