#include "generate/batch/run_lines.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/read_error.h"
#include "base/write_error.h"

namespace stablelm {
namespace {

constexpr size_t kPiece = size_t{1} << 18;
constexpr size_t kHeadBytes = 64;  // of a line: enough for RunLineHead and the key after it

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what, int error) {
  std::string hint = HintToRead(error);
  if (error == ENOENT) hint = "the folder does not exist: create it first";
  if (IsNotPermitted(error)) hint = "choose a folder that you may write to";
  if (error == ENOSPC || error == EDQUOT) hint = "free some disk space; the same command then goes on";
  throw Error({.where = path.string(), .what = what + ": " + std::strerror(error), .hint = hint});
}

}  // namespace

std::string RunLineHead(uint64_t index) { return "{\"index\":" + std::to_string(index) + ","; }

RunLines::RunLines(const std::filesystem::path& path) : path_(path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    Fail(path, "cannot open", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    throw Error({.where = path.string(),
                 .what = S_ISDIR(info.st_mode) ? "is a folder" : "is no regular file",
                 .expected = "a file, so that an interrupted run can be resumed",
                 .hint = "name a file that does not exist yet"});
  }
  Open(0);
  try {
    Scan();
  } catch (...) {
    close(fd_);
    throw;
  }
}

RunLines::~RunLines() {
  if (fd_ >= 0) close(fd_);
}

void RunLines::Open(int flags) {
  fd_ = open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | flags, 0666);
  if (fd_ < 0) Fail(path_, "cannot open", errno);
  int locked;
  do {
    locked = flock(fd_, LOCK_EX | LOCK_NB);
  } while (locked != 0 && errno == EINTR);
  if (locked == 0 || errno != EWOULDBLOCK) return;  // some network file systems do not support locks
  close(fd_);
  fd_ = -1;
  throw Error({.where = path_.string(),
               .what = "another run is writing it",
               .hint = "wait for its end, or name another `output`"});
}

void RunLines::TakeLine(std::string_view head, bool closed) {
  const std::string expected = RunLineHead(finished_);
  if (!head.starts_with(expected) || !closed) {
    throw Error({.where = path_.string() + ": line " + std::to_string(finished_ + 1),
                 .what = "this is no line of a run",
                 .found = Quoted(head, 40),
                 .expected = "a line that begins with " + expected + " and ends with }",
                 .hint = "name another `output`, or remove the file to begin anew"});
  }
  Count(head);
}

// Counts one more complete line.
void RunLines::Count(std::string_view line) {
  if (line.substr(RunLineHead(finished_).size()).starts_with("\"error\":")) ++failed_;
  ++finished_;
}

void RunLines::Scan() {
  std::vector<char> piece(kPiece);
  std::string head;  // the beginning of the current line
  char last = 0;     // last byte of it so far
  while (true) {
    const ssize_t n = read(fd_, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(path_, "cannot read", errno);
    if (n == 0) return;
    std::string_view rest(piece.data(), static_cast<size_t>(n));
    while (!rest.empty()) {
      const size_t newline = rest.find('\n');
      const std::string_view part = rest.substr(0, newline);
      if (head.size() < kHeadBytes) head += part.substr(0, kHeadBytes - head.size());
      if (!part.empty()) last = part.back();
      bytes_ += part.size();
      if (newline == std::string_view::npos) break;
      ++bytes_;
      TakeLine(head, last == '}');
      whole_ = bytes_;
      head.clear();
      last = 0;
      rest.remove_prefix(newline + 1);
    }
  }
}

void RunLines::Begin(bool anew) {
  if (fd_ < 0) {
    Open(O_CREAT);
    struct stat info {};
    if (fstat(fd_, &info) != 0) Fail(path_, "cannot open", errno);
    if (info.st_size > 0) {
      throw Error({.where = path_.string(), .what = "another run has just written it", .hint = "try again"});
    }
  }
  if (anew) whole_ = finished_ = failed_ = 0;
  if (ftruncate(fd_, static_cast<off_t>(whole_)) != 0) Fail(path_, "cannot write", errno);
  bytes_ = whole_;
}

void RunLines::Append(std::string_view line) {
  STABLELM_CHECK(fd_ >= 0 && line.starts_with(RunLineHead(finished_)) && line.ends_with('}'));
  STABLELM_CHECK(line.find('\n') == std::string_view::npos);
  std::string text;
  text.reserve(line.size() + 1);
  text.append(line).push_back('\n');
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fail(path_, "cannot write", n < 0 ? errno : ENOSPC);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  bytes_ += text.size();
  whole_ = bytes_;
  Count(line);
}

void RunLines::Sync() {
  if (fd_ >= 0 && fdatasync(fd_) != 0) Fail(path_, "cannot write", errno);
}

}  // namespace stablelm
