#include "tokenizer/tokenizer.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_symbols.h"
#include "tokenizer/nfc.h"
#include "tokenizer/piece_cache.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode_tables.h"

namespace stablelm {
namespace {

// The real file has 2.2 MB. Bounds the memory that a hostile file can make us allocate.
constexpr size_t kMaxFileBytes = size_t{256} << 20;

// Bytes that occur in valid UTF-8.
bool OccursInUtf8(size_t byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

std::array<int32_t, 256> FindByteIds(const Vocabulary& vocabulary) {
  std::array<int32_t, 256> ids;
  for (size_t b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(static_cast<uint8_t>(b));
    const std::string symbol = SpellBytes({&byte, 1});
    ids[b] = vocabulary.Find(symbol).value_or(-1);
    if (ids[b] < 0 && OccursInUtf8(b)) {
      throw Error({.where = "tokenizer",
                   .what = "no token for the byte " + std::to_string(b) + " (" + Quoted(symbol) + ")",
                   .expected = "one for each byte of UTF-8",
                   .hint = "a vocabulary without it cannot encode every text"});
    }
  }
  return ids;
}

// Applies the replacements of transformers' clean_up_tokenization, in the same order.
std::string CleanUpSpaces(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) {
    std::string out;
    size_t done = 0;
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
      out.append(text, done, at - done).append(to);
      done = at + from.size();
    }
    if (done == 0) continue;
    text = std::move(out.append(text, done));
  }
  return text;
}

}  // namespace

struct Tokenizer::Body {
  Body(TokenizerSpec given, const TokenizerOptions& options)
      : spec(std::move(given)),
        bpe(FindByteIds(spec.vocabulary), spec.merges),
        is_special(static_cast<size_t>(spec.vocabulary.size())) {
    const int32_t size = spec.vocabulary.size();
    model_vocab_size = options.model_vocab_size == 0 ? size : options.model_vocab_size;
    if (model_vocab_size < size || model_vocab_size > INT32_MAX) {
      throw Error({.where = options.where,
                   .what = "the vocabulary does not fit the model",
                   .found = std::to_string(size) + " ids in the tokenizer, " +
                            std::to_string(options.model_vocab_size) + " in the model",
                   .expected = "at least as many in the model",
                   .hint = "the tokenizer belongs to another model"});
    }
    std::vector<AddedToken> raw, normalized;
    for (const AddedToken& token : spec.added_tokens) {
      if (token.special) is_special[static_cast<size_t>(token.id)] = true;
      (token.normalized ? normalized : raw).push_back(token);
    }
    if (spec.nfc) {
      std::string content;
      std::vector<NfcEdit> edits;
      for (AddedToken& token : normalized) {
        NormalizeNfc(unicode, token.content, content, edits);
        token.content = content;
      }
    }
    raw_matcher = AddedTokenMatcher(std::move(raw));
    normalized_matcher = AddedTokenMatcher(std::move(normalized));
  }

  void CheckId(int32_t id) const {
    if (id >= 0 && id < model_vocab_size) return;
    throw Error({.where = "tokenizer",
                 .what = "no such token id",
                 .found = std::to_string(id),
                 .expected = "0 to " + std::to_string(model_vocab_size - 1),
                 .hint = "the ids are of another model's tokenizer, or of one with more tokens"});
  }
  bool HasText(int32_t id) const { return id < spec.vocabulary.size(); }

  TokenizerSpec spec;
  Bpe bpe;
  UnicodeTables unicode;
  std::vector<bool> is_special;
  int64_t model_vocab_size = 0;
  AddedTokenMatcher raw_matcher;
  AddedTokenMatcher normalized_matcher;
};

// The encoding steps. Each loops over the text that the previous step left and calls the next one. kOffsets = false
// leaves `offsets` unused.
struct Encoder::State {
  explicit State(Tokenizer t) : tokenizer(std::move(t)), body(*tokenizer.body_) {}

  template <bool kOffsets>
  void Encode(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids,
              std::vector<ByteRange>* offsets) {
    if (!simdjson::validate_utf8(text.data(), text.size())) FailUtf8(text);
    const size_t ids_before = ids.size();
    const size_t offsets_before = kOffsets ? offsets->size() : 0;
    try {
      SplitRaw<kOffsets>(text, options, ids, offsets);
    } catch (...) {
      ids.resize(ids_before);
      if constexpr (kOffsets) offsets->resize(offsets_before);
      throw;
    }
  }

  Tokenizer tokenizer;
  const Tokenizer::Body& body;

 private:
  [[noreturn]] static void FailUtf8(std::string_view text) {
    const size_t at = utf8::FirstInvalid(text);
    STABLELM_CHECK(at != utf8::kValid);
    throw Error({.where = "text",
                 .what = "not valid UTF-8 at byte " + std::to_string(at),
                 .found = Quoted(text.substr(at, utf8::DecodeOne(text.substr(at)).bytes)),
                 .expected = "UTF-8",
                 .hint = "convert the text, or have ill-formed bytes replaced by U+FFFD (`invalid_utf8=replace`)"});
  }

  template <bool kOffsets>
  void SplitRaw(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids,
                std::vector<ByteRange>* offsets) {
    size_t done = 0;
    AddedTokenMatcher::Finder finder(body.raw_matcher, text, options.parse_special);
    while (const auto match = body.raw_matcher.empty() ? std::nullopt : finder.Next()) {
      if (done < match->begin) Normalize<kOffsets>(text, done, match->begin, options, ids, offsets);
      ids.push_back(match->id);
      if constexpr (kOffsets) offsets->push_back({match->begin, match->end});
      done = match->end;
    }
    if (done < text.size()) Normalize<kOffsets>(text, done, text.size(), options, ids, offsets);
  }

  template <bool kOffsets>
  void Normalize(std::string_view text, size_t begin, size_t end, EncodeOptions options, std::vector<int32_t>& ids,
                 std::vector<ByteRange>* offsets) {
    const std::string_view part = text.substr(begin, end - begin);
    const size_t first = kOffsets ? offsets->size() : 0;
    if (body.spec.nfc && MayNeedNfc(body.unicode, part)) {
      NormalizeNfc(body.unicode, part, normalized, edits);
      SplitNormalized<kOffsets>(normalized, options, ids, offsets);
      if constexpr (kOffsets) MapBack(std::span(*offsets).subspan(first));
    } else {
      SplitNormalized<kOffsets>(part, options, ids, offsets);
    }
    if constexpr (kOffsets) {
      for (ByteRange& range : std::span(*offsets).subspan(first)) range = {range.begin + begin, range.end + begin};
    }
  }

  // Maps ranges of the normalized text to ranges of the original through `edits`. A binary search finds the edit of
  // each range, so a range costs O(log edits).
  void MapBack(std::span<ByteRange> ranges) const {
    for (ByteRange& range : ranges) {
      // The last edit that begins at or before the offset. The offset lies inside it, or a fixed distance after it.
      const auto edit_before = [&](size_t place) {
        return std::upper_bound(edits.begin(), edits.end(), place,
                                [](size_t p, const NfcEdit& e) { return p < e.normalized_begin; });
      };
      if (auto e = edit_before(range.begin); e != edits.begin()) {
        --e;
        range.begin =
            range.begin < e->normalized_end ? e->original_begin : e->original_end + (range.begin - e->normalized_end);
      }
      // range.end is one past the last byte, so look up the last byte.
      if (auto e = edit_before(range.end - 1); e != edits.begin()) {
        --e;
        range.end =
            range.end <= e->normalized_end ? e->original_end : e->original_end + (range.end - e->normalized_end);
      }
    }
  }

  template <bool kOffsets>
  void SplitNormalized(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids,
                       std::vector<ByteRange>* offsets) {
    size_t done = 0;
    AddedTokenMatcher::Finder finder(body.normalized_matcher, text, options.parse_special);
    while (const auto match = body.normalized_matcher.empty() ? std::nullopt : finder.Next()) {
      if (done < match->begin) EncodeText<kOffsets>(text.substr(0, match->begin), done, ids, offsets);
      ids.push_back(match->id);
      if constexpr (kOffsets) offsets->push_back({match->begin, match->end});
      done = match->end;
    }
    if (done < text.size()) EncodeText<kOffsets>(text, done, ids, offsets);
  }

  // Splits text[begin, text.size()) into pieces and encodes each.
  template <bool kOffsets>
  void EncodeText(std::string_view text, size_t begin, std::vector<int32_t>& ids, std::vector<ByteRange>* offsets) {
    while (begin < text.size()) {
      const size_t end = PieceEnd(body.unicode, text, begin);
      const size_t first = ids.size();
      EncodePiece(text, begin, end, ids);
      if constexpr (kOffsets) {
        size_t at = begin;
        for (size_t i = first; i < ids.size(); ++i) {
          const size_t bytes = body.spec.vocabulary.Bytes(ids[i]).size();
          offsets->push_back({at, at + bytes});
          at += bytes;
        }
      }
      begin = end;
    }
  }

  void EncodePiece(std::string_view text, size_t begin, size_t end, std::vector<int32_t>& ids) {
    const size_t size = end - begin;
    if (size == 1) {
      ids.push_back(body.bpe.IdOfByte(static_cast<uint8_t>(text[begin])));
      return;
    }
    if (size > PieceCache::kMaxBytes) {
      body.bpe.Encode(text.substr(begin, size), scratch, ids);
      return;
    }
    const PieceCache::Key key = PieceCache::MakeKey(text.data() + begin, size, text.size() - begin);
    const PieceCache::Entry& entry = cache.EntryOf(key);
    if (entry.key == key) {
      ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
      return;
    }
    const size_t first = ids.size();
    body.bpe.Encode(text.substr(begin, size), scratch, ids);
    cache.Insert(key, ids.data() + first, ids.size() - first);
  }

  std::string normalized;
  std::vector<NfcEdit> edits;
  BpeScratch scratch;
  PieceCache cache;
};

Encoder::Encoder(Tokenizer tokenizer) : state_(std::make_unique<State>(std::move(tokenizer))) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

void Encoder::Encode(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids) {
  state_->Encode<false>(text, options, ids, nullptr);
}

void Encoder::EncodeWithOffsets(std::string_view text, EncodeOptions options, Encoding& out) {
  state_->Encode<true>(text, options, out.ids, &out.offsets);
}

bool Encoder::IsOf(const Tokenizer& tokenizer) const { return state_->tokenizer.body_ == tokenizer.body_; }

Tokenizer::Tokenizer(TokenizerSpec spec, TokenizerOptions options)
    : body_(std::make_shared<const Body>(std::move(spec), std::move(options))) {}

Tokenizer Tokenizer::FromFile(const std::filesystem::path& tokenizer_json, TokenizerOptions options) {
  // Read, not mapped: a file that is truncated during reading must not kill the process (SIGBUS).
  const std::string json = ReadTextFile(tokenizer_json, kMaxFileBytes);
  return FromJson(json, tokenizer_json.string(), std::move(options));
}

Tokenizer Tokenizer::FromJson(std::string_view json, const std::string& where, TokenizerOptions options) {
  options.where = where;
  return Tokenizer(ParseTokenizerJson(json, where), std::move(options));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  Encoder(*this).Encode(text, options, ids);
  return ids;
}

Encoding Tokenizer::EncodeWithOffsets(std::string_view text, EncodeOptions options) const {
  Encoding out;
  Encoder(*this).EncodeWithOffsets(text, options, out);
  return out;
}

std::vector<std::vector<int32_t>> Tokenizer::EncodeBatch(std::span<const std::string_view> texts, EncodeOptions options,
                                                         ThreadPool& pool) const {
  std::vector<std::vector<int32_t>> out(texts.size());
  std::vector<Encoder> encoders;
  encoders.reserve(pool.NumThreads());
  for (size_t i = 0; i < pool.NumThreads(); ++i) encoders.emplace_back(*this);
  pool.ForEach(texts.size(), [&](size_t index, size_t worker) {
    try {
      encoders[worker].Encode(texts[index], options, out[index]);
    } catch (const Error& e) {
      ErrorInfo info = e.info();
      info.where = "text " + std::to_string(index) + " of the batch";
      throw Error(std::move(info));
    }
  });
  return out;
}

std::string Tokenizer::DecodeBytes(std::span<const int32_t> ids, bool skip_special) const {
  const Vocabulary& vocabulary = body_->spec.vocabulary;
  size_t total = 0;
  for (const int32_t id : ids) {
    body_->CheckId(id);
    if (body_->HasText(id)) total += vocabulary.Bytes(id).size();
  }
  // Most tokens are short, so a copy of fixed length is faster than one of exact length. Always copy kStep bytes; the
  // next token overwrites the excess.
  constexpr size_t kStep = Vocabulary::kReadable;
  std::string out(total + kStep, '\0');
  char* to = out.data();
  for (const int32_t id : ids) {
    if (!body_->HasText(id) || (skip_special && body_->is_special[static_cast<size_t>(id)])) continue;
    const std::string_view bytes = vocabulary.Bytes(id);
    if (bytes.size() <= kStep) {
      std::memcpy(to, bytes.data(), kStep);
    } else {
      std::memcpy(to, bytes.data(), bytes.size());
    }
    to += bytes.size();
  }
  out.resize(static_cast<size_t>(to - out.data()));
  return out;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, DecodeOptions options) const {
  std::string bytes = DecodeBytes(ids, options.skip_special);
  if (!simdjson::validate_utf8(bytes.data(), bytes.size())) bytes = utf8::ReplaceInvalid(bytes);
  return options.clean_up_spaces ? CleanUpSpaces(std::move(bytes)) : bytes;
}

std::string_view Tokenizer::TokenBytes(int32_t id) const {
  body_->CheckId(id);
  return body_->HasText(id) ? body_->spec.vocabulary.Bytes(id) : std::string_view();
}

std::string_view Tokenizer::TokenSpelling(int32_t id) const {
  body_->CheckId(id);
  return body_->HasText(id) ? body_->spec.vocabulary.Spelling(id) : std::string_view();
}

std::optional<int32_t> Tokenizer::TokenId(std::string_view spelling) const {
  return body_->spec.vocabulary.Find(spelling);
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && body_->HasText(id) && body_->is_special[static_cast<size_t>(id)];
}

int32_t Tokenizer::size() const { return body_->spec.vocabulary.size(); }
int64_t Tokenizer::model_vocab_size() const { return body_->model_vocab_size; }
std::span<const std::string> Tokenizer::warnings() const { return body_->spec.warnings; }

std::span<const BpeMerge> Tokenizer::merges() const { return body_->spec.merges; }

TokenizerSummary Tokenizer::Summary() const {
  TokenizerSummary s;
  s.size = size();
  s.merges = static_cast<int64_t>(body_->spec.merges.size());
  s.added_tokens = static_cast<int32_t>(body_->spec.added_tokens.size());
  s.special_tokens = static_cast<int32_t>(std::count(body_->is_special.begin(), body_->is_special.end(), true));
  s.largest_id = size() - 1;
  s.model_vocab_size = model_vocab_size();
  s.nfc = body_->spec.nfc;
  return s;
}

std::string TokenizerUnicodeVersion() { return UnicodeVersion(); }

}  // namespace stablelm
