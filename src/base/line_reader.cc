#include "base/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/read_error.h"

namespace stablelm {
namespace {

constexpr size_t kPiece = size_t{1} << 18;

}  // namespace

LineReader::LineReader(const std::filesystem::path& path)
    : where_(path == "-" ? "standard input" : path.string()), fd_(path == "-" ? STDIN_FILENO : -1) {
  if (fd_ < 0) fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) FailToRead(where_, "cannot open", errno);
}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) close(fd_);
}

void LineReader::Rewind() {
  if (lseek(fd_, 0, SEEK_SET) < 0) FailToRead(where_, "cannot read", errno);
  buffer_.clear();
  begin_ = 0;
  number_ = 0;
  end_ = false;
}

bool LineReader::Fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t have = buffer_.size();
  buffer_.resize(have + kPiece);
  ssize_t n;
  do {
    n = read(fd_, buffer_.data() + have, kPiece);
  } while (n < 0 && errno == EINTR);
  buffer_.resize(have + (n > 0 ? static_cast<size_t>(n) : 0));
  if (n < 0) FailToRead(where_, "cannot read", errno);
  end_ = n == 0;
  return !end_;
}

std::optional<FileLine> LineReader::Next() {
  while (true) {
    FileLine line = {.number = ++number_, .text = {}, .too_long = false};
    size_t looked_at = 0;  // bytes of the line already searched for a newline
    size_t newline = buffer_.find('\n', begin_);
    while (newline == std::string::npos) {
      looked_at = buffer_.size() - begin_;
      if (looked_at > kMostLineBytes) {
        line.too_long = true;
        begin_ = buffer_.size();
        looked_at = 0;
      }
      if (end_ || !Fill()) break;
      newline = buffer_.find('\n', looked_at);
    }
    const bool ends = newline == std::string::npos;  // last line of the file, without a newline
    if (ends && begin_ == buffer_.size() && !line.too_long) return std::nullopt;
    const size_t end = ends ? buffer_.size() : newline;
    line.text = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = ends ? end : end + 1;
    if (line.too_long || line.text.size() > kMostLineBytes) {
      line.too_long = true;
      line.text = {};
      return line;
    }
    if (line.text.find_first_not_of(" \t\r") != std::string_view::npos) return line;
  }
}

void RequireRegularFile(const std::filesystem::path& path, const std::string& expected) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) FailToRead(path.string(), "cannot open", errno);
  if (S_ISREG(info.st_mode)) return;
  throw Error({.where = path.string(),
               .what = S_ISDIR(info.st_mode) ? "is a folder" : "is no regular file",
               .expected = expected,
               .hint = "name a file in place of it"});
}

}  // namespace stablelm
