// The evaluation sets that a recipe names, so that their texts are not trained on.
#pragma once

#include <string>
#include <vector>

#include "dataset/clean/overlap.h"
#include "dataset/recipe.h"
#include "dataset/source_files.h"

namespace stablelm {

struct EvaluationSets {
  EvaluationTexts texts;               // sealed
  std::vector<std::string> checked;    // as the recipe names them
  std::vector<std::string> not_found;  // of the hub, and not in its cache
  bool empty() const { return checked.empty(); }
};

// Reads all files of each set. Its texts are the texts of its rows with at least kLeastEvaluationWords words:
// questions, passages, choices; not labels. Throws Error when a path is not there or a file cannot be read.
inline constexpr size_t kLeastEvaluationWords = 4;
EvaluationSets ReadEvaluationSets(const DataRecipe& recipe, const SpillOptions& spill);
// The files that it reads.
std::vector<SourceFile> EvaluationFiles(const DataRecipe& recipe);

}  // namespace stablelm
