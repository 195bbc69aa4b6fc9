#include "checkpoint/gguf/gguf_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr std::string_view kJson = "tokenizer.huggingface.json";
constexpr std::string_view kModel = "tokenizer.ggml.model";
constexpr std::string_view kPre = "tokenizer.ggml.pre";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";

enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

std::string Element(std::string_view key, size_t i) { return std::string(key) + "[" + std::to_string(i) + "]"; }

[[noreturn]] void FailAt(const GgufHeader& header, std::string_view key, size_t i, const std::string& what,
                         const std::string& found, const std::string& expected) {
  throw Error({.where = header.where + ": " + Element(key, i) + " (its key at byte " +
                        std::to_string(header.Find(key)->offset) + ")",
               .what = what,
               .found = found,
               .expected = expected});
}

// The types of all tokens; if the key is missing, all are normal.
std::vector<int64_t> ReadTypes(const GgufHeader& header, size_t tokens, TokenizerSpec& spec) {
  const GgufEntry* entry = header.Find(kTypes);
  if (!entry) {
    spec.warnings.push_back(header.where + ": no key " + Quoted(kTypes) + ": no token is special");
    return std::vector<int64_t>(tokens, kNormal);
  }
  const GgufArray* array = std::get_if<GgufArray>(&entry->value);
  std::optional<std::vector<int64_t>> types = array ? array->Integers() : std::nullopt;
  if (!types) header.Fail(kTypes, "wrong kind of value", std::string(NameOf(entry->type)), "an array of integers");
  if (types->size() != tokens) {
    header.Fail(kTypes, "as many types as tokens are needed", std::to_string(types->size()), std::to_string(tokens));
  }
  for (size_t i = 0; i < tokens; ++i) {
    if ((*types)[i] < kNormal || (*types)[i] > kByte) {
      FailAt(header, kTypes, i, "unknown type of token", std::to_string((*types)[i]), "1 to 6");
    }
  }
  return *types;
}

void ReadTokens(const GgufHeader& header, TokenizerSpec& spec) {
  const GgufArray* array = header.Array(kTokens, GgufType::kString);
  if (!array || array->size == 0) header.Fail(kTokens, "no tokens", {}, "an array of strings");
  std::vector<std::string_view> tokens = array->Strings();
  const std::vector<int64_t> types = ReadTypes(header, tokens.size(), spec);
  size_t size = tokens.size();
  while (size > 1 && types[size - 1] == kUnused) --size;
  tokens.resize(size);
  for (size_t i = 0; i < size; ++i) {
    if (utf8::FirstInvalid(tokens[i]) != utf8::kValid) FailAt(header, kTokens, i, "not UTF-8", Quoted(tokens[i]), {});
    if (types[i] != kControl && types[i] != kUserDefined) continue;
    if (tokens[i].size() > AddedTokenMatcher::kMaxContentBytes) {
      FailAt(header, kTokens, i, "too long", std::to_string(tokens[i].size()) + " bytes",
             "at most " + std::to_string(AddedTokenMatcher::kMaxContentBytes));
    }
    const bool special = types[i] == kControl;
    spec.added_tokens.push_back(
        {.id = static_cast<int32_t>(i), .content = std::string(tokens[i]), .special = special, .normalized = !special});
  }
  spec.vocabulary = Vocabulary(tokens, header.where + ": key " + Quoted(kTokens));
}

void ReadMerges(const GgufHeader& header, TokenizerSpec& spec) {
  const GgufArray* array = header.Array(kMerges, GgufType::kString);
  if (!array) header.Fail(kMerges, "missing", {}, "an array of strings");
  const std::vector<std::string_view> merges = array->Strings();
  spec.merges.reserve(merges.size());
  std::string product;
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view line = merges[i];
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
      FailAt(header, kMerges, i, "not two tokens with a space between them", Quoted(line), {});
    }
    const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
    product.assign(left).append(right);
    const auto id = [&](std::string_view token) {
      const std::optional<int32_t> found = spec.vocabulary.Find(token);
      if (!found) FailAt(header, kMerges, i, "a token that is not in the vocabulary", Quoted(token), {});
      return *found;
    };
    spec.merges.push_back({id(left), id(right), id(product)});
  }
}

// Checks the settings that change ids and that the lists do not contain.
void CheckKind(const GgufHeader& header, TokenizerSpec& spec) {
  const std::optional<std::string_view> model = header.Text(kModel);
  if (model && *model != "gpt2") {
    header.Fail(kModel, "another kind of tokenizer", Quoted(*model), "\"gpt2\" (byte-level BPE)",
                "only tokenizers of the GPT-NeoX kind are read");
  }
  const std::optional<std::string_view> pre = header.Text(kPre);
  constexpr std::string_view kSame[] = {"olmo", "mpt", "gpt-2", "default"};  // all split text as GPT-NeoX does
  if (pre && std::ranges::find(kSame, *pre) == std::end(kSame)) {
    spec.warnings.push_back(header.where + ": the text is split as GPT-NeoX does, not as " + Quoted(*pre) + " of key " +
                            Quoted(kPre));
  }
  for (const char* key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"}) {
    if (header.Flag(key).value_or(false)) {
      spec.warnings.push_back(header.where + ": key " + Quoted(key) + " is ignored: no token is added to a text");
    }
  }
}

}  // namespace

bool HasGgufTokenizer(const GgufHeader& header) { return header.Find(kJson) || header.Find(kTokens); }

TokenizerSpec ReadGgufTokenizer(const GgufHeader& header) {
  if (const auto json = header.Text(kJson)) {
    return ParseTokenizerJson(*json, header.where + ": key \"" + std::string(kJson) + "\"");
  }
  TokenizerSpec spec;
  CheckKind(header, spec);
  ReadTokens(header, spec);
  ReadMerges(header, spec);
  return spec;
}

void SetTokenizerKeys(const TokenizerSpec& spec, int64_t vocab_size, int32_t bos_id, int32_t eos_id,
                      GgufMetadata& metadata) {
  const int32_t known = spec.vocabulary.size();
  if (known > vocab_size) {
    throw Error(
        {.where = "tokenizer",
         .what = "the vocabulary does not fit the model",
         .found = std::to_string(known) + " ids in the tokenizer, " + std::to_string(vocab_size) + " in the model",
         .expected = "at least as many in the model",
         .hint = "the tokenizer belongs to another model"});
  }
  std::vector<std::string> tokens;
  std::vector<int32_t> types(static_cast<size_t>(vocab_size), static_cast<int32_t>(kNormal));
  tokens.reserve(types.size());
  for (int32_t id = 0; id < known; ++id) tokens.emplace_back(spec.vocabulary.Spelling(id));
  for (const AddedToken& token : spec.added_tokens) {
    types[static_cast<size_t>(token.id)] = static_cast<int32_t>(token.special ? kControl : kUserDefined);
  }
  for (int64_t id = known; id < vocab_size; ++id) {
    tokens.push_back("[PAD" + std::to_string(id) + "]");
    types[static_cast<size_t>(id)] = kUnused;
  }
  std::vector<std::string> merges;
  merges.reserve(spec.merges.size());
  for (const BpeMerge& merge : spec.merges) {
    merges.push_back(std::string(spec.vocabulary.Spelling(merge.left)) + " " +
                     std::string(spec.vocabulary.Spelling(merge.right)));
  }

  metadata.SetText(kModel, "gpt2");
  // llama.cpp's name for the GPT-NeoX tokenizer; its converter identifies it by a hash of test ids.
  metadata.SetText(kPre, "olmo");
  metadata.SetTexts(kTokens, tokens);
  metadata.SetArray<int32_t>(kTypes, types);
  metadata.SetTexts(kMerges, merges);
  metadata.Set<uint32_t>("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos_id));
  metadata.Set<uint32_t>("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos_id));
  metadata.Set<uint32_t>("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(eos_id));
}

}  // namespace stablelm
