#include "checkpoint/gguf/gguf_parts.h"

#include <charconv>
#include <cstdio>

#include "base/counted.h"
#include "base/error.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNumber = "split.no", kCount = "split.count", kTensors = "split.tensors.count";
constexpr int64_t kMaxParts = 65535;  // the type of the keys
constexpr const char* kNameForm = "NAME-00001-of-00003.gguf";
constexpr size_t kMostShown = 8;  // missing parts listed in an error

int64_t PartsOf(const GgufHeader& header) {
  const int64_t count = header.Integer(kCount).value_or(1);
  if (count < 0 || count > kMaxParts) {
    header.Fail(kCount, "bad number of parts", std::to_string(count), "at most " + std::to_string(kMaxParts));
  }
  return count;
}

// The name of a part: everything before its number, and everything behind the number of parts.
struct PartName {
  fs::path folder;
  std::string before, behind;
  int64_t number = 0, count = 0;  // number from 1

  fs::path Of(int64_t part) const {
    char middle[48];
    std::snprintf(middle, sizeof middle, "-%05lld-of-%05lld", static_cast<long long>(part),
                  static_cast<long long>(count));
    return folder / (before + middle + behind);
  }
};

std::optional<int64_t> FiveDigits(std::string_view text) {
  int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<PartName> ParsePartName(const fs::path& file) {
  constexpr std::string_view kPattern = "-00001-of-00003";
  const std::string name = file.filename().string();
  const size_t of = name.rfind("-of-");
  if (of == std::string::npos || of < 6 || name[of - 6] != '-' || name.size() < of + 9) return std::nullopt;
  const auto number = FiveDigits(std::string_view(name).substr(of - 5, 5));
  const auto count = FiveDigits(std::string_view(name).substr(of + 4, 5));
  if (!number || !count || *number < 1 || *number > *count) return std::nullopt;
  return PartName{.folder = file.parent_path(),
                  .before = name.substr(0, of - 6),
                  .behind = name.substr(of - 6 + kPattern.size()),
                  .number = *number,
                  .count = *count};
}

[[noreturn]] void FailLaterPart(const GgufFile& file, int64_t number, int64_t count) {
  std::string hint = "give its first part, whose name is like " + std::string(kNameForm);
  if (const auto name = ParsePartName(file.path())) {
    std::error_code ignored;
    const fs::path first = name->Of(1);
    hint = "give its first part: " + first.string();
    if (!fs::exists(first, ignored)) hint += ", which is missing: download it too";
  }
  file.header().Fail(kNumber, "a later part of a model that is split over files",
                     "part " + std::to_string(number + 1) + " of " + std::to_string(count), "part 1", hint);
}

void RequireParts(const PartName& name, const fs::path& first) {
  std::vector<std::string> missing;
  size_t more = 0;
  for (int64_t part = 1; part <= name.count; ++part) {
    std::error_code ignored;
    const fs::path path = name.Of(part);
    if (fs::exists(path, ignored)) continue;
    missing.size() < kMostShown ? missing.push_back(path.filename().string()) : void(++more);
  }
  if (missing.empty()) return;
  const size_t count = missing.size() + more;
  throw Error({.where = first.string(),
               .what = "parts of the split model are missing: " + Joined(missing) +
                       (more ? " and " + std::to_string(more) + " more" : ""),
               .found = Counted(name.count - static_cast<int64_t>(count), "part"),
               .expected = std::to_string(name.count),
               .hint = "download them into " + (name.folder.empty() ? "this folder" : name.folder.string())});
}

// Throws Error unless `file` is part `number` (from 0) of the model that begins with `first`.
void RequirePart(const GgufFile& file, int64_t number, const GgufHeader& first) {
  constexpr const char* kHint = "the files are parts of different models: download all of one again";
  const GgufHeader& header = file.header();
  const auto require = [&](std::string_view key, int64_t expected) {
    const int64_t found = header.Integer(key).value_or(key == kTensors ? expected : 0);
    if (found != expected) {
      header.Fail(key, "not the part that its name says", std::to_string(found), std::to_string(expected), kHint);
    }
  };
  require(kNumber, number);
  require(kCount, PartsOf(first));
  if (const auto tensors = first.Integer(kTensors)) require(kTensors, *tensors);
}

}  // namespace

bool IsLaterPart(const GgufHeader& header) { return PartsOf(header) > 1 && header.Integer(kNumber).value_or(0) != 0; }

bool IsSplitKey(std::string_view key) { return key == kNumber || key == kCount || key == kTensors; }

std::vector<GgufFile> OpenGgufParts(const fs::path& file) {
  std::vector<GgufFile> parts;
  parts.emplace_back(file);
  const int64_t count = PartsOf(parts[0].header());
  if (count <= 1) return parts;
  const int64_t number = parts[0].header().Integer(kNumber).value_or(0);
  if (number != 0) FailLaterPart(parts[0], number, count);
  const std::optional<PartName> name = ParsePartName(file);
  if (!name || name->number != 1 || name->count != count) {
    char expected[64];
    std::snprintf(expected, sizeof expected, "NAME-00001-of-%05lld.gguf", static_cast<long long>(count));
    throw Error({.where = file.string(),
                 .what = "the first of " + std::to_string(count) +
                         " parts of a model, but its name does not say what the others are called",
                 .found = Quoted(file.filename().string()),
                 .expected = expected,
                 .hint = "give all parts the names that they had where they come from"});
  }
  RequireParts(*name, file);
  uint64_t tensors = parts[0].header().tensors.size();
  for (int64_t part = 2; part <= count; ++part) {
    parts.emplace_back(name->Of(part));
    RequirePart(parts.back(), part - 1, parts[0].header());
    tensors += parts.back().header().tensors.size();
  }
  const std::optional<int64_t> expected = parts[0].header().Integer(kTensors);
  if (expected && tensors != static_cast<uint64_t>(*expected)) {
    parts[0].header().Fail(kTensors, "the parts hold another number of tensors", std::to_string(tensors),
                           std::to_string(*expected), "a part is damaged or of another model: download them again");
  }
  return parts;
}

}  // namespace stablelm
