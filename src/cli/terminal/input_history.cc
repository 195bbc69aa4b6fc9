#include "cli/terminal/input_history.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace stablelm {
namespace {

// The format is libedit's: this line, then entries as vis(3) writes them.
constexpr std::string_view kHeader = "_HiStOrY_V2_\n";

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

std::string Escaped(const std::string& entry) {
  std::string line;
  for (const char c : entry) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte != '\\' && byte != 0x7F) {
      line += c;
      continue;
    }
    line += '\\';
    for (const int shift : {6, 3, 0}) line += static_cast<char>('0' + ((byte >> shift) & 7));
  }
  return line + "\n";
}

std::string Unescaped(std::string_view line) {
  std::string entry;
  while (!line.empty()) {
    if (line.size() >= 4 && line[0] == '\\' && IsOctal(line[1]) && IsOctal(line[2]) && IsOctal(line[3])) {
      entry += static_cast<char>((line[1] - '0') * 64 + (line[2] - '0') * 8 + (line[3] - '0'));
      line.remove_prefix(4);
    } else if (line.starts_with("\\\\")) {
      entry += '\\';
      line.remove_prefix(2);
    } else if (line.size() >= 3 && line.starts_with("\\^")) {
      entry += static_cast<char>(line[2] == '?' ? 0x7F : line[2] & 0x1F);
      line.remove_prefix(3);
    } else {
      entry += line[0];
      line.remove_prefix(1);
    }
  }
  return entry;
}

// An open file with an exclusive lock; fd < 0 when it cannot be had.
struct LockedFile {
  LockedFile(const std::string& path, int flags) : fd(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~LockedFile() {
    if (fd >= 0) close(fd);
  }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;
  void WriteAll(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = write(fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  const int fd;
};

}  // namespace

std::vector<std::string> LoadHistory(const std::string& path, size_t most) {
  const LockedFile file(path, O_RDWR | O_APPEND);
  std::vector<std::string> entries;
  if (file.fd < 0) return entries;
  std::string text;
  char buffer[65536];
  for (ssize_t n = 0; (n = read(file.fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);) {
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
  }
  if (!text.starts_with(kHeader)) return entries;
  for (size_t begin = kHeader.size(); begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) entries.push_back(Unescaped(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  const bool shorten = entries.size() > 2 * most;
  if (entries.size() > most) entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(most));
  if (shorten && ftruncate(file.fd, 0) == 0) {
    std::string shorter(kHeader);
    for (const std::string& entry : entries) shorter += Escaped(entry);
    file.WriteAll(shorter);
  }
  return entries;
}

void AppendHistory(const std::string& path, const std::string& entry) {
  const LockedFile file(path, O_WRONLY | O_APPEND | O_CREAT);
  if (file.fd < 0) return;
  const bool empty = lseek(file.fd, 0, SEEK_END) == 0;
  file.WriteAll((empty ? std::string(kHeader) : std::string()) + Escaped(entry));
}

}  // namespace stablelm
