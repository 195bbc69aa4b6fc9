// Makes texts into valid UTF-8 JSON, as far as that is a matter of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stablelm {

// Replaces in JSON text, before it is parsed, each maximal ill-formed UTF-8 subpart (base/utf8.h) by U+FFFD and each
// escape of a lone surrogate (\ud83d without its other half; after `\\` it is no escape) by \ufffd. Returns their
// number; 0: nothing is wrong and `out` is as it was, else it holds the text. Any bytes may come.
uint64_t RepairJson(std::string_view json, std::string& out);

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 stay as they are.
void AppendJsonString(std::string_view text, std::string& out);

}  // namespace stablelm
