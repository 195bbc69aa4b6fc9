// The recipes under recipes/data: they read, say what their comments say, and the example's files have the rows it
// expects.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "dataset/read/row_reader.h"
#include "dataset/read_recipe.h"
#include "dataset/rows/row_shapes.h"
#include "dataset/source_files.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

fs::path Recipe(const std::string& name) { return TestData("../../recipes/data/" + name); }

std::string Content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

const SourceRecipe& Source(const DataRecipe& recipe, std::string_view name) {
  for (const SourceRecipe& source : recipe.sources) {
    if (source.name == name) return source;
  }
  ADD_FAILURE() << "no source " << name;
  return recipe.sources[0];
}

TEST(ShippedRecipes, ReadAndResolve) {
  size_t recipes = 0;
  for (const auto& entry : fs::directory_iterator(TestData("../../recipes/data"))) {
    const LoadedRecipe loaded = ReadDataRecipe(entry.path());
    const std::string written = loaded.settings.Yaml();
    const LoadedRecipe again = ReadDataRecipe(RecipeFile::Parse(written, "resolved"), loaded.recipe.folder);
    EXPECT_EQ(again.recipe, loaded.recipe) << written;
    EXPECT_EQ(loaded.recipe.name, entry.path().stem());
    EXPECT_EQ(loaded.recipe.prompt_template, PromptTemplate::kStableLmTuned);
    for (const SourceRecipe& source : loaded.recipe.sources) EXPECT_NE(source.licence, "") << source.name;
    ++recipes;
  }
  EXPECT_EQ(recipes, 3U);
}

TEST(ShippedRecipes, DocumentationHasEveryKey) {
  const std::string page = Content(TestData("../../docs/recipes.md"));
  const LoadedRecipe loaded = ReadDataRecipe(Recipe("example.yaml"));
  for (const RecipeSetting& setting : loaded.settings.list()) {
    const std::string key = setting.key.substr(setting.key.rfind('.') + 1);
    EXPECT_TRUE(page.find("`" + key + "`") != std::string::npos || page.find(": " + key + "`") != std::string::npos)
        << key;
  }
}

TEST(ShippedRecipes, TheCardsSourcesAreCleanedEachInItsWay) {
  const DataRecipe recipe = ReadDataRecipe(Recipe("stablelm-tuned-alpha.yaml")).recipe;
  std::string names;
  for (const SourceRecipe& source : recipe.sources) {
    names += source.name + " ";
    EXPECT_TRUE(source.clean.english && source.clean.near_duplicates && source.clean.exact_duplicates) << source.name;
    EXPECT_EQ(source.system.kind, SystemRule::Kind::kDefault) << source.name;  // the card's text
  }
  EXPECT_EQ(names, "alpaca gpt4all hh dolly sharegpt ");
  EXPECT_EQ(Source(recipe, "hh").loss, LossRule::kLastAssistant);
  EXPECT_TRUE(Source(recipe, "alpaca").clean.placeholders);
  EXPECT_FALSE(Source(recipe, "alpaca").clean.html);  // answers that are HTML are answers
  EXPECT_TRUE(Source(recipe, "sharegpt").clean.html);
  EXPECT_TRUE(Source(recipe, "gpt4all").clean.end_markers);
}

TEST(ShippedRecipes, ChatCombinedHasTheAuthorsFormats) {
  const DataRecipe recipe = ReadDataRecipe(Recipe("chatcombined.yaml")).recipe;
  EXPECT_EQ(recipe.end, EndRule::kNone);
  EXPECT_EQ(recipe.waive, (std::vector{Audit::kTurnEnd, Audit::kTargetShare}));
  std::string names;
  for (const SourceRecipe& source : recipe.sources) {
    names += source.name + " ";
    EXPECT_EQ(source.manner, Manner::kChatCombined);
    EXPECT_EQ(source.loss, LossRule::kAll);
  }
  EXPECT_EQ(names, "alpaca gpt4all dolly sharegpt hh ");
  const SystemRule& system = Source(recipe, "hh").system;
  EXPECT_EQ(system, Source(recipe, "sharegpt").system);
  EXPECT_TRUE(system.text.starts_with("# StableAssistant\n- StableAssistant is A helpful"));
  EXPECT_TRUE(system.text.ends_with("harm a human."));

  // The mixture that is commented out.
  std::istringstream lines(Content(Recipe("chatcombined.yaml")));
  std::string line, variant;
  while (std::getline(lines, line)) {
    if (!variant.empty() || line == "# sources:") variant += line.substr(2) + "\n";
  }
  const DataRecipe mixture = ReadDataRecipe(RecipeFile::Parse(variant, "variant"), ".").recipe;
  EXPECT_EQ(mixture.sources.at(0).kind, SourceKind::kMarkers);
  EXPECT_EQ(mixture.sources.at(0).paths, std::vector<std::string>{"dmayhem93/ChatCombined"});
}

TEST(ShippedRecipes, EveryRowOfTheExampleIsUsable) {
  const DataRecipe recipe = ReadDataRecipe(Recipe("example.yaml")).recipe;
  EXPECT_TRUE(fs::exists(recipe.folder / recipe.tokenizer));
  std::map<std::string, size_t> rows;
  for (const SourceRecipe& source : recipe.sources) {
    const SourceKind kind = source.kind == SourceKind::kAuto ? SourceKind::kMessages : source.kind;
    RowShaper shaper({.kind = kind, .columns = source.columns});
    for (const SourceFile& file : FindSourceFiles(source, recipe.folder)) {
      const std::unique_ptr<RowReader> reader = OpenRows(file.path);
      while (const std::optional<DataRow> row = reader->Next()) {
        EXPECT_EQ(row->problem, "") << source.name << row->index;
        EXPECT_EQ(shaper.Shape(row->json).problem.words, "") << source.name << row->index;
        ++rows[source.name];
      }
    }
  }
  const std::map<std::string, size_t> expected = {{"alpaca", 24},   {"sharegpt", 17}, {"hh", 14}, {"dolly", 16},
                                                  {"messages", 13}, {"qa", 14},       {"text", 1}};
  EXPECT_EQ(rows, expected);
}

}  // namespace
}  // namespace stablelm
