// Reads a recipe strictly: a program asks for each key by name, type, range and default, and whatever nobody asked for
// is an error. What was asked for is kept, with its value and origin: the settings in force.
//
//   RecipeFile file = RecipeFile::Read("recipe.yaml");
//   file.Set("sources.alpaca.limit=5");
//   const RecipeSettings settings = file.Visit([&](RecipeMap& top) {
//     recipe.seed = top.Whole("seed", 1, {0, kMostWhole});
//     top.Maps("sources", 1, [&](RecipeMap& source, size_t) { ... });
//   });
//
// Errors tell the place in the file (line, column) or the `--set` option that a value comes from (then a UsageError),
// what was found and what is expected. Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/function_ref.h"
#include "dataset/recipe_yaml.h"

namespace stablelm {

inline constexpr int64_t kMostWhole = std::numeric_limits<int64_t>::max();

struct WholeRange {
  int64_t least = 0, most = kMostWhole;
};
struct RealRange {
  double least = 0, most = std::numeric_limits<double>::max();
  bool above_least = false;  // least itself is refused
};

class RecipeFile;

// A map of the recipe while it is read. Each function names a key: absent keys have the fallback, null is refused
// unless "optional". Throws Error for a wrong type, value or choice.
class RecipeMap {
 public:
  // Whether the recipe or the command line gives it. Makes it a known key.
  bool Has(const std::string& key);
  bool HasNull(const std::string& key);  // whether null, or nothing, is its value

  bool Flag(const std::string& key, bool fallback);  // true or false
  int64_t Whole(const std::string& key, int64_t fallback, const WholeRange& range);
  double Real(const std::string& key, double fallback, const RealRange& range);
  std::string Text(const std::string& key, const std::string& fallback);
  std::string RequiredText(const std::string& key, const std::string& expected);  // not empty
  // One of `names`. `fallback` need not be among them.
  std::string Choice(const std::string& key, const std::string& fallback, std::span<const std::string> names);
  std::optional<std::string> OptionalText(const std::string& key, const std::optional<std::string>& fallback = {});
  std::optional<std::string> OptionalChoice(const std::string& key, const std::optional<std::string>& fallback,
                                            std::span<const std::string> names);
  std::optional<int64_t> OptionalWhole(const std::string& key, std::optional<int64_t> fallback,
                                       const WholeRange& range);
  std::vector<std::string> Texts(const std::string& key, const std::vector<std::string>& fallback = {});
  std::vector<std::string> Choices(const std::string& key, std::span<const std::string> names);  // some of `names`
  // A text or a list of at least one; the recipe must have it.
  std::vector<std::string> RequiredTexts(const std::string& key, const std::string& expected);

  // What the fallbacks of the keys that are asked for from now on are noted as.
  void FallbacksFrom(RecipeOrigin origin) { fallback_origin_ = origin; }

  // Reads the map `key`; an empty one when it is absent. `inherits`: its defaults are values that stand elsewhere in
  // the recipe, so they are not written into the resolved recipe.
  void Map(const std::string& key, FunctionRef<void(RecipeMap&)> read, bool inherits = false);
  // Reads a list of maps with at least `least` elements.
  void Maps(const std::string& key, size_t least, FunctionRef<void(RecipeMap&, size_t)> read);

  // Names a key that has no value of its own, with what holds then: "the tokenizer's".
  void NoteUnset(const std::string& key, const std::string& meaning);
  // What this map of a list is called in place of its number, in the names of settings and in errors.
  void Name(const std::string& name);

  // Refuses this map because `key` is missing, when all of it is read: a misspelt key explains a missing one.
  void Require(const std::string& key, const std::string& expected);
  // Throws an Error at the value of `key`, or at this map when it has none. `found`: the value, unless given.
  [[noreturn]] void Fail(const std::string& key, ErrorInfo info) const;

 private:
  friend class RecipeFile;
  // `at`: for errors, the map, or the one around it that the recipe has.
  RecipeMap(const RecipeFile& file, const RecipeNode* node, const RecipeNode& at, std::string path, bool inherits);
  const RecipeNode* Take(const std::string& key);  // its value; the key is known from now on
  std::string PathOf(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  [[noreturn]] void FailAt(const RecipeNode& node, ErrorInfo info) const;
  [[noreturn]] void WrongValue(const std::string& key, const RecipeNode& node, const std::string& expected) const;
  [[noreturn]] void UnknownChoice(const std::string& key, const RecipeNode& node,
                                  std::span<const std::string> names) const;
  void Keep(const std::string& key, RecipeNode value, const RecipeNode* from);
  void KeepText(const std::string& key, const std::optional<std::string>& value, const RecipeNode* from);
  std::string ScalarOf(const std::string& key, const RecipeNode& node, const std::string& expected) const;
  std::vector<std::string> TextsOf(const std::string& key, const RecipeNode& node, size_t least) const;
  void Finish();  // refuses keys that nobody asked for, then reports a missing one

  const RecipeFile& file_;
  const RecipeNode* node_;  // nullptr: the recipe does not have this map
  const RecipeNode& at_;
  std::string path_, label_;
  bool inherits_;
  RecipeOrigin fallback_origin_ = RecipeOrigin::kDefault;
  std::vector<std::string> known_;
  std::optional<ErrorInfo> missing_;
  RecipeNode kept_;
};

struct RecipeSetting {
  std::string key;    // "sources.alpaca.limit"
  std::string value;  // YAML on one line
  RecipeOrigin origin = RecipeOrigin::kDefault;
};

// Everything that was asked for.
class RecipeSettings {
 public:
  RecipeSettings() = default;
  RecipeSettings(RecipeNode top, std::vector<RecipeSetting> list) : top_(std::move(top)), list_(std::move(list)) {}
  const std::vector<RecipeSetting>& list() const { return list_; }
  const RecipeNode& top() const { return top_; }
  // The resolved recipe: reads back as the same settings. `origins`: a comment after what is not from the recipe.
  std::string Yaml(bool origins = false) const { return WriteRecipeYaml(top_, origins); }

 private:
  RecipeNode top_;
  std::vector<RecipeSetting> list_;
};

class RecipeFile {
 public:
  static RecipeFile Read(const std::filesystem::path& path);
  static RecipeFile Parse(std::string_view text, std::string where);
  // From values that were built by a program. `where` names them in errors.
  RecipeFile(RecipeNode top, std::string where);

  const std::string& where() const { return where_; }
  const RecipeNode& top() const { return top_; }

  // Names an element of a list of maps, for overrides; empty: it has none. The default is its text `name`.
  using ElementName = std::string (*)(const RecipeNode& element);
  // Overrides one value: "seed=3", "sources.0.limit=5", "sources.alpaca.path=[a.json, b.json]". A value that begins
  // with a quote or a bracket is YAML, any other is taken as it stands. Maps on the way are made; elements must exist.
  // A wrong key shows when the recipe is read. Throws UsageError.
  void Set(std::string_view assignment);
  void Set(std::string_view assignment, ElementName name_of);

  // As if the recipe did not have the key, which is not nested.
  void Remove(std::string_view key);
  // Removes it when an override made it null. Returns whether one did.
  bool RemoveIfUnset(std::string_view key);

  RecipeSettings Visit(FunctionRef<void(RecipeMap&)> read) const;

 private:
  friend class RecipeMap;
  RecipeNode top_;
  std::string where_;
};

}  // namespace stablelm
