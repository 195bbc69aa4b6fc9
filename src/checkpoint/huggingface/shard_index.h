// The index of a sharded checkpoint: model.safetensors.index.json or pytorch_model.bin.index.json.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct ShardIndex {
  std::map<std::string, std::string> file_of;  // tensor name -> file, a path below the folder of the index
  std::vector<std::string> Files() const;      // unique, sorted
};

// `where` names the index in errors. Throws Error, also for files outside the folder.
ShardIndex ParseShardIndex(std::string_view json, const std::string& where);

}  // namespace stablelm
