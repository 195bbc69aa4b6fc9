// The recipe, tokenizer and template that `prepare` works with, from its arguments.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/app/output.h"
#include "dataset/prepare.h"
#include "dataset/recipe_file.h"

namespace stablelm {

struct PrepareInput {
  PrepareSetup setup;
  RecipeSettings settings;  // every setting in force, with its origin
};

// `what`: a recipe (.yaml, .yml), else a data file, folder, pattern or hub id, which is prepared with every default.
// `model`: -m, empty if not given; it gives tokenizer, template, system text and, where the recipe names none, the
// sequence length. Without it the recipe's `tokenizer` does. Prints warnings. Throws Error and UsageError.
PrepareInput ReadPrepareInput(const std::string& what, const std::string& model, const std::vector<std::string>& sets,
                              Output& out);

// A recipe to start from, for a data file: its kind, found out from its first rows, and its columns.
std::string RecipeToStartFrom(const std::filesystem::path& file);

}  // namespace stablelm
