// The tokenizer: text to ids and back, exactly as huggingface/tokenizers does it for GPT-NeoX and StableLM files.
//
// Encoding, in this order: added tokens that are not normalized, on the text as given; NFC of what lies between; added
// tokens that are normalized (runs of spaces); the split into pieces; byte-level BPE of each piece. No token is added
// at the beginning or end. Text is bytes of valid UTF-8: nothing is stripped or replaced, NUL and a BOM are characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stablelm {

class ThreadPool;
struct TokenizerSpec;
struct AddedToken;

struct EncodeOptions {
  // Recognise the strings of special tokens ("<|USER|>"). Off: they are text like any other, so no text that a user
  // wrote can become a control token. Added tokens that are not special (runs of spaces) are always recognised.
  bool parse_special = false;
};

struct DecodeOptions {
  bool skip_special = false;  // leave out tokens that are special
  // What transformers did until 4.44: " ." becomes ".", " n't" becomes "n't", and so on. It destroys text ("a , b").
  bool clean_up_spaces = false;
};

// Bytes [begin, end) of a text.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

// Ids with the place of each in the text as given. Where NFC changed a cluster of characters, every token that holds a
// byte of it gets the cluster's whole range in the original; else the ranges follow each other without a gap.
// A token may cover part of a character (two of the tokens of an emoji split its four bytes).
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<ByteRange> offsets;  // [ids.size()]
};

// A text, or a token by its id: parts of a prompt. Every part is encoded by itself, nothing joins over a border.
using EncodePart = std::variant<std::string_view, int32_t>;

struct PartsEncoding {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;  // [parts]: ids.size() after each part
};

struct TokenizerOptions {
  // Rows of the model's embedding (V in config.json), padding included. Ids from size() to V - 1 have no text and
  // decode to nothing. 0: no model is known, V = size(). Smaller than size() is an error.
  int64_t model_vocab_size = 0;
  std::string where = "tokenizer";  // what an error about it names; FromFile and FromJson set it
};

// For `inspect`.
struct TokenizerSummary {
  int32_t size = 0;  // ids: vocabulary and added tokens
  int64_t merges = 0;
  int32_t added_tokens = 0;
  int32_t special_tokens = 0;  // of the added ones
  int32_t largest_id = -1;
  int64_t model_vocab_size = 0;
  bool nfc = false;
};

// Immutable; copies share one body; every const function may be called from many threads at once.
// Errors: stablelm::Error, for text that is not UTF-8 with the offset of the first bad byte.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerSpec spec, TokenizerOptions options = {});
  static Tokenizer FromFile(const std::filesystem::path& tokenizer_json, TokenizerOptions options = {});
  // `where` names the source in errors.
  static Tokenizer FromJson(std::string_view json, const std::string& where, TokenizerOptions options = {});

  // One text. For many, an Encoder or EncodeBatch is several times faster: they remember the pieces that they have
  // seen.
  std::vector<int32_t> Encode(std::string_view text, EncodeOptions options = {}) const;
  Encoding EncodeWithOffsets(std::string_view text, EncodeOptions options = {}) const;
  // Ids among the parts are checked against [0, V).
  PartsEncoding EncodeParts(std::span<const EncodePart> parts, EncodeOptions options = {}) const;
  // result[i] = Encode(texts[i]), spread over the pool's threads.
  std::vector<std::vector<int32_t>> EncodeBatch(std::span<const std::string_view> texts, EncodeOptions options,
                                                ThreadPool& pool) const;

  // The text of the ids: all bytes joined, then U+FFFD for each maximal ill-formed subpart. An id below 0 or at or
  // above V is an error.
  std::string Decode(std::span<const int32_t> ids, DecodeOptions options = {}) const;
  // The same bytes as they are, which need not be UTF-8 (no clean-up).
  std::string DecodeBytes(std::span<const int32_t> ids, bool skip_special = false) const;
  // Bytes of one token: what StreamDecoder takes. Empty for ids without text. Same error as Decode. The view lives as
  // long as the tokenizer.
  std::string_view TokenBytes(int32_t id) const;
  // As the file spells it ("\u0120the" for " the"); empty for ids without text.
  std::string_view TokenSpelling(int32_t id) const;

  // The id of a token by its spelling in the file, "<|USER|>" for instance. No value when there is none.
  std::optional<int32_t> TokenId(std::string_view spelling) const;
  bool IsSpecial(int32_t id) const;                 // an added token with special = true
  std::span<const AddedToken> AddedTokens() const;  // in the order of the file (tokenizer/added_tokens.h)

  int32_t size() const;              // ids with text: 0 .. size() - 1
  int64_t model_vocab_size() const;  // V
  TokenizerSummary Summary() const;
  std::span<const std::string> warnings() const;  // what the file asks for and is ignored

 private:
  friend class Encoder;
  struct Body;
  std::shared_ptr<const Body> body_;
};

// Encodes many texts on one thread: keeps its buffers and a cache of pieces (at most about 1 MiB) between calls. The
// cache changes the time, never the ids.
class Encoder {
 public:
  explicit Encoder(Tokenizer tokenizer);
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  ~Encoder();

  // Appends to `ids`. When it throws, `ids` is as before.
  void Encode(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids);
  void EncodeWithOffsets(std::string_view text, EncodeOptions options, Encoding& out);

  // Whether it was made of this tokenizer or a copy of it.
  bool IsOf(const Tokenizer& tokenizer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "15.0.0": the Unicode version of the tables that the tokenizer uses.
std::string TokenizerUnicodeVersion();

}  // namespace stablelm
