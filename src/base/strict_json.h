// Strict parser for small JSON configuration files: valid UTF-8, no duplicate keys (readers disagree about which one
// counts), no NUL bytes, limited depth. Takes what Python writes and Windows adds beyond the standard: NaN, Infinity
// and -Infinity are numbers, and a byte order mark at the start is skipped.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/json_value.h"

namespace stablelm {

// A number beyond the range of a double, such as 1e999: refused, or infinity as in Python.
enum class HugeNumbers { kRefused, kInfinite };

inline constexpr size_t kMaxJsonDepth = 64;

// `where` names the file in errors. Throws Error with line and column. Include <nlohmann/json.hpp> to use the result.
nlohmann::json ParseStrictJson(std::string_view text, const std::string& where, size_t max_depth = kMaxJsonDepth,
                               HugeNumbers huge = HugeNumbers::kRefused);
// Throws as ParseStrictJson does: for other parsers, whose errors do not say where.
void RequireStrictJson(std::string_view text, const std::string& where);
// A value for an error message, as in JSON: a string in quotes, a number without; truncated at max_bytes.
std::string ShownJson(const nlohmann::json& value, size_t max_bytes = 60);

// The value on one line, members sorted by name.
std::string JsonText(const nlohmann::json& value);
// A copy of the value to write, members sorted by name.
JsonValue JsonValueOf(const nlohmann::json& value);

}  // namespace stablelm
