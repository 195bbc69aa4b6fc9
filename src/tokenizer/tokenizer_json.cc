#include "tokenizer/tokenizer_json.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "base/counted.h"
#include "base/error.h"
#include "base/strict_json.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

constexpr const char* kTakeOriginal = "take the tokenizer.json of the original model";

class Reader {
 public:
  Reader(std::string_view json, const std::string& where) : json_(json), where_(where) {
    utf8::DropByteOrderMark(json_);
  }

  TokenizerSpec Read() {
    simdjson::dom::parser parser;
    element root;
    const simdjson::error_code code = parser.parse(json_.data(), json_.size(), true).get(root);
    if (code != simdjson::SUCCESS) {
      RequireStrictJson(json_, where_);  // says where it breaks; reads NaN, Infinity and 1e999, as Python does
      Fail("", "not valid JSON: a number that JSON does not have", "NaN, Infinity or a number too large", "JSON",
           kTakeOriginal);
    }
    const object top = AsObject(root, "the file");
    if (const auto version = Get(top, "version"); version && AsString(*version, "version") != "1.0") {
      Fail("version", "unknown version", Quoted(AsString(*version, "version")), "\"1.0\"");
    }
    for (const char* field : {"truncation", "padding"}) {
      if (Get(top, field)) spec_.warnings.push_back(where_ + ": \"" + field + "\" is ignored");
    }
    ReadNormalizer(Unwrap(Get(top, "normalizer"), "normalizer", "normalizers"));
    RequireByteLevel(Unwrap(Get(top, "pre_tokenizer"), "pre_tokenizer", "pretokenizers"), "pre_tokenizer");
    RequireByteLevel(Unwrap(Get(top, "decoder"), "decoder", "decoders"), "decoder");
    CheckPostProcessor(Unwrap(Get(top, "post_processor"), "post_processor", "processors"));
    const auto model = Get(top, "model");
    if (!model) Fail("model", "missing");
    const object model_fields = AsObject(*model, "model");
    CheckModelOptions(model_fields);
    ReadTokens(model_fields, Get(top, "added_tokens"));
    ReadMerges(model_fields);
    return std::move(spec_);
  }

 private:
  [[noreturn]] void Fail(const std::string& field, const std::string& what, std::string found = {},
                         std::string expected = {}, std::string hint = kTakeOriginal) const {
    throw Error({.where = field.empty() ? where_ : where_ + ": " + field,
                 .what = what,
                 .found = std::move(found),
                 .expected = std::move(expected),
                 .hint = std::move(hint)});
  }

  // The field's value; nullopt if it is missing or null. The first of duplicate keys counts.
  static std::optional<element> Get(const object& o, std::string_view key) {
    element value;
    if (o.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
    return value;
  }

  static std::string TypeName(const element& e) {
    switch (e.type()) {
      case element_type::ARRAY:
        return "an array";
      case element_type::OBJECT:
        return "an object";
      case element_type::STRING:
        return "a string";
      case element_type::BOOL:
        return "a boolean";
      case element_type::NULL_VALUE:
        return "null";
      default:
        return "a number";
    }
  }
  object AsObject(const element& e, const std::string& field) const {
    object value;
    if (e.get(value) != simdjson::SUCCESS) Fail(field, "wrong type", TypeName(e), "an object");
    return value;
  }
  array AsArray(const element& e, const std::string& field) const {
    array value;
    if (e.get(value) != simdjson::SUCCESS) Fail(field, "wrong type", TypeName(e), "an array");
    return value;
  }
  std::string_view AsString(const element& e, const std::string& field) const {
    std::string_view value;
    if (e.get(value) != simdjson::SUCCESS) Fail(field, "wrong type", TypeName(e), "a string");
    return value;
  }
  bool Flag(const object& o, std::string_view key, const std::string& field, bool otherwise) const {
    const auto e = Get(o, key);
    if (!e) return otherwise;
    bool value;
    if (e->get(value) != simdjson::SUCCESS) {
      Fail(field + "." + std::string(key), "wrong type", TypeName(*e), "true or false");
    }
    return value;
  }
  std::string_view TypeOf(const object& o, const std::string& field) const {
    const auto type = Get(o, "type");
    if (!type) Fail(field, "has no \"type\"");
    return AsString(*type, field + ".type");
  }

  // Unwraps a Sequence of one: {"type": "Sequence", LIST: [part]} becomes the part.
  std::optional<element> Unwrap(std::optional<element> part, const std::string& field, std::string_view list) const {
    if (!part) return part;
    const object o = AsObject(*part, field);
    if (TypeOf(o, field) != "Sequence") return part;
    const auto items = Get(o, list);
    if (!items) Fail(field, "is a sequence without \"" + std::string(list) + "\"");
    const array parts = AsArray(*items, field);
    if (parts.size() == 0) return std::nullopt;
    if (parts.size() > 1) {
      Fail(field, "sequences of several parts are not supported", std::to_string(parts.size()) + " parts", "one");
    }
    return parts.at(0).value();
  }

  void ReadNormalizer(const std::optional<element>& part) {
    spec_.nfc = part.has_value();
    if (!part) return;
    const std::string_view type = TypeOf(AsObject(*part, "normalizer"), "normalizer");
    if (type != "NFC") Fail("normalizer", "not supported", Quoted(type), "null or \"NFC\"", kFamilyHint);
  }

  void RequireByteLevel(const std::optional<element>& part, const std::string& field) const {
    if (!part) Fail(field, "not supported", "null", "\"ByteLevel\"", kFamilyHint);
    const object o = AsObject(*part, field);
    const std::string_view type = TypeOf(o, field);
    if (type != "ByteLevel") Fail(field, "not supported", Quoted(type), "\"ByteLevel\"", kFamilyHint);
    if (field != "pre_tokenizer") return;
    if (Flag(o, "add_prefix_space", field, true)) Fail(field + ".add_prefix_space", "not supported", "true", "false");
    if (!Flag(o, "use_regex", field, true)) Fail(field + ".use_regex", "not supported", "false", "true");
  }

  void CheckPostProcessor(const std::optional<element>& part) const {
    if (!part) return;
    const std::string field = "post_processor";
    const object o = AsObject(*part, field);
    const std::string_view type = TypeOf(o, field);
    if (type == "ByteLevel") return;  // affects only offsets
    if (type != "TemplateProcessing") Fail(field, "not supported", Quoted(type), "null or \"ByteLevel\"", kFamilyHint);
    const auto single = Get(o, "single");
    if (!single) Fail(field, "is a template without \"single\"");
    for (const element item : AsArray(*single, field + ".single")) {
      if (!Get(AsObject(item, field + ".single"), "Sequence")) {
        Fail(field, "a template that adds tokens to every text is not supported", {}, {},
             "StableLM and GPT-NeoX tokenizers add none");
      }
    }
  }

  void CheckModelOptions(const object& model) {
    if (const auto type = Get(model, "type"); type && AsString(*type, "model.type") != "BPE") {
      Fail("model.type", "not supported", Quoted(AsString(*type, "model.type")), "\"BPE\"", kFamilyHint);
    }
    for (const char* option : {"byte_fallback", "ignore_merges"}) {
      if (Flag(model, option, "model", false)) Fail(std::string("model.") + option, "not supported", "true", "false");
    }
    for (const char* option : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto value = Get(model, option);
      const std::string field = std::string("model.") + option;
      if (value && !AsString(*value, field).empty()) {
        Fail(field, "not supported", Quoted(AsString(*value, field)), "null");
      }
    }
    // The unknown token is never used: every byte of valid text has a symbol (checked below).
    if (Get(model, "unk_token") && Flag(model, "fuse_unk", "model", false)) {
      Fail("model.fuse_unk", "not supported", "true", "false");
    }
    if (const auto dropout = Get(model, "dropout")) {
      double value;
      if (dropout->get(value) != simdjson::SUCCESS) Fail("model.dropout", "wrong type", TypeName(*dropout), "a number");
      if (value != 0) spec_.warnings.push_back(where_ + ": \"dropout\" is a training option and is ignored");
    }
  }

  int64_t ReadId(const element& e, const std::string& field) const {
    int64_t id;
    if (e.get(id) != simdjson::SUCCESS) Fail(field, "wrong type", TypeName(e), "an integer id");
    return id;
  }

  // Vocabulary and added tokens together must have the ids 0 .. n - 1, each once.
  void ReadTokens(const object& model, const std::optional<element>& added) {
    const auto vocab = Get(model, "vocab");
    if (!vocab) Fail("model.vocab", "missing");
    const object entries = AsObject(*vocab, "model.vocab");
    const array extra = added ? AsArray(*added, "added_tokens") : array();
    // Count the entries: object::size() saturates at 2^24 - 1.
    size_t capacity = 0;
    for ([[maybe_unused]] const auto entry : entries) ++capacity;
    if (added) {
      for ([[maybe_unused]] const auto entry : extra) ++capacity;
    }
    std::vector<std::string_view> spelling_of(capacity);
    std::vector<bool> seen(capacity);
    size_t total = 0;
    const auto place = [&](std::string_view spelling, int64_t id, const std::string& field) {
      if (id < 0 || static_cast<uint64_t>(id) >= capacity) {
        Fail(field, "id of token " + Quoted(spelling) + " leaves a gap", std::to_string(id),
             "ids 0 to " + std::to_string(capacity == 0 ? 0 : capacity - 1) + " without gaps");
      }
      const size_t i = static_cast<size_t>(id);
      if (seen[i]) {
        Fail(field, "two tokens have the id " + std::to_string(id),
             Quoted(spelling_of[i]) + " and " + Quoted(spelling));
      }
      seen[i] = true;
      spelling_of[i] = spelling;
      ++total;
    };
    for (const auto entry : entries) place(entry.key, ReadId(entry.value, "model.vocab"), "model.vocab");
    if (added) {
      std::vector<bool> added_before(capacity);
      for (const element item : extra) {
        std::string_view content;  // in the parser's memory, which outlives spelling_of
        AddedToken token = ReadAddedToken(item, &content);
        const size_t i = static_cast<size_t>(token.id);
        // An added token that is in the vocabulary must have its id there; other added tokens get new ids.
        if (i < capacity && seen[i] && spelling_of[i] == token.content) {
          if (added_before[i]) Fail("added_tokens", "token " + Quoted(token.content) + " occurs twice");
        } else {
          place(content, token.id, "added_tokens");
        }
        added_before[i] = true;
        spec_.added_tokens.push_back(std::move(token));
      }
    }
    if (total == 0) Fail("model.vocab", "no tokens");
    for (size_t i = 0; i < total; ++i) {
      if (!seen[i]) Fail("model.vocab", "no token has the id " + std::to_string(i), {}, "ids without gaps");
    }
    spec_.vocabulary = Vocabulary(std::span(spelling_of).first(total), where_);
  }

  AddedToken ReadAddedToken(const element& item, std::string_view* content_view) const {
    const std::string field = "added_tokens";
    const object o = AsObject(item, field);
    const auto content = Get(o, "content");
    const auto id = Get(o, "id");
    if (!content || !id) Fail(field, "an entry has no \"content\" or no \"id\"");
    AddedToken token;
    *content_view = AsString(*content, field + ".content");
    token.content = *content_view;
    const int64_t value = ReadId(*id, field + ".id");
    if (value < 0 || value > INT32_MAX) {
      Fail(field, "id of token " + Quoted(token.content) + " is out of range", std::to_string(value));
    }
    token.id = static_cast<int32_t>(value);
    if (token.content.size() > AddedTokenMatcher::kMaxContentBytes) {
      Fail(field, "token " + Quoted(token.content, 40) + " is too long", Counted(token.content.size(), "byte"),
           "at most " + std::to_string(AddedTokenMatcher::kMaxContentBytes));
    }
    token.special = Flag(o, "special", field, false);
    token.normalized = Flag(o, "normalized", field, !token.special);
    token.single_word = Flag(o, "single_word", field, false);
    token.lstrip = Flag(o, "lstrip", field, false);
    token.rstrip = Flag(o, "rstrip", field, false);
    return token;
  }

  void ReadMerges(const object& model) {
    const auto merges = Get(model, "merges");
    if (!merges) Fail("model.merges", "missing");
    std::string product;
    size_t rank = 0;
    for (const element item : AsArray(*merges, "model.merges")) {
      std::string_view left, right;
      SplitMerge(item, rank, &left, &right);
      product.assign(left);
      product.append(right);
      BpeMerge merge;
      merge.left = Part(left, rank);
      merge.right = Part(right, rank);
      merge.product = Part(product, rank);
      spec_.merges.push_back(merge);
      ++rank;
    }
  }

  void SplitMerge(const element& item, size_t rank, std::string_view* left, std::string_view* right) const {
    std::string_view line;
    if (item.get(line) == simdjson::SUCCESS) {
      const size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        Fail(MergeName(rank), "not two tokens with a space between them", Quoted(line));
      }
      *left = line.substr(0, space);
      *right = line.substr(space + 1);
    } else {
      array pair;
      if (item.get(pair) != simdjson::SUCCESS) {
        Fail(MergeName(rank), "wrong type", TypeName(item), "a string or a pair");
      }
      if (pair.size() != 2) Fail(MergeName(rank), "not a pair", std::to_string(pair.size()) + " strings", "2");
      *left = AsString(pair.at(0).value(), MergeName(rank));
      *right = AsString(pair.at(1).value(), MergeName(rank));
    }
    if (left->empty() || right->empty()) Fail(MergeName(rank), "one of its tokens is empty");
  }

  int32_t Part(std::string_view spelling, size_t rank) const {
    const auto id = spec_.vocabulary.Find(spelling);
    if (!id) Fail(MergeName(rank), "token " + Quoted(spelling) + " is not in the vocabulary");
    return *id;
  }

  static std::string MergeName(size_t rank) { return "model.merges[" + std::to_string(rank) + "]"; }

  static constexpr const char* kFamilyHint = "only tokenizers of the GPT-NeoX kind (byte-level BPE) are read";

  std::string_view json_;
  const std::string& where_;
  TokenizerSpec spec_;
};

}  // namespace

TokenizerSpec ParseTokenizerJson(std::string_view json, const std::string& where) { return Reader(json, where).Read(); }

}  // namespace stablelm
