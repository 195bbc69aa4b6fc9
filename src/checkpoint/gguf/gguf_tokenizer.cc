#include "checkpoint/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <set>
#include <span>
#include <unordered_set>

#include "base/counted.h"
#include "base/error.h"
#include "base/read_error.h"
#include "base/utf8.h"
#include "tokenizer/byte_symbols.h"

namespace stablelm {
namespace {

constexpr std::string_view kJson = "tokenizer.huggingface.json";
constexpr std::string_view kModel = "tokenizer.ggml.model";
constexpr std::string_view kPre = "tokenizer.ggml.pre";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTokenTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";

enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

std::string Element(std::string_view key, size_t i) { return std::string(key) + "[" + std::to_string(i) + "]"; }

[[noreturn]] void FailAt(const GgufHeader& header, std::string_view key, size_t i, const std::string& what,
                         const std::string& found, const std::string& expected) {
  throw Error({.where = header.where + ": " + Element(key, i) + " (its key at byte " +
                        std::to_string(header.Find(key)->offset) + ")",
               .what = what,
               .found = found,
               .expected = expected,
               .hint = kDamagedFileHint});
}

// The types of all tokens; empty if the file does not tell them: without the key, or with all types normal, as some old
// converters wrote.
std::vector<int64_t> ReadTypes(const GgufHeader& header, size_t tokens) {
  const GgufEntry* entry = header.Find(kTokenTypes);
  if (!entry) return {};
  const GgufArray* array = std::get_if<GgufArray>(&entry->value);
  std::optional<std::vector<int64_t>> types = array ? array->Integers() : std::nullopt;
  if (!types) header.Fail(kTokenTypes, "wrong kind of value", std::string(NameOf(entry->type)), "an array of integers");
  if (types->size() != tokens) {
    header.Fail(kTokenTypes, "as many types as tokens are needed", std::to_string(types->size()),
                std::to_string(tokens));
  }
  for (size_t i = 0; i < tokens; ++i) {
    if ((*types)[i] < kNormal || (*types)[i] > kByte) {
      FailAt(header, kTokenTypes, i, "unknown type of token", std::to_string((*types)[i]), "1 to 6");
    }
  }
  if (std::ranges::all_of(*types, [](int64_t type) { return type == kNormal; })) return {};
  return *types;
}

// Rows of the embedding without a token. Until mid-2024 converters typed them as user-defined, or not at all.
bool IsPadding(std::string_view token, size_t id) { return token == "[PAD" + std::to_string(id) + "]"; }

// Until November 2023 converters wrote the bytes of the tokens instead of their byte symbols. Such a list has tokens
// that are no UTF-8, the lone byte 0x80 among them.
bool HoldsBytes(std::span<const std::string_view> tokens) {
  return std::ranges::find(tokens, std::string_view("\x80")) != tokens.end();
}

// The byte symbols of such tokens. Those that are no byte and that no merge makes are added tokens and stay as they
// are, as does a run of spaces that is there for the second time.
std::vector<std::string> SpelledTokens(const GgufHeader& header, std::span<const std::string_view> tokens) {
  std::unordered_set<std::string> made;
  if (const GgufArray* merges = header.Array(kMerges, GgufType::kString)) {
    for (const std::string_view line : merges->Strings()) {
      std::string product(line);
      std::erase(product, ' ');
      made.insert(std::move(product));
    }
  }
  std::vector<std::string> spelled;
  for (const std::string_view token : tokens) {
    std::string symbols = SpellBytes(token);
    const bool taken = token.size() == 1 || made.erase(symbols) > 0;
    spelled.push_back(taken ? std::move(symbols) : std::string(token));
  }
  return spelled;
}

void AddToken(const GgufHeader& header, size_t id, std::string_view content, bool special, TokenizerSpec& spec) {
  if (content.size() > AddedTokenMatcher::kMaxContentBytes) {
    FailAt(header, kTokens, id, "too long", Counted(content.size(), "byte"),
           "at most " + std::to_string(AddedTokenMatcher::kMaxContentBytes));
  }
  spec.added_tokens.push_back(
      {.id = static_cast<int32_t>(id), .content = std::string(content), .special = special, .normalized = !special});
}

// Reads all tokens except padding at the end, and the added ones where their types tell them. Returns whether they do.
bool ReadTokens(const GgufHeader& header, TokenizerSpec& spec) {
  const GgufArray* array = header.Array(kTokens, GgufType::kString);
  if (!array || array->size == 0) header.Fail(kTokens, "no tokens", {}, "an array of strings");
  std::vector<std::string_view> tokens = array->Strings();
  const std::vector<int64_t> types = ReadTypes(header, tokens.size());
  const auto type_of = [&](size_t id) { return types.empty() ? int64_t{kNormal} : types[id]; };
  size_t size = tokens.size();
  while (size > 1 && (type_of(size - 1) == kUnused || IsPadding(tokens[size - 1], size - 1))) --size;
  tokens.resize(size);
  std::vector<std::string> spelled;
  if (HoldsBytes(tokens)) {
    spelled = SpelledTokens(header, tokens);
    tokens.assign(spelled.begin(), spelled.end());
  }
  for (size_t i = 0; i < size; ++i) {
    if (utf8::FirstInvalid(tokens[i]) != utf8::kValid) FailAt(header, kTokens, i, "not UTF-8", Quoted(tokens[i]), {});
    const int64_t type = type_of(i);
    if (type != kControl && (type != kUserDefined || IsPadding(tokens[i], i))) continue;
    AddToken(header, i, tokens[i], type == kControl, spec);
  }
  spec.vocabulary = Vocabulary(tokens, header.where + ": key " + Quoted(kTokens));
  return !types.empty();
}

// Whether every character stands for a byte, as in all tokens that the merges make.
bool HasOnlySymbols(std::string_view spelling) {
  std::string bytes;
  AppendSpelledBytes(spelling, bytes);
  return SpellBytes(bytes) == spelling;
}

// Ids that keys name as special tokens: "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", ...
std::set<int64_t> SpecialIdsOfKeys(const GgufHeader& header) {
  std::set<int64_t> ids;
  for (const GgufEntry& entry : header.entries) {
    if (!entry.key.starts_with("tokenizer.ggml.") || !entry.key.ends_with("_token_id")) continue;
    ids.insert(header.Integer(entry.key).value_or(-1));
  }
  return ids;
}

// The added tokens of a file without types: those that neither are one byte nor the product of a merge, so that no text
// would ever give them. They are special if a key names them or they are written <|like this|>; the others are runs of
// spaces, which have no byte symbols.
void InferAddedTokens(const GgufHeader& header, TokenizerSpec& spec) {
  std::vector<bool> is_made(static_cast<size_t>(spec.vocabulary.size()));
  for (const BpeMerge& merge : spec.merges) is_made[static_cast<size_t>(merge.product)] = true;
  const std::set<int64_t> of_keys = SpecialIdsOfKeys(header);
  size_t inferred = 0;
  bool spaces = false;
  for (int32_t id = 0; id < spec.vocabulary.size(); ++id) {
    const std::string_view spelling = spec.vocabulary.Spelling(id);
    const bool symbols = HasOnlySymbols(spelling);
    if (is_made[static_cast<size_t>(id)] || (symbols && spec.vocabulary.Bytes(id).size() == 1)) continue;
    if (spelling.empty() || IsPadding(spelling, static_cast<size_t>(id))) continue;
    const bool special = of_keys.contains(id) || (spelling.starts_with("<|") && spelling.ends_with("|>"));
    if (!special && symbols) continue;
    AddToken(header, static_cast<size_t>(id), spelling, special, spec);
    ++inferred;
    spaces |= !special;
  }
  spec.warnings.push_back(header.where + ": the types of the tokens are unknown (no key " + Quoted(kTokenTypes) +
                          ", or all are normal); " + std::to_string(inferred) +
                          " tokens that no merge makes are taken for special tokens and runs of spaces" +
                          (spaces ? ""
                                  : ", but no runs of spaces are in the list: indented text gets other ids than the "
                                    "model was trained with; use the tokenizer.json of the original model"));
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
  const bool typed = ReadTokens(header, spec);
  ReadMerges(header, spec);
  if (!typed) InferAddedTokens(header, spec);
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
  metadata.SetArray<int32_t>(kTokenTypes, types);
  metadata.SetTexts(kMerges, merges);
  metadata.Set<uint32_t>("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos_id));
  metadata.Set<uint32_t>("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos_id));
  metadata.Set<uint32_t>("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(eos_id));
}

}  // namespace stablelm
