// Finds the known name nearest to what was typed, for errors about unknown commands, flags and values.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace stablelm {

// Number of edits (insert, delete or replace a byte, swap two neighbours) that turn a into b.
size_t EditDistance(std::string_view a, std::string_view b);

// The nearest of `known` if it is near enough to be a likely typing error, else an empty string.
std::string NearestName(std::string_view typed, std::span<const std::string> known);

// A hint for an error message: "did you mean NAME?", or `otherwise` when no name is near enough.
std::string DidYouMean(std::string_view typed, std::span<const std::string> known, std::string_view otherwise = {});
// The same with the name in quotes, as a JSON key.
std::string DidYouMeanKey(std::string_view typed, std::span<const std::string> known);

}  // namespace stablelm
