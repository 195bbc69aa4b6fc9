#include "checkpoint/gguf/gguf_locate.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_kind.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/gguf_keys.h"
#include "checkpoint/gguf/gguf_parts.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> SortedFiles(const fs::path& folder, bool wanted(const fs::path&)) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (wanted(it->path())) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

enum class FoundKind : uint8_t { kModel, kLaterPart, kOther };
struct Candidate {
  FoundKind kind = FoundKind::kModel;
  std::string name;  // of the file, and in brackets what else it is: "imatrix.gguf (imatrix)"
  bool readable = true;
};

constexpr std::string_view kPointer = " (a Git LFS pointer)";

bool IsLfsPointer(const fs::path& path) {
  char start[256];
  std::ifstream in(path, std::ios::binary);
  in.read(start, sizeof start);
  return KindOf({start, static_cast<size_t>(in.gcount())}) == FileKind::kLfsPointer;
}

Candidate Describe(const fs::path& path) {
  Candidate found = {.name = path.filename().string()};
  try {
    const GgufFile file(path);
    const GgufHeader& header = file.header();
    const std::string type(header.Text("general.type").value_or("model"));
    if (IsLaterPart(header)) {
      found.kind = FoundKind::kLaterPart;
    } else if (type != "model") {
      found = {FoundKind::kOther, found.name + " (" + type + ")"};
    } else if (header.tensors.empty() && header.Integer("split.count").value_or(1) <= 1) {
      found = {FoundKind::kOther, found.name + " (no weights)"};
    }
  } catch (const Error&) {
    // It may be the model that is meant: when it is named, or is the only one, the error is shown. A Git LFS pointer is
    // none beside others, and neither is one that is named as a later part, whatever is wrong with it.
    found.readable = false;
    if (IsLfsPointer(path)) return {FoundKind::kOther, found.name + std::string(kPointer), false};
    const size_t of = found.name.rfind("-of-");
    if (of != std::string::npos && of >= 6 && found.name[of - 6] == '-' && found.name.substr(of - 5, 5) != "00001") {
      found.kind = FoundKind::kLaterPart;
    }
    if (found.kind == FoundKind::kModel) found.name += " (cannot be read)";
  }
  return found;
}

}  // namespace

bool HasGgufMagic(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return false;
  char magic[4] = {};
  std::ifstream in(file, std::ios::binary);
  if (!in.read(magic, sizeof magic)) return false;
  const std::string_view found(magic, sizeof magic);
  return found == "GGUF" || !OldGgmlKind(found).empty();
}

std::optional<fs::path> FindGgufModel(const fs::path& folder, bool needed) {
  std::error_code ignored;
  const bool has_config = fs::exists(folder / "config.json", ignored);
  std::vector<fs::path> files = SortedFiles(folder, IsGgufPath);
  if (files.empty() && !has_config) files = SortedFiles(folder, HasGgufMagic);
  if (files.empty()) return std::nullopt;
  if (files.size() == 1) return files[0];
  std::vector<fs::path> of_kind[3];
  std::vector<std::string> names[3];
  fs::path readable;  // the first such model
  for (const fs::path& file : files) {
    const Candidate candidate = Describe(file);
    of_kind[static_cast<size_t>(candidate.kind)].push_back(file);
    names[static_cast<size_t>(candidate.kind)].push_back(candidate.name);
    if (candidate.kind == FoundKind::kModel && candidate.readable && readable.empty()) readable = file;
  }
  const auto& [models, parts, others] = of_kind;
  if (models.size() == 1) return models[0];
  if (has_config && !needed) return std::nullopt;
  if (models.size() > 1) {
    throw Error({.where = folder.string(),
                 .what = "several GGUF files of models",
                 .found = Joined(names[0]),
                 .expected = "one model",
                 .hint = "name the file: " + (readable.empty() ? models[0] : readable).string()});
  }
  if (!parts.empty()) return parts[0];  // its error says which part is missing
  const bool pointer = std::ranges::any_of(names[2], [](const std::string& name) { return name.ends_with(kPointer); });
  throw Error({.where = folder.string(),
               .what = "none of the GGUF files is a model",
               .found = Joined(names[2]),
               .expected = "a model's weights",
               .hint = pointer ? "the repository was cloned without LFS: run `git lfs install && git lfs pull` in it"
                               : "is the download finished?"});
}

}  // namespace stablelm
