#include "checkpoint/huggingface/folder_hashes.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBytes = size_t{16} << 20;
constexpr size_t kHexDigits = 64;

[[noreturn]] void Damaged(const fs::path& file, const std::string& what, const std::string& found = {},
                          const std::string& expected = {}) {
  throw Error(
      {.where = file.string(), .what = what, .found = found, .expected = expected, .hint = "copy the folder again"});
}

}  // namespace

std::string HashFolder(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != kHashFile) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  std::string text;
  for (const std::string& name : names) text += Sha256HexOfFile(folder / name) + "  " + name + "\n";
  return text;
}

std::string CheckFolderHashes(const fs::path& folder, const std::function<void(size_t)>& on_bytes) {
  const std::string text = ReadTextFile(folder / kHashFile, kMostBytes);
  std::istringstream lines(text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string name = line.size() > kHexDigits + 2 ? line.substr(kHexDigits + 2) : "";
    if (name.empty() || name.find('/') != std::string::npos || name == "..") {
      Damaged(folder / kHashFile, "line " + std::to_string(number) + " is not a hash and a file's name", Quoted(line));
    }
    std::error_code error;
    if (!fs::is_regular_file(folder / name, error)) Damaged(folder / name, "the file is missing");
    const std::string hash = Sha256HexOfFile(folder / name, on_bytes);
    if (hash != line.substr(0, kHexDigits)) {
      Damaged(folder / name, "the file is not the one that was written", "SHA-256 " + hash, line.substr(0, kHexDigits));
    }
  }
  if (number == 0) Damaged(folder / kHashFile, "it names no file");
  return Sha256Hex(text);
}

std::string HashOfHashes(const fs::path& folder) { return Sha256Hex(ReadTextFile(folder / kHashFile, kMostBytes)); }

}  // namespace stablelm
