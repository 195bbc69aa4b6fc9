#include "dataset/evaluation_sets.h"

#include <simdjson.h>

#include <memory>

#include "base/error.h"
#include "dataset/read/row_reader.h"

namespace stablelm {
namespace {

using simdjson::dom::element;

void AddTexts(const element& value, EvaluationTexts& texts) {
  std::string_view text;
  simdjson::dom::array list;
  simdjson::dom::object fields;
  if (value.get(text) == simdjson::SUCCESS) {
    size_t words = 0;
    bool space = true;
    for (const char c : text) {
      const bool now = c == ' ' || c == '\n' || c == '\t';
      words += space && !now ? 1 : 0;
      space = now;
    }
    if (words >= kLeastEvaluationWords) texts.Add(text);
  } else if (value.get(list) == simdjson::SUCCESS) {
    for (const element& one : list) AddTexts(one, texts);
  } else if (value.get(fields) == simdjson::SUCCESS) {
    for (const auto& field : fields) AddTexts(field.value, texts);
  }
}

// Empty: a set of the hub that is not on this machine.
std::vector<SourceFile> FilesOf(const std::string& set, const DataRecipe& recipe) {
  if (IsMissingOnHub(set, recipe.folder)) return {};
  // The split that is evaluated; a set without one is taken whole.
  const std::vector<std::string> splits = {"test", "validation", "train"};
  return FindDataFiles(set, splits, recipe.folder, "overlap " + Quoted(set));
}

}  // namespace

std::vector<SourceFile> EvaluationFiles(const DataRecipe& recipe) {
  std::vector<SourceFile> files;
  for (const std::string& name : recipe.overlap) {
    for (SourceFile& file : FilesOf(name, recipe)) files.push_back(std::move(file));
  }
  return files;
}

EvaluationSets ReadEvaluationSets(const DataRecipe& recipe, const SpillOptions& spill) {
  EvaluationSets sets{.texts = EvaluationTexts(spill), .checked = {}, .not_found = {}};
  simdjson::dom::parser parser;
  for (const std::string& name : recipe.overlap) {
    const std::vector<SourceFile> files = FilesOf(name, recipe);
    if (files.empty()) {
      sets.not_found.push_back(name);
      continue;
    }
    sets.checked.push_back(name);
    sets.texts.AddSet(name);
    for (const SourceFile& file : files) {
      const std::unique_ptr<RowReader> reader = OpenRows(file.path, {.duckdb = recipe.duckdb});
      while (const std::optional<DataRow> row = reader->Next()) {
        element value;
        if (!row->problem.empty()) continue;
        if (parser.parse(row->json.data(), row->json.size(), true).get(value) == simdjson::SUCCESS) {
          AddTexts(value, sets.texts);
        }
      }
    }
  }
  sets.texts.Seal();
  return sets;
}

}  // namespace stablelm
