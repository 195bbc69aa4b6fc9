#include "dataset/source_files.h"

#include <array>

#include "base/utf8.h"
#include "checkpoint/huggingface/hub_cache.h"

namespace stablelm {
namespace {

constexpr std::array<std::string_view, 2> kCompressions = {".gz", ".zst"};
constexpr std::array<std::string_view, 7> kExtensions = {".json", ".jsonl",   ".ndjson", ".csv",
                                                         ".tsv",  ".parquet", ".txt"};

}  // namespace

std::string DataName(std::string_view path) {
  if (path.find('@') != std::string_view::npos && ParseHubId(path)) path = path.substr(0, path.rfind('@'));
  while (path.ends_with('/')) path.remove_suffix(1);
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.find_first_of("*?[") != std::string_view::npos) return "";
  for (const std::string_view end : kCompressions) {
    if (name.ends_with(end)) name.remove_suffix(end.size());
  }
  for (const std::string_view end : kExtensions) {
    if (name.ends_with(end)) {
      name.remove_suffix(end.size());
      break;
    }
  }
  return utf8::ReplaceInvalid(name.substr(0, 90));
}

}  // namespace stablelm
