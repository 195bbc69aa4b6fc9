// The tokenizer: text to token ids and back, exactly as huggingface/tokenizers does for GPT-NeoX and StableLM files.
//
// Encoding steps: match the added tokens that are not normalized in the input text; normalize the text between them to
// NFC; match the normalized added tokens (runs of spaces); split into pieces; encode each piece by byte-level BPE. No
// token is added at the beginning or end. The text must be valid UTF-8. Nothing is stripped or replaced; NUL and a BOM
// are ordinary characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

class ThreadPool;
struct BpeMerge;
struct TokenizerSpec;

struct EncodeOptions {
  // Parse the strings of special tokens ("<|USER|>") as these tokens. Off: they are plain text, so user text cannot
  // become a control token. Added tokens that are not special (runs of spaces) are always matched.
  bool parse_special = false;
};

struct DecodeOptions {
  bool skip_special = false;  // omit special tokens
  // As transformers did until 4.44: " ." becomes ".", " n't" becomes "n't", and so on. Corrupts some text ("a , b").
  bool clean_up_spaces = false;
};

// Bytes [begin, end) of a text.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

// Token ids and their byte ranges in the input text. Where NFC changed a cluster of characters, every token with a byte
// of the cluster gets the cluster's whole range in the input; elsewhere the ranges are adjacent, without gaps.
// A token may cover part of a character (two tokens can split the four bytes of an emoji).
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<ByteRange> offsets;  // [ids.size()]
};

struct TokenizerOptions {
  // Rows of the model's embedding (V in config.json), including padding. Ids from size() to V - 1 have no text and
  // decode to nothing. 0: no model is known, V = size(). A value below size() is an error.
  int64_t model_vocab_size = 0;
  std::string where = "tokenizer";  // the source named in errors; FromFile and FromJson set it
};

// For `inspect`.
struct TokenizerSummary {
  int32_t size = 0;  // number of ids: vocabulary and added tokens
  int64_t merges = 0;
  int32_t added_tokens = 0;
  int32_t special_tokens = 0;  // among the added tokens
  int32_t largest_id = -1;
  int64_t model_vocab_size = 0;
  bool nfc = false;
};

// Immutable; copies share one body; many threads may call const functions at once.
// Throws stablelm::Error; for text that is not UTF-8, with the offset of the first invalid byte.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerSpec spec, TokenizerOptions options = {});
  static Tokenizer FromFile(const std::filesystem::path& tokenizer_json, TokenizerOptions options = {});
  // `where` names the source in errors.
  static Tokenizer FromJson(std::string_view json, const std::string& where, TokenizerOptions options = {});

  // Encodes one text. For many texts use an Encoder or EncodeBatch: their piece cache makes them several times faster.
  std::vector<int32_t> Encode(std::string_view text, EncodeOptions options = {}) const;
  Encoding EncodeWithOffsets(std::string_view text, EncodeOptions options = {}) const;
  // result[i] = Encode(texts[i]), in parallel on the pool's threads.
  std::vector<std::vector<int32_t>> EncodeBatch(std::span<const std::string_view> texts, EncodeOptions options,
                                                ThreadPool& pool) const;

  // Concatenates the bytes of all ids, then replaces each maximal ill-formed subpart by U+FFFD. Throws Error if an id
  // is outside [0, V).
  std::string Decode(std::span<const int32_t> ids, DecodeOptions options = {}) const;
  // The raw bytes, which may not be valid UTF-8 (no clean-up).
  std::string DecodeBytes(std::span<const int32_t> ids, bool skip_special = false) const;
  // Bytes of one token, the input of StreamDecoder. Empty for ids without text. Throws as Decode. The view is valid as
  // long as the tokenizer.
  std::string_view TokenBytes(int32_t id) const;
  // The token's spelling in the file ("\u0120the" for " the"); empty for ids without text.
  std::string_view TokenSpelling(int32_t id) const;

  // The id of a token by its spelling in the file, for instance "<|USER|>". nullopt if there is no such token.
  std::optional<int32_t> TokenId(std::string_view spelling) const;
  bool IsSpecial(int32_t id) const;  // an added token with special = true

  int32_t size() const;              // ids with text: 0 .. size() - 1
  int64_t model_vocab_size() const;  // V
  TokenizerSummary Summary() const;
  std::span<const BpeMerge> merges() const;       // in order of rank (tokenizer/bpe.h)
  std::span<const std::string> warnings() const;  // settings of the file that are ignored

 private:
  friend class Encoder;
  struct Body;
  std::shared_ptr<const Body> body_;
};

// Encodes many texts on one thread. Reuses its buffers and a piece cache (at most about 1 MiB) between calls. The cache
// affects only speed, never the ids.
class Encoder {
 public:
  explicit Encoder(Tokenizer tokenizer);
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  ~Encoder();

  // Appends to `ids`. If it throws, `ids` is unchanged.
  void Encode(std::string_view text, EncodeOptions options, std::vector<int32_t>& ids);
  void EncodeWithOffsets(std::string_view text, EncodeOptions options, Encoding& out);

  // Whether this encoder was made from `tokenizer` or from a copy of it.
  bool IsOf(const Tokenizer& tokenizer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Unicode version of the tokenizer's tables, "15.0.0".
std::string TokenizerUnicodeVersion();

}  // namespace stablelm
