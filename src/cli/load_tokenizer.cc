#include "cli/load_tokenizer.h"

#include <filesystem>

#include "base/error.h"
#include "checkpoint/config.h"
#include "checkpoint/model_folder.h"

namespace stablelm {

Tokenizer LoadTokenizer(const std::string& model, const std::string& tokenizer_file, Output& out) {
  if (model.empty() == tokenizer_file.empty()) {
    throw UsageError({.where = "-m, --tokenizer",
                      .what = model.empty() ? "no tokenizer is named" : "two tokenizers are named",
                      .found = {},
                      .expected = "a model folder (-m DIR) or a file (--tokenizer tokenizer.json)",
                      .hint = {}});
  }
  std::filesystem::path file = tokenizer_file;
  TokenizerOptions options;
  if (!model.empty()) {
    const std::filesystem::path folder = ModelFolder::Resolve(model);
    file = folder / "tokenizer.json";
    if (!std::filesystem::exists(file)) {
      throw Error({.where = folder.string(),
                   .what = "the model has no tokenizer",
                   .found = {},
                   .expected = "tokenizer.json in the folder",
                   .hint = "copy the file there, or name it: --tokenizer FILE"});
    }
    const std::filesystem::path config = folder / "config.json";
    if (std::filesystem::exists(config)) options.model_vocab_size = ReadConfig(config).vocab_size;
  }
  Tokenizer tokenizer = Tokenizer::FromFile(file, options);
  for (const std::string& warning : tokenizer.warnings()) out.Warning(warning);
  return tokenizer;
}

}  // namespace stablelm
