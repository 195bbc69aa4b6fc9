#include "dataset/rows/row_fields.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace stablelm {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

void RefuseRow(std::string name, std::string words) {
  throw UnusableRow{{.name = std::move(name), .words = std::move(words)}};
}

const char* TypeNameOf(const element& value) {
  switch (value.type()) {
    case element_type::ARRAY:
      return "a list";
    case element_type::OBJECT:
      return "an object";
    case element_type::STRING:
      return "a text";
    case element_type::BOOL:
      return "true or false";
    case element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

std::optional<element> FindField(const object& row, std::string_view path) {
  element value;
  if (row.at_key(path).get(value) == simdjson::SUCCESS) return value;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  object inner;
  if (row.at_key(path.substr(0, dot)).get(inner) != simdjson::SUCCESS) return std::nullopt;
  return FindField(inner, path.substr(dot + 1));
}

void RefuseMissing(const object& row, std::string_view column) {
  // The words go into the manifest: keys may be long, and many.
  constexpr size_t kMostKeys = 30, kLongestKey = 100;
  std::vector<std::string> keys;
  for (const auto& field : row) keys.emplace_back(field.key);
  const size_t all = keys.size();
  std::erase_if(keys, [](const std::string& key) { return key.size() > kLongestKey; });
  keys.resize(std::min(keys.size(), kMostKeys));
  std::string words = "no column " + Quoted(column) + "; the row has " + (keys.empty() ? "none" : Joined(keys));
  if (all > keys.size()) words += " and " + std::to_string(all - keys.size()) + " more";
  const std::string near = NearestName(column, keys);
  if (!near.empty()) words += "; did you mean " + Quoted(near) + "?";
  throw UnusableRow{{.name = "missing-column", .words = std::move(words), .missing_column = true}};
}

std::optional<std::string> TextAt(const object& row, std::string_view path) {
  const std::optional<element> value = FindField(row, path);
  if (!value || value->is_null()) return std::nullopt;
  std::string_view text;
  if (value->get(text) == simdjson::SUCCESS) return std::string(text);
  if (value->is_array() || value->is_object()) {
    RefuseRow("wrong-type", "column " + Quoted(path) + " is " + TypeNameOf(*value) + ", expected a text");
  }
  return simdjson::to_string(*value);
}

std::string RequiredText(const object& row, std::string_view path) {
  if (!FindField(row, path)) RefuseMissing(row, path);
  std::optional<std::string> text = TextAt(row, path);
  if (!text) RefuseRow("null-content", "column " + Quoted(path) + " is null");
  return *std::move(text);
}

std::string RequiredText(const object& row, std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    if (FindField(row, name)) return RequiredText(row, name);
  }
  RefuseMissing(row, names.front());
}

array RequiredList(const object& row, std::string_view path) {
  const std::optional<element> value = FindField(row, path);
  if (!value) RefuseMissing(row, path);
  array list;
  if (value->get(list) != simdjson::SUCCESS) {
    RefuseRow(value->is_null() ? "null-content" : "wrong-type",
              "column " + Quoted(path) + " is " + TypeNameOf(*value) + ", expected a list");
  }
  return list;
}

std::string IdOf(const object& row, std::string_view path) {
  const std::optional<element> value = FindField(row, path);
  if (!value || value->is_null() || value->is_array() || value->is_object()) return {};
  std::string_view text;
  return value->get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::to_string(*value);
}

}  // namespace stablelm
