// YAML text to a tree of values with their places, and back. A strict subset, so that a recipe means what it says:
// one document; keys are texts, unique in their map; no tags, no merge keys; aliases are copied, within the limits.
//
// A scalar keeps its spelling. What it means (text, number, flag) is decided by the key that reads it
// (dataset/recipe_file.h), so a text never turns into something else: `no` and `1.10` are texts where one is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// kCard: a default that the card of StableLM-Tuned-Alpha states.
enum class RecipeOrigin : uint8_t { kDefault, kCard, kRecipe, kCommandLine };
const char* NameOf(RecipeOrigin origin);  // "default", "card", "recipe", "command line"

struct RecipeKey {
  std::string text = {};
  int line = 0, column = 0;  // from 1, in code points; 0: not from a file
};

struct RecipeNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap } kind = Kind::kNull;
  std::string text = {};               // of a scalar
  bool quoted = false;                 // a scalar in quotes or a block: never a number, a flag or null
  std::vector<RecipeNode> items = {};  // elements of a list, values of a map
  std::vector<RecipeKey> keys = {};    // of a map, one for each item
  int line = 0, column = 0;            // as of a key
  RecipeOrigin origin = RecipeOrigin::kRecipe;
  std::string set = {};  // the override `KEY=VALUE` that it comes from; empty: none
  bool written = true;   // false: named among the settings, but left out when the tree is written

  const RecipeNode* Find(std::string_view key) const;  // value of a map; nullptr when there is none
  RecipeNode* Find(std::string_view key);
};

// What bounds the work on a hostile file. Nodes and bytes count copies made by aliases.
inline constexpr size_t kMostRecipeBytes = size_t{1} << 20;
inline constexpr size_t kMostRecipeNodes = 100'000;
inline constexpr size_t kMostRecipeDepth = 16;
inline constexpr size_t kMostRecipeKeyBytes = 100;  // written with escapes they stay below YAML's 1,024 characters

// A document without content is an empty map. Throws Error, with line and column.
RecipeNode ParseRecipeYaml(std::string_view text, const std::string& where);

// "FILE: line 3, column 14", or "--set KEY=VALUE", or FILE.
std::string PlaceOf(const RecipeNode& node, const std::string& where);

// The tree as YAML that reads back as the same values. `origins`: with a comment after each value that is not from the
// recipe, and nodes that are not written as comments.
std::string WriteRecipeYaml(const RecipeNode& top, bool origins);
// A value on one line.
std::string RecipeValueText(const RecipeNode& value);

// Whether a plain scalar would be read as null, a flag or a number.
bool IsNullWord(std::string_view text);
bool IsFlagWord(std::string_view text);
bool IsNumberWord(std::string_view text);

}  // namespace stablelm
