#include "cli/data/prepared_folder.h"

#include "base/error.h"
#include "checkpoint/model_source.h"
#include "cli/app/load_tokenizer.h"
#include "dataset/run_record.h"
#include "dataset/tokenizer_hash.h"

namespace stablelm {

Tokenizer TokenizerOfPrepared(const std::filesystem::path& folder, const Manifest& manifest, const std::string& model,
                              Output& out) {
  const std::string path = model.empty() ? TokenizerPathOf(folder) : model;
  std::error_code error;
  if (model.empty() && !std::filesystem::exists(path, error)) {
    throw Error({.where = folder.string(),
                 .what = "the tokenizer that it was prepared with is not where it was",
                 .found = Quoted(path),
                 .hint = "name the model, or its tokenizer.json: -m MODEL"});
  }
  Tokenizer tokenizer =
      path.ends_with(".json") ? Tokenizer::FromFile(path) : LoadTokenizer(*ModelSource::Open(path), out);
  if (const std::string hash = TokenizerHash(tokenizer); hash != manifest.tokenizer_hash) {
    throw Error({.where = path,
                 .what = "not the tokenizer that the data were prepared with",
                 .found = "hash " + hash.substr(0, 16),
                 .expected = manifest.tokenizer_hash.substr(0, 16),
                 .hint = "-m names another one"});
  }
  return tokenizer;
}

}  // namespace stablelm
