#include "checkpoint/huggingface/shard_index.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

constexpr size_t kMaxTensors = 1'000'000;

bool IsPlainFileName(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.size() > 255) return false;
  for (const char c : name) {
    if (c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20) return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> ShardIndex::Files() const {
  std::set<std::string> files;
  for (const auto& [tensor, file] : file_of) files.insert(file);
  return {files.begin(), files.end()};
}

ShardIndex ParseShardIndex(std::string_view json, const std::string& where) {
  const auto fail = [&](const std::string& what, const std::string& found, const std::string& expected) {
    throw Error({.where = where, .what = what, .found = found, .expected = expected});
  };
  const nlohmann::json root = ParseStrictJson(json, where);
  const auto map = root.is_object() ? root.find("weight_map") : root.end();
  if (map == root.end() || !map->is_object()) fail("not an index of shards", {}, "an object with a \"weight_map\"");
  if (map->empty()) fail("the \"weight_map\" is empty", {}, {});
  if (map->size() > kMaxTensors) fail("too many tensors", std::to_string(map->size()), {});
  ShardIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail("the file of the tensor " + Quoted(tensor) + " is not a string", {}, {});
    const auto& name = file.get_ref<const std::string&>();
    if (!IsPlainFileName(name)) fail("unsafe file name of the tensor " + Quoted(tensor), Quoted(name), "a plain name");
    index.file_of[tensor] = name;
  }
  return index;
}

}  // namespace stablelm
