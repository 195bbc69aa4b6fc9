#include "checkpoint/huggingface/shard_index.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/read_error.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

constexpr size_t kMaxIndexedTensors = 1'000'000;

// A path that stays in the folder of the index: without "..", of names as every system takes them.
bool IsBelow(std::string_view path) {
  constexpr size_t kMaxPath = 1024, kMaxName = 255;
  if (path.empty() || path.size() > kMaxPath || path.starts_with('/') || path.ends_with('/')) return false;
  for (const char c : path) {
    if (c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20) return false;
  }
  for (const std::filesystem::path& name : std::filesystem::path(path)) {
    if (name == ".." || name.native().size() > kMaxName) return false;
  }
  return std::filesystem::path(path).lexically_normal() != ".";
}

}  // namespace

std::vector<std::string> ShardIndex::Files() const {
  std::set<std::string> files;
  for (const auto& [tensor, file] : file_of) files.insert(file);
  return {files.begin(), files.end()};
}

ShardIndex ParseShardIndex(std::string_view json, const std::string& where) {
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected,
                        const std::string& hint = kDamagedFileHint) {
    throw Error({.where = where, .what = what, .found = found, .expected = expected, .hint = hint});
  };
  const nlohmann::json root = ParseStrictJson(json, where);
  const auto map = root.is_object() ? root.find("weight_map") : root.end();
  if (map == root.end() || !map->is_object()) fail("not an index of shards", {}, "an object with a \"weight_map\"");
  if (map->empty()) fail("the \"weight_map\" is empty", {}, {});
  if (map->size() > kMaxIndexedTensors) fail("too many tensors", std::to_string(map->size()), {});
  ShardIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail("the file of the tensor " + Quoted(tensor) + " is not a string", {}, {});
    const auto& name = file.get_ref<const std::string&>();
    if (!IsBelow(name)) {
      fail("the file of the tensor " + Quoted(tensor) + " is not in the folder of the index", Quoted(name),
           "a name, or a path below that folder", "move the file there, and write its name into the index");
    }
    index.file_of[tensor] = std::filesystem::path(name).lexically_normal().string();
  }
  return index;
}

}  // namespace stablelm
