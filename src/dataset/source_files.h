// Finds the files of a source: what `path` in a recipe stands for.
//
// A path is, in this order:
// 1. a file or a folder, relative to the recipe's folder; "~/" is the home folder;
// 2. a pattern of files if it has *, ? or [...] in it and the folder before these exists; ** stands for any folders.
//    Names that begin with a dot match patterns that do. A pattern names its files: the split does not matter;
// 3. a data set in the Hugging Face cache: ORG/NAME, ORG/NAME@REVISION or the address of its page; a file, a folder
//    or a pattern below it may follow: Anthropic/hh-rlhf/helpful-base. Found as its snapshot, a folder.
//
// A folder stands for its data files (.json .jsonl .ndjson .csv .tsv .parquet .arrow, in any case, also compressed;
// .txt if there is nothing else) at any depth; not those whose name, or folder's name, begins with "." or "_", nor
// those that describe a data set (dataset_info.json), nor those that `prepare` wrote, in a folder of their own. Links
// to folders are not followed. Of these, the split's:
// - A name like train-00000-of-00007.parquet tells the split before the numbers, exactly; all 7 must be there.
// - Otherwise a word of the file's name, else of the nearest folder's: train, training; validation, valid, val, dev;
//   test, testing, eval, evaluation; or the split that the recipe names.
// - If no file tells a split, all of them are "train".
// Files of several formats are an error: nobody knows whether they are the same rows.
//
// The files of each path are sorted by the bytes of their names; paths keep their order.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/recipe.h"

namespace stablelm {

struct SourceFile {
  std::filesystem::path path;  // to open
  // For manifests and reports, the same on every machine: relative to the folder, snapshot, or fixed part of the
  // pattern; of a file its name. A name that came before has "#2" appended.
  std::string name;
};

// Throws Error that names what was tried and what is there: nothing found, one file twice, missing shards, a link
// without target, an LFS pointer in place of a file. Appends to `left_out` a sentence for each folder with files whose
// names tell no split, left out because other names there tell one.
std::vector<SourceFile> FindSourceFiles(const SourceRecipe& source, const std::filesystem::path& recipe_folder,
                                        std::vector<std::string>* left_out = nullptr);
// The same of one path; of a folder, the first of these splits that it has. `where` begins the errors.
std::vector<SourceFile> FindDataFiles(const std::string& path, std::span<const std::string> splits,
                                      const std::filesystem::path& recipe_folder, const std::string& where,
                                      std::vector<std::string>* left_out = nullptr);
// Whether a path names a data set of the hub that the cache does not have, rather than a file that is not there: it
// begins with ORG/NAME, ORG is no folder, and it does not end like a data file.
bool IsMissingOnHub(const std::string& path, const std::filesystem::path& recipe_folder);

// How a data file's name ends, in lower case and without that of a compression: ".json". Empty for other files.
std::string_view DataExtension(std::string_view name);

// What a path is called without its folders and the extensions of data files: "a/qa.jsonl.gz" is "qa", the hub id
// "ORG/NAME@REVISION" is "NAME". Empty for a pattern.
std::string DataName(std::string_view path);

}  // namespace stablelm
