#include "cli/app/load_tokenizer.h"

#include <filesystem>

#include "base/error.h"
#include "base/shell_word.h"
#include "checkpoint/huggingface/hub_cache.h"
#include "cli/app/bundled_model.h"

namespace stablelm {
namespace {

Tokenizer WithWarnings(Tokenizer tokenizer, Output& out) {
  for (const std::string& warning : tokenizer.warnings()) out.Warning(warning);
  return tokenizer;
}

}  // namespace

bool NamesModel(const std::string& text) {
  constexpr size_t kLongestPath = 4096;
  if (text.empty() || text.size() > kLongestPath || text == "-") return false;
  std::error_code error;
  if (text.ends_with(".gguf") || std::filesystem::exists(text, error)) return true;
  const std::optional<HubId> id = ParseHubId(text);
  if (!id) return false;
  try {
    FindInHubCache(HubCacheFolder(), *id);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void RequireModelsName(const std::string& word, const std::string& command) {
  if (word.find('/') != word.npos || NamesModel(word)) return;
  throw UsageError({.where = command,
                    .what = "no such model",
                    .found = Quoted(word),
                    .expected = "a model folder, a .gguf file or a hub id",
                    .hint = "check the path. Before a text the model comes first: stablelm run MODEL TEXT; without "
                            "one: stablelm run -p TEXT"});
}

Tokenizer LoadTokenizer(const std::string& model, const std::string& tokenizer_file, Output& out,
                        const std::string& text) {
  if (model.empty() == tokenizer_file.empty()) {
    const bool names_model = NamesModel(text);
    throw UsageError({.where = "-m, --tokenizer",
                      .what = model.empty() ? "no tokenizer is named" : "two tokenizers are named",
                      .expected = "a model (-m DIR) or a file (--tokenizer tokenizer.json)",
                      .hint = names_model && model.empty() ? "a model is named by -m here: -m " + ShellWord(text)
                              : model.empty()
                                  ? "the environment variable STABLELM_MODEL names a model too" + WhereBundledModelIs()
                                  : "leave one of them out"});
  }
  if (model.empty()) return WithWarnings(Tokenizer::FromFile(tokenizer_file), out);
  return LoadTokenizer(*ModelSource::Open(model), out);
}

Tokenizer LoadTokenizer(const ModelSource& source, Output& out) {
  if (!source.gguf() && !source.HasTokenizer()) {
    throw Error({.where = source.path().string(),
                 .what = "the model has no tokenizer",
                 .expected = "tokenizer.json in the folder",
                 .hint = "copy the file there, or name it: --tokenizer FILE"});
  }
  TokenizerOptions options;
  if (source.HasConfig()) options.model_vocab_size = source.ReadConfig().vocab_size;
  return WithWarnings(source.ReadTokenizer(options), out);
}

}  // namespace stablelm
