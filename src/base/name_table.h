// Names of an enum's values, in a table: from value to name and back.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace stablelm {

template <typename Value>
using NameTable = std::span<const std::pair<Value, const char*>>;

// The name of a value that the table holds.
template <typename Value>
const char* NameIn(NameTable<Value> table, Value value) {
  for (const auto& [one, name] : table) {
    if (one == value) return name;
  }
  STABLELM_CHECK(false);
}

template <typename Value>
std::vector<std::string> NamesIn(NameTable<Value> table) {
  std::vector<std::string> names;
  for (const auto& [value, name] : table) names.emplace_back(name);
  return names;
}

template <typename Value>
std::optional<Value> FindIn(NameTable<Value> table, std::string_view name) {
  for (const auto& [value, one] : table) {
    if (one == name) return value;
  }
  return std::nullopt;
}

}  // namespace stablelm
