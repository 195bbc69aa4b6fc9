// Token shards: what was written is read, in one and in several shards, with ids of 2 and 4 bytes; every damaged number
// is refused.
#include "dataset/token_shards.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using Ids = std::vector<int32_t>;
using Bits = std::vector<uint8_t>;

struct Samples {
  std::vector<Ids> ids;
  std::vector<Bits> targets;
};

Samples SomeSamples(int32_t vocab) {
  Samples samples;
  for (uint32_t i = 0; i < 50; ++i) {
    Ids ids;
    Bits targets;
    for (uint32_t t = 0; t < 2 + (i * 7) % 31; ++t) {
      ids.push_back(static_cast<int32_t>((i * 1009 + t * 77) % static_cast<uint32_t>(vocab)));
      targets.push_back(t > 0 && (i + t) % 3 == 0);
    }
    samples.ids.push_back(ids);
    samples.targets.push_back(targets);
  }
  return samples;
}

Packs Write(const std::filesystem::path& folder, const Samples& samples, Packing packing, int64_t vocab,
            uint64_t shard_tokens) {
  std::vector<uint32_t> lengths;
  for (const Ids& ids : samples.ids) lengths.push_back(static_cast<uint32_t>(ids.size()));
  Packs packs = PackSamples(lengths, 64, packing, 5);
  WriteTokenShards(
      folder, {.split = "train", .sequence_length = 64, .vocab_size = vocab, .shard_tokens = shard_tokens}, packs,
      [](uint32_t sample) {
        return TokenDocument{.row = sample * 10, .source = 1, .file = 2, .piece = 3, .repeat = 4};
      },
      [&](uint32_t sample) {
        return SampleTokens{samples.ids[sample], samples.targets[sample]};
      });
  return packs;
}

TEST(TokenShards, WhatWasWrittenIsRead) {
  for (const int64_t vocab : {65536, 70000}) {
    for (const uint64_t shard_tokens : {uint64_t{150}, uint64_t{1} << 20}) {
      for (const Packing packing : {Packing::kPack, Packing::kNone, Packing::kConcat}) {
        TempFolder folder;
        const Samples samples = SomeSamples(static_cast<int32_t>(vocab));
        const Packs packs = Write(folder.path(), samples, packing, vocab, shard_tokens);
        const TokenShards shards(folder.path(), "train");
        EXPECT_EQ(shards.sequence_length(), 64);
        EXPECT_EQ(shards.vocab_size(), vocab);
        ASSERT_EQ(shards.packs(), packs.size());
        uint64_t tokens = 0, targets = 0;
        for (uint64_t p = 0; p < shards.packs(); ++p) {
          const auto documents = shards.Pack(p);
          ASSERT_EQ(documents.size(), packs.begin[p + 1] - packs.begin[p]);
          for (size_t d = 0; d < documents.size(); ++d) {
            const PackedDocument& packed = packs.documents[packs.begin[p] + d];
            EXPECT_EQ(shards.PackOf(packs.begin[p] + d), p);
            EXPECT_EQ(documents[d].row, packed.sample * 10);
            EXPECT_EQ(documents[d].repeat, 4U);
            ASSERT_EQ(documents[d].length, packed.length);
            Ids ids(packed.length);
            Bits bits(packed.length);
            shards.Read(documents[d], ids, bits);
            const auto part = [&](const auto& list) {
              return std::vector(list.begin() + packed.offset, list.begin() + packed.offset + packed.length);
            };
            EXPECT_EQ(ids, part(samples.ids[packed.sample]));
            Bits want = part(samples.targets[packed.sample]);
            want[0] = 0;
            EXPECT_EQ(bits, want);
            EXPECT_EQ(documents[d].targets, static_cast<uint32_t>(std::count(want.begin(), want.end(), 1)));
            tokens += packed.length;
            targets += documents[d].targets;
          }
        }
        EXPECT_EQ(shards.tokens(), tokens);
        EXPECT_EQ(shards.targets(), targets);
      }
    }
  }
}

TEST(TokenShards, EveryNumberOfTheIndexIsChecked) {
  TempFolder folder;
  Write(folder.path(), SomeSamples(60), Packing::kPack, 60, 150);
  const std::filesystem::path path = folder.path() / "train.index";
  std::ifstream in(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  const auto refused = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      const TokenShards shards(folder.path(), "train");
    } catch (const Error& error) {
      EXPECT_NE(error.info().where.find("train"), std::string::npos);
      EXPECT_FALSE(error.info().hint.empty());
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refused(good));
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(refused(good + "x"));
  // Every bit of the numbers matters but those of row, source, file, piece, repeat, the vocabulary and the zeros.
  uint64_t shards = 0, packs = 0, documents = 0;
  std::memcpy(&packs, good.data() + 24, 8);
  std::memcpy(&documents, good.data() + 32, 8);
  std::memcpy(&shards, good.data() + 56, 8);
  const auto aligned = [](size_t n) { return (n + 63) / 64 * 64; };
  const size_t packs_at = 128 + aligned((shards + 1) * 8), documents_at = packs_at + aligned((packs + 1) * 8);
  const auto flip_each = [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; ++at) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x15);
      EXPECT_TRUE(refused(bytes)) << at;
    }
  };
  flip_each(0, 16);
  flip_each(22, 24);  // a smaller change of the sequence length is no contradiction
  flip_each(24, 64);
  flip_each(128, 128 + (shards + 1) * 8);
  flip_each(packs_at, packs_at + (packs + 1) * 8);
  for (size_t d = 0; d < documents; ++d) {
    const size_t at = documents_at + d * sizeof(TokenDocument);
    flip_each(at, at + 8);
    flip_each(at + 16, at + 24);
  }
}

TEST(TokenShards, ShardsThatDoNotBelongToTheirIndexAreRefused) {
  TempFolder folder;
  Write(folder.path(), SomeSamples(60), Packing::kPack, 60, 150);
  std::filesystem::copy_file(folder.path() / "train-00001.tokens", folder.path() / "train-00000.tokens",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(ErrorText([&] { TokenShards(folder.path(), "train"); }).find("train-00000.tokens"), std::string::npos);
  std::filesystem::remove(folder.path() / "train-00000.tokens");
  EXPECT_NE(ErrorText([&] { TokenShards(folder.path(), "train"); }).find("train-00000.tokens"), std::string::npos);
}

TEST(TokenShards, IdsBeyondTheVocabularyAreRefused) {
  TempFolder folder;
  Write(folder.path(), SomeSamples(60), Packing::kPack, 20, 1 << 20);
  const TokenShards shards(folder.path(), "train");
  const std::string text = ErrorText([&] {
    for (const TokenDocument& document : shards.documents()) {
      Ids ids(document.length);
      Bits bits(document.length);
      shards.Read(document, ids, bits);
    }
  });
  EXPECT_NE(text.find("not below the vocabulary"), std::string::npos) << text;
}

}  // namespace
}  // namespace stablelm
