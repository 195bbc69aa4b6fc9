#include "cli/commands/out_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "base/ascii.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/shell_word.h"
#include "checkpoint/gguf/gguf_keys.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGguf = ".gguf";
// Files that are not written: a name like theirs is not that of a folder.
constexpr auto kOtherFiles = std::to_array<std::string_view>(
    {".onnx", ".bin", ".pt", ".pth", ".ckpt", ".safetensors", ".ggml", ".json", ".txt", ".zip", ".tar", ".gz", ".mlx"});

[[noreturn]] void Refuse(const std::string& out, const char* what, const std::string& expected,
                         const std::string& hint = {}) {
  throw UsageError({.where = "OUT", .what = what, .found = Quoted(out), .expected = expected, .hint = hint});
}

}  // namespace

OutKind OutKindOf(const std::string& out) {
  constexpr const char* kExpected = "a name that ends in .gguf, or the name of a folder";
  if (out == "-") Refuse(out, "a model is not written to standard output", kExpected);
  const std::string path = out.substr(0, out.find_last_not_of('/') + 1);  // without slashes at the end
  const bool slash = path.size() < out.size();
  const fs::path name = fs::path(path).filename();
  if (LowerAscii(name.string()) == kGguf) {
    Refuse(out, "there is no name before the ending", kExpected,
           "write " + path.substr(0, path.size() - kGguf.size()) + "model.gguf for a GGUF file");
  }
  if (IsGgufPath(path)) {
    if (slash) Refuse(out, "a folder with the name of a GGUF file", kExpected, "write " + path + " for a GGUF file");
    return OutKind::kGguf;
  }
  const std::string ending = LowerAscii(name.extension().string());
  if (!ending.empty() && EditDistance(ending, kGguf) <= 1) {
    Refuse(out, "an ending that is nearly .gguf", kExpected,
           "write " + path.substr(0, path.size() - ending.size()) + ".gguf for a GGUF file");
  }
  if (std::ranges::find(kOtherFiles, ending) != kOtherFiles.end()) {
    Refuse(out, "files of this kind are not written", kExpected);
  }
  return OutKind::kFolder;
}

void RequireOutKind(const std::string& out, OutKind kind) {
  if (kind == OutKind::kFolder) {
    if (out == "-") Refuse(out, "a model is not written to standard output", "the name of a folder");
    if (OutKindOf(out) == OutKind::kFolder) return;
    Refuse(out, "this command makes a folder", "the name of a folder",
           "make the folder, then: stablelm convert FOLDER " + ShellWord(out));
  }
  if (!out.ends_with('/') && IsGgufPath(out) && OutKindOf(out) == OutKind::kGguf) return;
  const std::string path = out.substr(0, out.find_last_not_of('/') + 1);
  const fs::path name = fs::path(path).filename();
  Refuse(out, "this command writes a GGUF file", "a name that ends in .gguf",
         name.empty() || out == "-" || LowerAscii(name.string()) == kGguf
             ? "such as model.gguf"
             : "other programs know these files by that ending, such as " +
                   (fs::path(path).replace_extension(kGguf)).string());
}

void RefuseExisting(const std::string& out) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(out, ignored))) return;
  throw Error({.where = out, .what = "file exists", .hint = "choose another name, or remove it first"});
}

}  // namespace stablelm
