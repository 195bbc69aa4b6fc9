// A model or tokenizer that a recipe names.
#pragma once

#include <filesystem>
#include <string>

namespace stablelm {

// The path below `folder`, the recipe's, if there is such a file or folder; else `written` as it is: a hub id, or what
// is nowhere.
inline std::string PathOrHubId(const std::filesystem::path& folder, const std::string& written) {
  std::error_code error;
  const std::filesystem::path below = folder / written;
  return std::filesystem::exists(below, error) ? below.string() : written;
}

}  // namespace stablelm
