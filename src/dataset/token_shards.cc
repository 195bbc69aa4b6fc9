#include "dataset/token_shards.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/atomic_file.h"
#include "base/error.h"
#include "dataset/token_bytes.h"

namespace stablelm {
namespace {

constexpr char kIndexMagic[8] = {'S', 'L', 'M', 'P', 'A', 'C', 'K', 'S'};
constexpr char kShardMagic[8] = {'S', 'L', 'M', 'T', 'O', 'K', 'E', 'N'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlign = 64;

struct IndexHeader {
  char magic[8] = {};
  uint32_t version = kVersion;
  uint32_t id_bytes = 2;
  uint64_t sequence_length = 0, packs = 0, documents = 0, tokens = 0, targets = 0, shards = 0, vocab_size = 0;
  uint64_t zero[7] = {};
};
static_assert(sizeof(IndexHeader) == 128);

struct ShardHeader {
  char magic[8] = {};
  uint32_t version = kVersion;
  uint32_t id_bytes = 2;
  uint64_t first = 0, tokens = 0;
  uint64_t zero[4] = {};
};
static_assert(sizeof(ShardHeader) == 64);

uint64_t Aligned(uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
uint64_t ShardBytes(uint64_t tokens, uint64_t id_bytes) {
  return sizeof(ShardHeader) + Aligned(tokens * id_bytes) + Aligned((tokens + 7) / 8);
}

std::string ShardFileName(const std::string& split, size_t number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "-%05zu", number);
  return split + digits + ".tokens";
}

[[noreturn]] void Damaged(const std::string& where, std::string what, std::string found = {},
                          std::string expected = {}) {
  throw Error({.where = where,
               .what = std::move(what),
               .found = std::move(found),
               .expected = std::move(expected),
               .hint = "the prepared data is damaged or of another version; prepare it again"});
}

class ShardWriter {
 public:
  ShardWriter(const std::filesystem::path& path, uint64_t first, uint64_t tokens, size_t id_bytes)
      : file_(path, ShardBytes(tokens, id_bytes)), id_bytes_(id_bytes), bits_(Aligned((tokens + 7) / 8)) {
    ShardHeader header;
    std::memcpy(header.magic, kShardMagic, sizeof kShardMagic);
    header.id_bytes = static_cast<uint32_t>(id_bytes);
    header.first = first;
    header.tokens = tokens;
    file_.Write(std::as_bytes(std::span(&header, 1)));
  }
  void Add(std::span<const int32_t> ids, std::span<const uint8_t> targets) {
    const size_t at = buffer_.size();
    buffer_.resize(at + ids.size() * id_bytes_);
    PutIds(ids, id_bytes_, buffer_.data() + at);
    PutBits(targets, written_, bits_.data());
    written_ += ids.size();
    if (buffer_.size() >= size_t{1} << 20) Flush();
  }
  void Finish() {
    buffer_.resize(buffer_.size() + Aligned(written_ * id_bytes_) - written_ * id_bytes_);
    Flush();
    file_.Write(bits_);
    file_.Commit();
  }

 private:
  void Flush() {
    file_.Write(buffer_);
    buffer_.clear();
  }
  AtomicFile file_;
  size_t id_bytes_;
  std::vector<std::byte> bits_, buffer_;
  uint64_t written_ = 0;
};

// Fills up a section of so many bytes.
void EndSection(AtomicFile& file, uint64_t bytes) {
  const std::vector<std::byte> zeros(Aligned(bytes) - bytes);
  file.Write(zeros);
}

// The first token of each shard, and the number of all: shards hold whole packs.
std::vector<uint64_t> FirstTokens(const Packs& packs, uint64_t shard_tokens) {
  std::vector<uint64_t> firsts = {0};
  uint64_t tokens = 0;
  for (size_t p = 0; p < packs.size(); ++p) {
    const uint64_t begin = tokens;
    for (uint64_t d = packs.begin[p]; d < packs.begin[p + 1]; ++d) tokens += packs.documents[d].length;
    if (tokens - firsts.back() > shard_tokens && begin > firsts.back()) firsts.push_back(begin);
  }
  if (tokens > 0) firsts.push_back(tokens);
  return firsts;
}

}  // namespace

bool TokenShards::Exists(const std::filesystem::path& folder, const std::string& split) {
  std::error_code error;
  return std::filesystem::exists(folder / (split + ".index"), error);
}

TokenShards::TokenShards(const std::filesystem::path& folder, const std::string& split)
    : where_((folder / (split + ".index")).string()), index_(folder / (split + ".index")) {
  IndexHeader header;
  if (index_.size() < sizeof header) {
    Damaged(where_, "the file is too short", std::to_string(index_.size()) + " bytes", "an index of token shards");
  }
  std::memcpy(&header, index_.bytes().data(), sizeof header);
  if (std::memcmp(header.magic, kIndexMagic, sizeof kIndexMagic) != 0) {
    Damaged(where_, "not an index of token shards", Quoted(std::string_view(header.magic, 8)), "\"SLMPACKS\"");
  }
  if (header.version != kVersion) {
    Damaged(where_, "unknown version of the layout", std::to_string(header.version), std::to_string(kVersion));
  }
  if (header.id_bytes != 2 && header.id_bytes != 4) {
    Damaged(where_, "wrong size of an id", std::to_string(header.id_bytes), "2 or 4 bytes");
  }
  constexpr uint64_t kMost = uint64_t{1} << 48;  // far above any file, far below an overflow of the sums below
  for (const uint64_t count : {header.sequence_length, header.packs, header.documents, header.tokens, header.targets,
                               header.shards, header.vocab_size}) {
    if (count > kMost) Damaged(where_, "a count is out of range", std::to_string(count));
  }
  const uint64_t shards_at = sizeof header;
  const uint64_t packs_at = shards_at + Aligned((header.shards + 1) * sizeof(uint64_t));
  const uint64_t documents_at = packs_at + Aligned((header.packs + 1) * sizeof(uint64_t));
  const uint64_t size = documents_at + Aligned(header.documents * sizeof(TokenDocument));
  if (size != index_.size()) {
    Damaged(where_, "wrong size of the file", std::to_string(index_.size()) + " bytes",
            std::to_string(size) + " bytes");
  }
  id_bytes_ = header.id_bytes;
  sequence_length_ = static_cast<int64_t>(header.sequence_length);
  vocab_size_ = static_cast<int64_t>(header.vocab_size);
  tokens_ = header.tokens;
  targets_ = header.targets;
  const std::byte* base = index_.bytes().data();
  const std::span firsts(reinterpret_cast<const uint64_t*>(base + shards_at), header.shards + 1);
  packs_ = {reinterpret_cast<const uint64_t*>(base + packs_at), header.packs + 1};
  documents_ = {reinterpret_cast<const TokenDocument*>(base + documents_at), header.documents};

  const auto ascends = [](std::span<const uint64_t> list, uint64_t last) {
    return list.front() == 0 && list.back() == last && std::is_sorted(list.begin(), list.end());
  };
  if (!ascends(firsts, tokens_)) Damaged(where_, "the table of shards does not fit the number of tokens");
  if (!ascends(packs_, documents_.size())) Damaged(where_, "the table of packs does not fit the number of documents");
  uint64_t at = 0, targets = 0;
  size_t shard = 0;
  for (uint64_t pack = 0; pack < packs(); ++pack) {
    const uint64_t begin = at;
    for (const TokenDocument& document : Pack(pack)) {
      if (document.begin != at || document.length == 0 || document.targets >= document.length) {
        Damaged(where_, "pack " + std::to_string(pack) + " has a document that does not follow the one before");
      }
      at += document.length;
      targets += document.targets;
    }
    if (at == begin || at - begin > header.sequence_length) {
      Damaged(where_, "pack " + std::to_string(pack) + " has a wrong length", std::to_string(at - begin) + " tokens",
              "1 to " + std::to_string(header.sequence_length));
    }
    while (shard + 1 < firsts.size() - 1 && firsts[shard + 1] <= begin) ++shard;
    if (shard + 1 >= firsts.size() || at > firsts[shard + 1]) {
      Damaged(where_, "pack " + std::to_string(pack) + " lies in two shards");
    }
  }
  if (at != tokens_ || targets != targets_) Damaged(where_, "the sums of tokens and targets do not fit the documents");

  for (size_t i = 0; i < header.shards; ++i) {
    const std::filesystem::path path = folder / ShardFileName(split, i);
    Shard one{.file = MappedFile(path), .first = firsts[i], .tokens = firsts[i + 1] - firsts[i]};
    const uint64_t want = ShardBytes(one.tokens, id_bytes_);
    if (one.file.size() != want) {
      Damaged(path.string(), "wrong size of the file", std::to_string(one.file.size()) + " bytes",
              std::to_string(want) + " bytes");
    }
    ShardHeader shard_header;
    std::memcpy(&shard_header, one.file.bytes().data(), sizeof shard_header);
    if (std::memcmp(shard_header.magic, kShardMagic, sizeof kShardMagic) != 0 || shard_header.version != kVersion ||
        shard_header.id_bytes != header.id_bytes || shard_header.first != one.first ||
        shard_header.tokens != one.tokens) {
      Damaged(path.string(), "the file does not belong to its index");
    }
    shards_.push_back(std::move(one));
  }
}

const TokenShards::Shard& TokenShards::ShardOf(uint64_t token) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), token,
                                      [](uint64_t value, const Shard& shard) { return value < shard.first; });
  return *(after - 1);
}

uint64_t TokenShards::PackOf(uint64_t document) const {
  return static_cast<uint64_t>(std::upper_bound(packs_.begin(), packs_.end(), document) - packs_.begin()) - 1;
}

void TokenShards::Read(const TokenDocument& document, std::span<int32_t> ids, std::span<uint8_t> targets) const {
  STABLELM_CHECK(ids.size() == document.length && targets.size() == document.length);
  const Shard& shard = ShardOf(document.begin);
  const uint64_t at = document.begin - shard.first;
  const std::byte* all = shard.file.bytes().data() + sizeof(ShardHeader);
  const std::byte* bits = all + Aligned(shard.tokens * id_bytes_);
  GetIds(all + at * id_bytes_, id_bytes_, ids);
  GetBits(bits, at, targets);
  for (const int32_t id : ids) {
    if (static_cast<uint64_t>(static_cast<uint32_t>(id)) >= static_cast<uint64_t>(vocab_size_)) {
      Damaged(shard.file.path().string(), "an id is not below the vocabulary",
              std::to_string(static_cast<uint32_t>(id)), "less than " + std::to_string(vocab_size_));
    }
  }
}

std::span<const uint8_t> TargetsOfDocument(const PackedDocument& document, const SampleTokens& sample,
                                           std::vector<uint8_t>& bits) {
  STABLELM_CHECK(document.offset + document.length <= sample.ids.size());
  const auto part = sample.targets.subspan(document.offset, document.length);
  bits.assign(part.begin(), part.end());
  bits[0] = 0;
  return bits;
}

WrittenShards WriteTokenShards(const std::filesystem::path& folder, const ShardsToWrite& what, const Packs& packs,
                               const std::function<TokenDocument(uint32_t sample)>& describe,
                               const std::function<SampleTokens(uint32_t sample)>& read) {
  const std::vector<uint64_t> firsts = FirstTokens(packs, what.shard_tokens);
  IndexHeader header;
  std::memcpy(header.magic, kIndexMagic, sizeof kIndexMagic);
  header.id_bytes = what.vocab_size <= 65536 ? 2 : 4;
  header.sequence_length = static_cast<uint64_t>(what.sequence_length);
  header.packs = packs.size();
  header.documents = packs.documents.size();
  header.tokens = firsts.back();
  header.shards = firsts.size() - 1;
  header.vocab_size = static_cast<uint64_t>(what.vocab_size);

  const std::string index_name = what.split + ".index";
  AtomicFile index(folder / index_name);
  index.Write(std::as_bytes(std::span(&header, 1)));  // once more when the targets are counted
  index.Write(std::as_bytes(std::span(firsts)));
  EndSection(index, firsts.size() * sizeof(uint64_t));
  index.Write(std::as_bytes(packs.begin));
  EndSection(index, packs.begin.size_bytes());

  WrittenShards written;
  constexpr size_t kDocumentsAtOnce = 4096;
  std::vector<TokenDocument> documents;
  std::vector<uint8_t> bits;
  uint64_t tokens = 0, document = 0;
  for (size_t s = 0; s + 1 < firsts.size(); ++s) {
    written.names.push_back(ShardFileName(what.split, s));
    ShardWriter shard(folder / written.names.back(), firsts[s], firsts[s + 1] - firsts[s], header.id_bytes);
    for (; tokens < firsts[s + 1]; ++document) {
      const PackedDocument& one = packs.documents[document];
      const SampleTokens sample = read(one.sample);
      const std::span<const uint8_t> targets = TargetsOfDocument(one, sample, bits);
      TokenDocument& described = documents.emplace_back(describe(one.sample));
      described.begin = tokens;
      described.length = one.length;
      described.targets = static_cast<uint32_t>(std::count(targets.begin(), targets.end(), 1));
      header.targets += described.targets;
      tokens += one.length;
      shard.Add(sample.ids.subspan(one.offset, one.length), targets);
      if (documents.size() == kDocumentsAtOnce) {
        index.Write(std::as_bytes(std::span(documents)));
        documents.clear();
      }
    }
    shard.Finish();
  }
  STABLELM_CHECK(document == packs.documents.size());
  index.Write(std::as_bytes(std::span(documents)));
  EndSection(index, packs.documents.size() * sizeof(TokenDocument));
  index.WriteAt(0, std::as_bytes(std::span(&header, 1)));
  index.Commit();
  written.names.push_back(index_name);
  written.targets = header.targets;
  return written;
}

}  // namespace stablelm
