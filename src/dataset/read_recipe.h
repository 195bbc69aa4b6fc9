// Recipes of data sets: YAML to a DataRecipe (docs/recipes.md lists the keys).
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "dataset/recipe.h"
#include "dataset/recipe_file.h"

namespace stablelm {

struct LoadedRecipe {
  DataRecipe recipe;
  RecipeSettings settings;  // every key with its value and origin
};

// Reads a recipe. `sets`: overrides, in order (RecipeFile::Set); sources go by number or name. `defaults`: the values
// of absent keys, `sources` excepted. Throws Error, or UsageError at an override.
LoadedRecipe ReadDataRecipe(const std::filesystem::path& path, std::span<const std::string> sets = {},
                            const DataRecipe& defaults = {});
// The same of a file that was parsed. `folder`: where relative paths start.
LoadedRecipe ReadDataRecipe(RecipeFile file, const std::filesystem::path& folder,
                            std::span<const std::string> sets = {}, const DataRecipe& defaults = {});

// The recipe of one data file that is named in place of a recipe: one source of kind auto, named after the file
// (DataName in dataset/source_files.h), as every source without a name is after its first path. What is no file or
// folder is a data set of the hub or a pattern. Overrides may leave out `sources.0.`: loss=all.
LoadedRecipe RecipeForFile(const std::filesystem::path& data_file, std::span<const std::string> sets = {},
                           const DataRecipe& defaults = {});

}  // namespace stablelm
