#pragma once
#include <string>
#include <string_view>

namespace stablelm {

// What a path is called without its folders and the extensions of data files: "a/qa.jsonl.gz" is "qa", the hub id
// "ORG/NAME@REVISION" is "NAME". Empty for a pattern.
std::string DataName(std::string_view path);

}  // namespace stablelm
