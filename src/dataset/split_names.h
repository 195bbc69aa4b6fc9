// Which split of a data set a file belongs to, by its name (the rule is in dataset/source_files.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

enum class SplitMatch : uint8_t { kUntold, kWanted, kOther };
// `path`: of the file, from the folder of the data set. `split`: the one that is wanted.
SplitMatch MatchSplit(std::string_view path, std::string_view split);

// One of several files: "data/train-00002-of-00007-HASH.parquet" has base "data/train", index 2 and count 7.
struct ShardName {
  std::string base;
  uint64_t index = 0, count = 0;
};
std::optional<ShardName> ParseShardName(std::string_view path);

}  // namespace stablelm
