// The planted faults of tests/data/dataset/faults, as far as readers and shapes of rows have to find them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "dataset/read/row_reader.h"
#include "dataset/read_recipe.h"
#include "dataset/rows/row_shapes.h"
#include "dataset/source_files.h"
#include "test_paths.h"

namespace stablelm {
namespace {

TEST(FaultsRows, AreFoundAndCounted) {
  const DataRecipe recipe = ReadDataRecipe(TestData("dataset/faults/faults.yaml")).recipe;
  const nlohmann::json all = nlohmann::json::parse(std::ifstream(TestData("dataset/faults/expected.json")));
  EXPECT_EQ(recipe.sources.size(), all.size());
  for (const SourceRecipe& source : recipe.sources) {
    SCOPED_TRACE(source.name);
    const nlohmann::json& expected = all.at(source.name);
    uint64_t rows = 0, broken = 0, repairs = 0, conversations = 0, placeholders = 0;
    std::map<std::string, int> problems;
    RowShaper shaper({.kind = source.kind, .columns = source.columns, .placeholders = source.clean.placeholders});
    for (const SourceFile& file : FindSourceFiles(source, recipe.folder)) {
      const std::unique_ptr<RowReader> reader = OpenRows(file.path);
      while (const std::optional<DataRow> row = reader->Next()) {
        EXPECT_EQ(row->index, rows);
        ++rows;
        repairs += row->repairs;
        if (!row->problem.empty()) {
          ++broken;
          continue;
        }
        const ShapedRow shaped = shaper.Shape(row->json);
        if (shaped.conversations.empty()) ++problems[shaped.problem.name];
        conversations += shaped.conversations.size();
        placeholders += shaped.placeholders;
      }
    }
    EXPECT_EQ(rows, expected.at("rows"));
    EXPECT_EQ(broken, expected.at("broken"));
    EXPECT_EQ(repairs, expected.at("repairs"));
    EXPECT_EQ(conversations, expected.at("conversations"));
    EXPECT_EQ(problems, expected.at("problems").get<decltype(problems)>());
    EXPECT_EQ(placeholders, expected.at("changes").value("placeholders", 0U));
  }
}

}  // namespace
}  // namespace stablelm
