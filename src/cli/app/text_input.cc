// Reads input text from the command line, a file or a pipe.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/read_error.h"
#include "base/utf8.h"
#include "cli/app/options.h"
#include "cli/app/terminal_modes.h"

namespace stablelm {
namespace {

// Larger inputs are refused instead of read into memory; contexts and evaluation files are far smaller.
constexpr size_t kMaxInputBytes = size_t{8} << 30;

std::string ReadAll(int fd, const std::string& where) {
  std::optional<TerminalLoan> as_found;  // typed input needs echo and Ctrl-D, which a chat turns off
  if (isatty(fd) == 1) as_found.emplace();
  std::string text;
  struct stat info {};
  if (fstat(fd, &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      throw Error({.where = where, .what = "is a folder", .expected = "a file", .hint = "name a file in it"});
    }
    if (S_ISREG(info.st_mode) && info.st_size > 0) {
      text.reserve(std::min(static_cast<size_t>(info.st_size), kMaxInputBytes) + 1);
    }
  }
  constexpr size_t kStep = 1 << 20;
  while (true) {
    const size_t have = text.size();
    text.resize(std::max(have + 1, std::min(text.capacity(), have + kStep)));
    const ssize_t n = read(fd, text.data() + have, text.size() - have);
    text.resize(have + (n > 0 ? static_cast<size_t>(n) : 0));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailToRead(where, "cannot read", errno);
    if (n == 0) return text;
    if (text.size() > kMaxInputBytes) {
      throw Error({.where = where,
                   .what = "too much input",
                   .found = "more than 8 GiB",
                   .expected = "at most 8 GiB",
                   .hint = "split the file"});
    }
    if (text.capacity() - text.size() < 4096) text.reserve(text.capacity() * 2 + kStep);
  }
}

std::string Where(const TextInput& input) {
  if (input.text && *input.text != "-") return "the text on the command line";
  if (input.text) return "standard input";
  return input.file.empty() || input.file == "-" ? "standard input" : input.file;
}

}  // namespace

std::string ReadFileOrPipe(const std::string& path) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) FailToRead(path, "cannot open", errno);
  try {
    std::string text = ReadAll(fd, path);
    close(fd);
    return text;
  } catch (...) {
    close(fd);
    throw;
  }
}

void AddTextInput(CLI::App& app, TextInput& input, const std::string& positional) {
  AddText(app, positional, positional, input.text,
          "The input; - is standard input, which is also read when neither this nor --file is given");
  AddText(app, "--file", "FILE", input.file, "Read the input from FILE (- is standard input)");
  AddInvalidUtf8(app, input.replace_invalid);
}

void AddInvalidUtf8(CLI::App& app, bool& replace) {
  AddChoice(app, "--invalid-utf8", {"error", "replace"},
            "What to do with bytes that are not UTF-8: refuse (default), or put U+FFFD in their place",
            [&replace](size_t i) { replace = i == 1; });
}

std::string ReadRawInput(const TextInput& input, Output& out) {
  if (input.text && !input.file.empty()) {
    throw UsageError({.where = "--file",
                      .what = "input is given twice, on the command line and as a file",
                      .hint = "leave one of them out"});
  }
  if (input.text && *input.text != "-") return *input.text;
  if (!input.file.empty() && input.file != "-") return ReadFileOrPipe(input.file);
  if (isatty(STDIN_FILENO) == 1) out.Note("reading from the terminal; end with Ctrl-D");
  return ReadFileOrPipe("-");
}

std::string ReadTextInput(const TextInput& input, Output& out) {
  return CheckedUtf8(ReadRawInput(input, out), Where(input), input.replace_invalid);
}

std::string CheckedUtf8(std::string bytes, const std::string& where, bool replace) {
  if (!replace) {
    return RequiredUtf8(std::move(bytes), where, "--invalid-utf8 replace puts U+FFFD in place of such bytes");
  }
  if (utf8::FirstInvalid(bytes) == utf8::kValid) return bytes;
  return utf8::ReplaceInvalid(bytes);
}

std::string RequiredUtf8(std::string bytes, const std::string& where, const std::string& hint) {
  const size_t bad = utf8::FirstInvalid(bytes);
  if (bad == utf8::kValid) return bytes;
  throw Error({.where = where,
               .what = "not UTF-8 at byte " + std::to_string(bad),
               .found = Quoted(std::string_view(bytes).substr(bad, 4)),
               .expected = "UTF-8 text",
               .hint = hint});
}

}  // namespace stablelm
