#include "ops/quant/quant_row.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "ops/op_testing.h"
#include "ops/quant/blocks.h"
#include "test_paths.h"

namespace stablelm {
namespace {

constexpr DType kRowTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

std::string ReadData(const std::string& name) {
  std::ifstream file(TestData("quant/") + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

std::vector<std::byte> FromHex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<float> Decoded(DType type, std::span<const std::byte> row) {
  std::vector<float> out(row.size() / BlockBytes(type) * static_cast<size_t>(BlockElements(type)));
  DecodeRow(type, row.data(), out);
  return out;
}
std::vector<std::byte> Encoded(DType type, std::span<const float> values, std::span<const float> weights = {}) {
  std::vector<std::byte> out(BytesOf(type, static_cast<int64_t>(values.size())));
  EncodeRow(type, values, weights, out.data());
  return out;
}

void ExpectSameBits(std::span<const float> a, std::span<const float> b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
        << "value " << i << ": " << a[i] << " " << b[i];
  }
}

// Blocks that ggml's own code encoded and decoded.
TEST(DecodeRow, VectorsOfGgml) {
  const nlohmann::json vectors = nlohmann::json::parse(ReadData("quant_vectors.json"));
  ASSERT_EQ(vectors.size(), std::size(kRowTypes));
  for (const auto& vector : vectors) {
    const auto type =
        std::ranges::find(kRowTypes, vector["type"].get<std::string>(), [](DType t) { return NameOf(t); });
    ASSERT_NE(type, std::end(kRowTypes));
    SCOPED_TRACE(NameOf(*type));
    const std::vector<std::byte> block = FromHex(vector["block_hex"]);
    ASSERT_EQ(block.size(), BlockBytes(*type));
    const std::vector<std::byte> bits = FromHex(vector["decoded_f32_hex"]);
    std::vector<float> want(bits.size() / 4);
    std::memcpy(want.data(), bits.data(), bits.size());
    std::vector<float> plain(want.size());
    DecodeRowRef(*type, block.data(), plain);
    ExpectSameBits(plain, want);
    ForEachSimdTarget([&] { ExpectSameBits(Decoded(*type, block), want); });
  }
}

// Blocks of the types that are only decoded, and what the Python package of ggml's authors decodes them to
// (scripts/make_decode_only_vectors.py). A row of two blocks at any address has the same values.
TEST(DecodeRow, VectorsOfTypesThatAreOnlyDecoded) {
  const nlohmann::json vectors = nlohmann::json::parse(ReadData("decode_only_vectors.json"));
  std::set<DType> seen;
  for (const auto& vector : vectors) {
    constexpr DType kDecodeOnly[] = {DType::kQ4_1, DType::kQ5_0,   DType::kQ5_1,  DType::kQ2_K,
                                     DType::kQ3_K, DType::kIQ4_NL, DType::kIQ4_XS};
    const auto found =
        std::ranges::find(kDecodeOnly, vector["type"].get<std::string>(), [](DType t) { return NameOf(t); });
    ASSERT_NE(found, std::end(kDecodeOnly));
    const DType type = *found;
    seen.insert(type);
    SCOPED_TRACE(NameOf(type));
    EXPECT_TRUE(IsDecodeOnly(type) && IsQuantized(type));
    const std::vector<std::byte> block = FromHex(vector["block_hex"]);
    ASSERT_EQ(block.size(), BlockBytes(type));
    const std::vector<std::byte> bits = FromHex(vector["decoded_f32_hex"]);
    std::vector<float> want(bits.size() / 4);
    ASSERT_EQ(want.size(), static_cast<size_t>(BlockElements(type)));
    std::memcpy(want.data(), bits.data(), bits.size());
    const std::vector<float> once = want;
    want.insert(want.end(), once.begin(), once.end());
    std::vector<std::byte> row(1);  // at an odd address
    row.insert(row.end(), block.begin(), block.end());
    row.insert(row.end(), block.begin(), block.end());
    GuardedFloats plain(want.size()), fast(want.size());
    DecodeRowRef(type, row.data() + 1, plain.span());
    ExpectSameBits(plain.span(), want);
    DecodeRow(type, row.data() + 1, fast.span());
    ExpectSameBits(fast.span(), want);
    plain.Check();
    fast.Check();
  }
  EXPECT_EQ(seen.size(), 7u);
  for (const DType type : kRowTypes) EXPECT_FALSE(IsDecodeOnly(type)) << NameOf(type);
}

// A second implementation of the formulas of the formats, from their description: value i of one block.
double ValueByDescription(DType type, std::span<const uint8_t> b, size_t i) {
  const auto half = [&](size_t at) {
    return static_cast<double>(ToFloat(F16{static_cast<uint16_t>(b[at] | (b[at + 1] << 8))}));
  };
  const auto affine = [&](size_t high_at, size_t q_at) {
    const size_t j = i / 32, l = i % 32;
    const uint8_t* s = b.data() + 4;
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
    const int minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
    const uint8_t byte = b[q_at + 32 * (i / 64) + l];
    int n = i % 64 < 32 ? byte & 15 : byte >> 4;
    if (high_at != 0) n += 16 * ((b[high_at + l] >> j) & 1);
    return half(0) * scale * n - half(2) * minimum;
  };
  switch (type) {
    case DType::kQ8_0:
      return half(0) * static_cast<int8_t>(b[2 + i]);
    case DType::kQ4_0:
      return half(0) * ((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
    case DType::kQ4_K:
      return affine(0, 16);
    case DType::kQ5_K:
      return affine(16, 48);
    default: {
      const size_t t = i / 128, r = i % 128 / 32, l = i % 32;
      const uint8_t* low = b.data() + 64 * t;
      const int nibbles[4] = {low[l] & 15, low[l + 32] & 15, low[l] >> 4, low[l + 32] >> 4};
      const int n = (nibbles[r] | (((b[128 + 32 * t + l] >> (2 * r)) & 3) << 4)) - 32;
      return half(208) * static_cast<int8_t>(b[192 + 8 * t + 2 * r + l / 16]) * n;
    }
  }
}

void SetHalf(std::vector<std::byte>& block, size_t at, float value) {
  const F16 half = ToF16(value);
  std::memcpy(block.data() + at, &half, 2);
}

// Every byte of a block takes every value: all nibbles, high bits, scales and minimums at all offsets.
TEST(DecodeRow, EveryCodeInEveryPlace) {
  for (const DType type : kRowTypes) {
    SCOPED_TRACE(NameOf(type));
    const size_t bytes = BlockBytes(type), n = static_cast<size_t>(BlockElements(type));
    std::vector<std::byte> row;
    for (size_t code = 0; code < 256; ++code) {
      std::vector<std::byte> block(bytes);
      for (size_t i = 0; i < bytes; ++i) block[i] = static_cast<std::byte>((code + i * 37) & 255);
      SetHalf(block, type == DType::kQ6_K ? bytes - 2 : 0, code % 2 ? 0.37f : -2.5e-6f);
      if (type == DType::kQ4_K || type == DType::kQ5_K) SetHalf(block, 2, 0.11f);
      row.insert(row.end(), block.begin(), block.end());
    }
    std::vector<float> plain(256 * n);
    DecodeRowRef(type, row.data(), plain);
    for (size_t i = 0; i < plain.size(); ++i) {
      const auto* block = reinterpret_cast<const uint8_t*>(row.data()) + i / n * bytes;
      // All products are exact; the difference, where there is one, rounds once.
      ASSERT_EQ(plain[i], static_cast<float>(ValueByDescription(type, {block, bytes}, i % n))) << i;
    }
    for (const size_t offset : std::initializer_list<size_t>{0, 1}) {
      std::vector<std::byte> moved(offset + row.size());
      std::ranges::copy(row, moved.begin() + static_cast<std::ptrdiff_t>(offset));
      ForEachSimdTarget([&] {
        GuardedFloats out(plain.size());
        DecodeRow(type, moved.data() + offset, out.span());
        ExpectSameBits(out.span(), plain);
        out.Check();
      });
    }
  }
}

TEST(Blocks, PackedScalesComeBack) {
  for (uint8_t scale = 0; scale < 64; ++scale) {
    for (uint8_t minimum = 0; minimum < 64; ++minimum) {
      uint8_t scales[8], minimums[8], packed[12];
      for (size_t j = 0; j < 8; ++j) {
        scales[j] = static_cast<uint8_t>((scale + 9 * j) & 63);
        minimums[j] = static_cast<uint8_t>((minimum + 23 * j) & 63);
      }
      PackAffineScales(scales, minimums, packed);
      for (size_t j = 0; j < 8; ++j) {
        ASSERT_EQ(AffineScale(packed, j), scales[j]);
        ASSERT_EQ(AffineMinimum(packed, j), minimums[j]);
      }
    }
  }
}

// Any scales in a file: no crash, and the same result (NaN for NaN) from every kernel.
TEST(DecodeRow, InfiniteAndNanScales) {
  for (const DType type : kRowTypes) {
    for (const float scale : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<std::byte> block(BlockBytes(type), std::byte{0x5A});
      SetHalf(block, type == DType::kQ6_K ? 208 : 0, scale);
      std::vector<float> plain(static_cast<size_t>(BlockElements(type)));
      DecodeRowRef(type, block.data(), plain);
      ForEachSimdTarget([&] {
        const std::vector<float> fast = Decoded(type, block);
        for (size_t i = 0; i < plain.size(); ++i) {
          ASSERT_TRUE(std::isnan(plain[i]) ? std::isnan(fast[i]) : plain[i] == fast[i]) << i;
        }
      });
    }
  }
}

struct ReferenceSet {
  std::string file = ReadData("quant_reference.safetensors");
  nlohmann::json header;
  size_t data = 0;
  ReferenceSet() {
    uint64_t size = 0;
    std::memcpy(&size, file.data(), sizeof size);
    data = 8 + size;
    header = nlohmann::json::parse(file.substr(8, size));
  }
  std::string_view Bytes(const std::string& name) const {
    const auto& range = header.at(name).at("data_offsets");
    return std::string_view(file).substr(data + range[0].get<size_t>(),
                                         range[1].get<size_t>() - range[0].get<size_t>());
  }
  std::vector<float> Input() const {
    const std::string_view bytes = Bytes("input");
    std::vector<float> values(bytes.size() / 4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

// Errors as in quant_reference.json: the root mean square error of all values, and the mean over the rows of their
// error divided by their root mean square, without the rows of zeros (100), of only values near 1e-8 (102) and of
// values near 60 (103).
struct Errors {
  double all = 0;
  double relative = 0;
};
Errors ErrorsOf(std::span<const float> input, std::span<const float> decoded) {
  double sum = 0, relative = 0;
  for (size_t row = 0; row < 256; ++row) {
    double error = 0, power = 0;
    for (size_t i = 256 * row; i < 256 * (row + 1); ++i) {
      const double e = static_cast<double>(decoded[i]) - static_cast<double>(input[i]);
      error += e * e;
      power += static_cast<double>(input[i]) * static_cast<double>(input[i]);
    }
    sum += error;
    if (row != 100 && row != 102 && row != 103) relative += std::sqrt(error / power);
  }
  return {std::sqrt(sum / 65536), relative / 253};
}

TEST(EncodeRow, ErrorIsAtOrBelowGgml) {
  const ReferenceSet set;
  const std::vector<float> input = set.Input();
  const nlohmann::json wanted = nlohmann::json::parse(ReadData("quant_reference.json"));
  for (const DType type : kRowTypes) {
    const std::string name(NameOf(type));
    // The reference's own blocks give its own errors: both are computed in the same way.
    const std::string_view theirs = set.Bytes(name + ".bytes");
    const Errors reference =
        ErrorsOf(input, Decoded(type, {reinterpret_cast<const std::byte*>(theirs.data()), theirs.size()}));
    const double all = wanted[name]["rmse_all"], relative = wanted[name]["relative_rmse_mean"];
    EXPECT_NEAR(reference.all, all, 1e-8 * all) << name;
    EXPECT_NEAR(reference.relative, relative, 1e-6 * relative) << name;

    const Errors ours = ErrorsOf(input, Decoded(type, Encoded(type, input)));
    // Q8_0 is the same rule, value for value; the other types must be better.
    const double slack = type == DType::kQ8_0 ? 1e-12 : -0.01;
    EXPECT_LE(ours.all, reference.all * (1 + slack)) << name;
    EXPECT_LE(ours.relative, reference.relative * (1 + slack)) << name;
    RecordProperty(name + "_rmse_all", std::to_string(ours.all));
    RecordProperty(name + "_relative", std::to_string(ours.relative));
    std::printf("%s: rmse_all %.6f (ggml %.6f), relative_rmse_mean %.6f (ggml %.6f)\n", name.c_str(), ours.all,
                reference.all, ours.relative, reference.relative);
  }
}

TEST(EncodeRow, Q8_0IsGgmlsRule) {
  const ReferenceSet set;
  const std::string_view theirs = set.Bytes("Q8_0.bytes");
  const std::vector<std::byte> ours = Encoded(DType::kQ8_0, set.Input());
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(static_cast<uint8_t>(ours[i]), static_cast<uint8_t>(theirs[i]))
        << "block " << i / 34 << " byte " << i % 34;
  }
}

// Rows of many kinds, three super-blocks long (an odd number for every width).
std::vector<std::vector<float>> ManyRows() {
  constexpr size_t kLength = 3 * kSuperBlock;
  std::vector<std::vector<float>> rows;
  for (const double scale : {0.02, 1.0, 3e4, 1e-5, 3e-8, 1e-38}) {
    rows.push_back(RandomNormals(kLength, rows.size(), scale));
  }
  rows.emplace_back(kLength, 0.0f);
  rows.emplace_back(kLength, -0.0f);
  rows.emplace_back(kLength, 0.01f);
  rows.emplace_back(kLength, -0.01f);
  std::vector<float> outliers = RandomNormals(kLength, 77, 0.02);
  for (size_t i = 5; i < kLength; i += 97) outliers[i] *= 40;
  rows.push_back(outliers);
  std::vector<float> positive = RandomNormals(kLength, 78, 0.02), negative = positive;
  for (size_t i = 0; i < kLength; ++i) {
    positive[i] = std::abs(positive[i]);
    negative[i] = -std::abs(negative[i]) - 0.05f;
  }
  rows.push_back(positive);
  rows.push_back(negative);
  std::vector<float> lonely(kLength, 0.0f);
  lonely[300] = -1.5f;
  lonely[700] = 0x1p-149f;
  rows.push_back(lonely);
  std::vector<float> mixed = RandomNormals(kLength, 79, 1e-3);
  for (size_t i = 0; i < 256; ++i) mixed[i] = i % 32 < 8 ? 1e3f : 0x1p-24f * static_cast<float>(i);
  rows.push_back(mixed);
  return rows;
}

TEST(EncodeRow, EveryTargetWritesTheBytesOfTheReference) {
  std::vector<std::vector<float>> rows = ManyRows();
  rows.push_back(RandomNormals(300 * kSuperBlock, 6, 0.02));
  std::vector<float> importance = RandomNormals(rows.back().size(), 5);
  for (float& v : importance) v = v * v;
  importance[3] = 0;
  const std::vector<float> weights = ImportanceWeights(importance);
  for (const DType type : kRowTypes) {
    SCOPED_TRACE(NameOf(type));
    for (size_t r = 0; r < rows.size(); ++r) {
      SCOPED_TRACE("row " + std::to_string(r));
      for (const bool weighted : {false, true}) {
        const std::span<const float> w = std::span(weights).first(weighted ? rows[r].size() : 0);
        std::vector<std::byte> want(BytesOf(type, static_cast<int64_t>(rows[r].size())));
        EncodeRowRef(type, rows[r], w, want.data());
        ForEachSimdTarget([&] { ASSERT_EQ(Encoded(type, rows[r], w), want) << (weighted ? "weighted" : "plain"); });
      }
    }
  }
}

// Blocks do not depend on their neighbours: any number of blocks gives the same bytes.
TEST(EncodeRow, AnyNumberOfBlocks) {
  const std::vector<float> values = RandomNormals(5 * kSuperBlock, 3, 0.05);
  for (const DType type : kRowTypes) {
    SCOPED_TRACE(NameOf(type));
    const std::vector<std::byte> all = Encoded(type, values);
    const auto length = static_cast<size_t>(BlockElements(type));
    for (size_t blocks = 0; blocks * length <= values.size(); ++blocks) {
      const size_t bytes = blocks * BlockBytes(type);
      ForEachSimdTarget([&] {
        std::vector<std::byte> some(bytes + 512, std::byte{0xA5});
        EncodeRow(type, std::span(values).first(blocks * length), {}, some.data());
        ASSERT_TRUE(std::ranges::equal(std::span(some).first(bytes), std::span(all).first(bytes))) << blocks;
        for (size_t i = bytes; i < some.size(); ++i) ASSERT_EQ(some[i], std::byte{0xA5}) << "written behind the row";
      });
    }
  }
}

// Values on a grid of the type round-trip exactly, each level at each index once.
TEST(EncodeRow, GridsComeBackExactly) {
  for (const DType type : kRowTypes) {
    SCOPED_TRACE(NameOf(type));
    const int levels = type == DType::kQ8_0 ? 255 : type == DType::kQ6_K ? 64 : type == DType::kQ5_K ? 32 : 16;
    const size_t depth = type == DType::kQ6_K ? 16 : 32;
    for (int shift = 0; shift < levels; ++shift) {
      std::vector<float> values(4 * kSuperBlock);
      for (size_t i = 0; i < values.size(); ++i) {
        const int level = static_cast<int>((i * 7 + static_cast<size_t>(shift)) % static_cast<size_t>(levels));
        // Both ends are in every sub-block, so that the grid is determined.
        const int n = i % depth == 0 ? 0 : i % depth == 1 ? levels - 1 : level;
        const int lowest = type == DType::kQ8_0 ? 127 : levels / 2;
        values[i] = 0.25f * static_cast<float>(n - lowest);
      }
      // The scale, 0.25 or its 63rd or 128th part, must be an fp16: for the types with integer scales it is not quite.
      const double tolerance = type == DType::kQ8_0 || type == DType::kQ4_0 ? 0 : 0.25 * levels * 0x1p-10;
      const std::vector<float> back = Decoded(type, Encoded(type, values));
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_TRUE(Near(back[i], values[i], tolerance)) << i << " " << back[i];
      }
    }
  }
}

// Down to the smallest fp16 scale, errors are those of a step; below it everything is zero. Q8_0 keeps ggml's rule,
// whose scale is 0 already when the largest value is below 127 half steps.
TEST(EncodeRow, TinyValuesRoundToTheSmallestScale) {
  for (const DType type : kRowTypes) {
    // A scale that is off by up to half the smallest fp16, times the largest level.
    const double smallest = type == DType::kQ8_0 ? 127 * 0x1p-25 : type == DType::kQ4_0 ? 8 * 0x1p-25 : 0x1p-24;
    for (const double size : {0x1p-140, 0x1p-126, 0x1p-60, 0x1p-30, 0x1p-26, 0x1p-24, 0x1p-22, 0x1p-20}) {
      const std::vector<float> values = RandomNormals(kSuperBlock, 11, size);
      const std::vector<float> back = Decoded(type, Encoded(type, values));
      // A step of 15 over +-3 standard deviations is 0.4 of one; a symmetric type clips a step at one end.
      double error = 0, power = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        error += std::pow(static_cast<double>(back[i]) - static_cast<double>(values[i]), 2);
        power += std::pow(static_cast<double>(values[i]), 2);
      }
      // Values that the smallest scale can represent do not become zero.
      const bool in_reach = type != DType::kQ8_0 && size >= 0x1p-22;
      EXPECT_LT(error, (in_reach ? 0.05 : 1.5) * power + 1e-60) << NameOf(type) << " " << size;
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_TRUE(Near(back[i], values[i], smallest + 0.5 * size))
            << NameOf(type) << " " << values[i] << " " << back[i];
      }
    }
  }
}

// Up to the limit, scales stay finite and every value is within one step.
TEST(EncodeRow, HugeValues) {
  for (const DType type : kRowTypes) {
    const float limit = MaxQuantizable(type);
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<float> values(kSuperBlock, 0.0f);
      for (size_t i = 0; i < values.size(); i += 3) values[i] = limit;
      for (size_t i = 1; i < values.size(); i += 3) values[i] = -limit;
      for (size_t i = 2; i < values.size(); i += 3) values[i] = sign * limit / 3;
      EXPECT_EQ(FirstNotQuantizable(type, values), values.size());
      const std::vector<float> back = Decoded(type, Encoded(type, values));
      const double step = 2.0 * static_cast<double>(limit) /
                          (type == DType::kQ8_0   ? 254
                           : type == DType::kQ6_K ? 63
                           : type == DType::kQ5_K ? 31
                                                  : 15);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_TRUE(Near(back[i], values[i], step)) << NameOf(type) << " " << i << ": " << back[i];
      }
    }
  }
}

TEST(EncodeRow, RefusesWhatItCannotStoreByPosition) {
  for (const DType type : kRowTypes) {
    const float beyond = std::nextafter(MaxQuantizable(type), std::numeric_limits<float>::infinity());
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), beyond, -beyond}) {
      for (const size_t at : std::initializer_list<size_t>{0, 7, 255, 256, 511}) {
        std::vector<float> values(2 * kSuperBlock, 0.5f);
        values[at] = bad;
        std::vector<std::byte> out(BytesOf(type, 2 * kSuperBlock));
        ForEachSimdTarget([&] {
          EXPECT_EQ(FirstNotQuantizable(type, values), at);
          try {
            EncodeRow(type, values, {}, out.data());
            ADD_FAILURE() << "accepted " << bad;
          } catch (const Error& error) {
            EXPECT_EQ(error.info().where, "value " + std::to_string(at) + " of the row");
          }
        });
      }
    }
  }
}

// Weights have an effect: the weighted error is below that of the unweighted encoding.
TEST(EncodeRow, WeightsMoveTheErrorAway) {
  const std::vector<float> values = RandomNormals(64 * kSuperBlock, 21, 0.02);
  std::vector<float> importance(values.size());
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 16 == 3 ? 100.0f : 1.0f;
  const std::vector<float> weights = ImportanceWeights(importance);
  for (const DType type : {DType::kQ4_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const auto weighted_error = [&](std::span<const float> w) {
      const std::vector<float> back = Decoded(type, Encoded(type, values, w));
      double sum = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        sum += static_cast<double>(weights[i]) *
               std::pow(static_cast<double>(back[i]) - static_cast<double>(values[i]), 2);
      }
      return sum;
    };
    EXPECT_LT(weighted_error(weights), 0.9 * weighted_error({})) << NameOf(type);
  }
}

TEST(ImportanceWeights, ScaledHeldAndChecked) {
  const std::vector<float> w = ImportanceWeights(std::vector<float>{0, 2, 4, 2});
  EXPECT_EQ(w, (std::vector<float>{0x1p-10f, 1, 2, 1}));
  EXPECT_TRUE(ImportanceWeights(std::vector<float>(8, 0.0f)).empty());
  for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    try {
      ImportanceWeights(std::vector<float>{1, 1, bad});
      ADD_FAILURE() << "accepted " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.info().where, "importance of column 2");
    }
  }
}

}  // namespace
}  // namespace stablelm
