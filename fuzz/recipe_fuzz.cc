// Parses any bytes as a recipe, and those after a line "=== --set" as overrides of it: it is read or refused with an
// Error. A recipe that was read is written with every setting, and reads back the same; so does the tree of any YAML.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dataset/read_recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stablelm;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> sets;
  constexpr std::string_view kSets = "=== --set\n";
  if (const size_t at = text.find(kSets); at != std::string_view::npos) {
    std::string_view rest = text.substr(at + kSets.size());
    text = text.substr(0, at);
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      sets.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  try {
    const RecipeNode top = ParseRecipeYaml(text, "fuzz");
    if (top.kind == RecipeNode::Kind::kMap) {
      const std::string written = WriteRecipeYaml(top, false);
      STABLELM_CHECK(WriteRecipeYaml(ParseRecipeYaml(written, "written"), false) == written);
    }
  } catch (const Error& error) {
    // Escapes make the written text longer.
    STABLELM_CHECK(!error.info().where.starts_with("written") || size > kMostRecipeBytes / 8);
  }
  try {
    const LoadedRecipe loaded = ReadDataRecipe(RecipeFile::Parse(text, "fuzz"), "folder", sets);
    const std::string written = loaded.settings.Yaml();
    for (const bool origins : {false, true}) {
      const LoadedRecipe again = ReadDataRecipe(RecipeFile::Parse(loaded.settings.Yaml(origins), "written"), "folder");
      STABLELM_CHECK(again.recipe == loaded.recipe);
      STABLELM_CHECK(again.settings.Yaml() == written);
    }
  } catch (const Error& error) {
    STABLELM_CHECK(!error.info().where.starts_with("written") || size > kMostRecipeBytes / 8);
  }
  return 0;
}
