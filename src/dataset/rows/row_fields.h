// The values of a row by the names of its columns; a row that lacks one, or has another type, cannot be used. For the
// files of dataset/rows alone.
#pragma once

#include <simdjson.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataset/rows/row_shapes.h"

namespace stablelm {

// Thrown for a row that cannot be used. RowShaper::Shape catches it.
struct UnusableRow {
  RowProblem problem;
};

[[noreturn]] void RefuseRow(std::string name, std::string words);
// Names the columns that the row has, and the nearest.
[[noreturn]] void RefuseMissing(const simdjson::dom::object& row, std::string_view column);

// "a list"
const char* TypeNameOf(const simdjson::dom::element& value);

// Columns are named by paths with dots; a member whose own name has the dots goes first.
std::optional<simdjson::dom::element> FindField(const simdjson::dom::object& row, std::string_view path);
// A text, or a number or truth value as JSON spells it. null: no value.
std::optional<std::string> TextAt(const simdjson::dom::object& row, std::string_view path);
std::string RequiredText(const simdjson::dom::object& row, std::string_view path);
// The first of several names that the row has.
std::string RequiredText(const simdjson::dom::object& row, std::span<const std::string_view> names);
simdjson::dom::array RequiredList(const simdjson::dom::object& row, std::string_view path);
// Empty: none.
std::string IdOf(const simdjson::dom::object& row, std::string_view path = "id");

}  // namespace stablelm
