// The index of a sharded checkpoint: model.safetensors.index.json or pytorch_model.bin.index.json.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

struct ShardIndex {
  std::map<std::string, std::string> file_of;  // tensor name -> file name, a plain name without folders
  std::vector<std::string> Files() const;      // unique, sorted
};

// `where` names the index in errors. Throws Error, also for file names outside the folder.
ShardIndex ParseShardIndex(std::string_view json, const std::string& where);

}  // namespace stablelm
