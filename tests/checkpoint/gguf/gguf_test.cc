// Tests the reader with a catalogue of broken and unusual files, and the writer with the reader.
#include "checkpoint/gguf/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/atomic_file.h"
#include "checkpoint/gguf/gguf_builder.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// The result refers to `file`, which must outlive it.
GgufHeader ParseHeader(const std::string& file) { return ParseGguf(std::as_bytes(std::span(file)), "x.gguf"); }
std::string RefusalOfHeader(const std::string& file) {
  return ErrorText([&] { ParseHeader(file); });
}
std::string RefusalOfHeader(const GgufBytes& file) { return RefusalOfHeader(file.Encoded()); }
std::string RefusedKey(const std::string& key) {
  GgufBytes file;
  file.keys = {key};
  return RefusalOfHeader(file);
}
std::string RefusedTensor(const GgufTensorBytes& tensor, size_t data_bytes = 1 << 16) {
  GgufBytes file;
  file.tensors = {tensor.Encoded()};
  file.data_bytes = data_bytes;
  return RefusalOfHeader(file);
}

TEST(Gguf, ReadsValuesOfEveryType) {
  GgufBytes file;
  file.keys = {GgufKey("a.u8", 0, LittleEndian(uint8_t{200})),
               GgufKey("a.i8", 1, LittleEndian(int8_t{-5})),
               GgufKey("a.u16", 2, LittleEndian(uint16_t{60000})),
               GgufKey("a.i16", 3, LittleEndian(int16_t{-300})),
               GgufKey("a.u32", 4, LittleEndian(uint32_t{4000000000})),
               GgufKey("a.i32", 5, LittleEndian(int32_t{-70000})),
               GgufKey("a.f32", 6, LittleEndian(1e-5f)),
               GgufKey("a.bool", 7, LittleEndian(uint8_t{1})),
               GgufKey("a.string", 8, GgufString("text")),
               GgufKey("a.strings", 9, GgufArrayOf(8, 2, GgufString("") + GgufString("two"))),
               GgufKey("a.u64", 10, LittleEndian(uint64_t{1} << 63)),
               GgufKey("a.i64", 11, LittleEndian(int64_t{-1})),
               GgufKey("a.f64", 12, LittleEndian(0.1)),
               GgufKey("a.i16s", 9, GgufArrayOf(3, 2, LittleEndian(int16_t{-1}) + LittleEndian(int16_t{7}))),
               GgufKey("a.nested", 9, GgufArrayOf(9, 1, GgufArrayOf(0, 1, "\x05")))};
  const std::string bytes = file.Encoded();
  const GgufHeader header = ParseHeader(bytes);
  EXPECT_EQ(header.version, 3u);
  EXPECT_EQ(header.Integer("a.u8"), 200);
  EXPECT_EQ(header.Integer("a.i8"), -5);
  EXPECT_EQ(header.Integer("a.u16"), 60000);
  EXPECT_EQ(header.Integer("a.i16"), -300);
  EXPECT_EQ(header.Integer("a.u32"), 4000000000);
  EXPECT_EQ(header.Integer("a.i32"), -70000);
  EXPECT_EQ(header.Integer("a.i64"), -1);
  EXPECT_EQ(header.Real("a.f32"), 1e-5);  // not 9.999999747e-06, the widened float
  EXPECT_EQ(header.Real("a.f64"), 0.1);
  EXPECT_EQ(header.Flag("a.bool"), true);
  EXPECT_EQ(header.Text("a.string"), "text");
  EXPECT_THAT(header.Array("a.strings", GgufType::kString)->Strings(), ElementsAre("", "two"));
  EXPECT_THAT(*header.Array("a.i16s", GgufType::kI16)->Integers(), ElementsAre(-1, 7));
  EXPECT_EQ(header.Array("a.nested", GgufType::kArray)->size, 1u);
  EXPECT_EQ(header.Find("a.none"), nullptr);
  EXPECT_FALSE(header.Text("a.none"));
  EXPECT_EQ(header.Find("a.i8")->offset, 24u + GgufKey("a.u8", 0, "x").size());

  EXPECT_THAT(ErrorText([&] { header.Integer("a.u64"); }), HasSubstr("number too large"));
  EXPECT_THAT(ErrorText([&] { header.Integer("a.f32"); }),
              AllOf(HasSubstr("key \"a.f32\" (byte "), HasSubstr("found f32, expected an integer")));
  EXPECT_THAT(ErrorText([&] { header.Text("a.u8"); }), HasSubstr("expected a string"));
  EXPECT_THAT(ErrorText([&] { header.Flag("a.u8"); }), HasSubstr("expected a bool"));
  EXPECT_THAT(ErrorText([&] { header.Real("a.u8"); }), HasSubstr("expected an f32 or f64"));
  EXPECT_THAT(ErrorText([&] { header.Array("a.i16s", GgufType::kString); }),
              HasSubstr("found an array of i16, expected an array of string"));
}

TEST(Gguf, ReadsTensorsOfEveryKindOfBlock) {
  GgufBytes file;
  file.keys = {GgufKey("general.alignment", 4, LittleEndian(uint32_t{64}))};
  file.alignment = 64;
  file.tensors = {GgufTensorBytes{.name = "q", .dims = {512, 3}, .type = 12, .offset = 64}.Encoded(),
                  GgufTensorBytes{.name = "f", .dims = {4}, .type = 0, .offset = 0}.Encoded(),
                  GgufTensorBytes{.name = "old", .dims = {32}, .type = 9, .offset = 1024}.Encoded(),
                  GgufTensorBytes{.name = "one", .dims = {}, .type = 30, .offset = 1088}.Encoded(),
                  GgufTensorBytes{.name = "none", .dims = {0, 5}, .type = 1, .offset = 1088}.Encoded()};
  file.data_bytes = 1090;
  const std::string bytes = file.Encoded();
  const GgufHeader header = ParseHeader(bytes);
  ASSERT_EQ(header.tensors.size(), 5u);
  EXPECT_EQ(header.data_begin % 64, 0u);
  EXPECT_EQ(header.data_begin + 1090, bytes.size());
  EXPECT_EQ(header.tensors[0].shape, (Shape{3, 512}));
  EXPECT_EQ(header.tensors[0].dtype, DType::kQ4_K);
  EXPECT_EQ(header.tensors[0].bytes, 3u * 2 * 144);
  EXPECT_EQ(header.tensors[0].offset, header.data_begin + 64);
  EXPECT_EQ(header.tensors[1].dtype, DType::kF32);
  EXPECT_FALSE(header.tensors[2].dtype);
  EXPECT_EQ(header.tensors[2].stored_as, "Q8_1");
  EXPECT_EQ(header.tensors[2].bytes, 36u);
  EXPECT_EQ(header.tensors[3].shape.rank(), 0u);
  EXPECT_EQ(header.tensors[3].bytes, 2u);
  EXPECT_EQ(header.tensors[4].bytes, 0u);
}

TEST(Gguf, BlocksOfOurTypesAreThoseOfTheFormat) {
  for (const DType type :
       {DType::kF32,  DType::kF16,  DType::kBF16, DType::kF64,  DType::kI64,    DType::kI32,   DType::kI16,
        DType::kI8,   DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K,   DType::kQ6_K,  DType::kQ4_1,
        DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K, DType::kIQ4_NL, DType::kIQ4_XS}) {
    SCOPED_TRACE(NameOf(type));
    const GgufTensorType* found = FindGgufTensorType(type);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->block_elements, BlockElements(type));
    EXPECT_EQ(found->block_bytes, BlockBytes(type));
    EXPECT_EQ(FindGgufTensorType(found->number), found);
    if (IsQuantized(type)) {
      EXPECT_EQ(found->name, NameOf(type));
    }
  }
  EXPECT_EQ(FindGgufTensorType(DType::kBool), nullptr);
}

TEST(Gguf, FileWithoutKeysAndTensors) {
  EXPECT_TRUE(ParseHeader(GgufBytes().Encoded()).entries.empty());
  EXPECT_EQ(RefusalOfHeader(GgufBytes().Encoded().substr(0, 24)), "");
}
TEST(Gguf, VersionTwoIsTheSame) {
  GgufBytes file;
  file.version = 2;
  EXPECT_EQ(RefusalOfHeader(file), "");
}
// llama.cpp pads the last tensor, other writers do not.
TEST(Gguf, PaddingBehindTheLastTensorMayBeThere) {
  for (const size_t bytes : {16u, 32u}) EXPECT_EQ(RefusedTensor({}, bytes), "");
}

TEST(GgufBroken, WrongMagic) {
  GgufBytes file;
  file.magic = "GGML";
  EXPECT_THAT(RefusalOfHeader(file),
              AllOf(HasSubstr("x.gguf: the magic (byte 0): not a GGUF file"), HasSubstr("\"GGML\"")));
}
// The models of llama.cpp before August 2023, and its LoRA adapters.
TEST(GgufBroken, FilesFromBeforeGgufAreNamed) {
  for (const auto& [magic, kind] : {std::pair("lmgg", "ggml"), {"fmgg", "ggmf"}, {"tjgg", "ggjt"}, {"algg", "ggla"}}) {
    GgufBytes file;
    file.magic = magic;
    EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("kind " + std::string(kind)), HasSubstr("before GGUF"),
                                             HasSubstr("\"" + std::string(magic) + "\"")));
  }
  EXPECT_EQ(OldGgmlKind("GGUF"), "");
  EXPECT_EQ(OldGgmlKind("lm"), "");
}
TEST(GgufBroken, EmptyAndShort) {
  const std::string whole = GgufBytes().Encoded();
  for (const size_t bytes : {0u, 3u, 7u, 15u, 23u}) {
    const std::string found = "found a file of " + std::to_string(bytes) + " bytes, expected at least ";
    EXPECT_THAT(RefusalOfHeader(whole.substr(0, bytes)), AllOf(HasSubstr("truncated"), HasSubstr(found)));
  }
}
TEST(GgufBroken, VersionOne) {
  GgufBytes file;
  file.version = 1;
  EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("the version (byte 4)"), HasSubstr("found 1, expected 2 or 3")));
}
TEST(GgufBroken, VersionOfTheFuture) {
  GgufBytes file;
  file.version = 4;
  EXPECT_THAT(RefusalOfHeader(file), HasSubstr("found 4"));
  file.version = 0;
  EXPECT_THAT(RefusalOfHeader(file), HasSubstr("found 0"));
}
TEST(GgufBroken, BigEndian) {
  GgufBytes file;
  file.version = 3u << 24;
  EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("big-endian"), HasSubstr("gguf-convert-endian")));
}
TEST(GgufBroken, WildCounts) {
  for (const uint64_t count : {uint64_t{5}, uint64_t{1} << 40, std::numeric_limits<uint64_t>::max()}) {
    GgufBytes file;
    file.surplus_tensors = count;
    EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("the number of tensors (byte 8)"), HasSubstr("room")));
    file.surplus_tensors = 0;
    file.surplus_keys = count;
    EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("the number of keys (byte 16)"), HasSubstr("room")));
  }
  GgufBytes file;
  file.surplus_tensors = 100'001;
  file.data_bytes = 3 << 20;
  EXPECT_THAT(RefusalOfHeader(file), HasSubstr("too many"));
}
TEST(GgufBroken, CutAnywhereInTheHeader) {
  GgufBytes file;
  file.keys = {GgufKey("a.b", 8, GgufString("text")), GgufKey("a.c", 9, GgufArrayOf(4, 2, std::string(8, 'x')))};
  file.tensors = {GgufTensorBytes{.dims = {4, 2}}.Encoded()};
  file.data_bytes = 32;
  const std::string whole = file.Encoded();
  ASSERT_EQ(RefusalOfHeader(whole), "");
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_THAT(RefusalOfHeader(whole.substr(0, bytes)), HasSubstr("(byte ")) << bytes;
  }
}
TEST(GgufBroken, EmptyKey) { EXPECT_THAT(RefusedKey(GgufKey("", 0, "x")), HasSubstr("key 0 (byte 24): an empty key")); }
TEST(GgufBroken, KeyWithOtherCharacters) {
  for (const char* key : {"a b", "a\nb", "\xC3\xA9", "a\x7F"}) {
    EXPECT_THAT(RefusedKey(GgufKey(key, 0, "x")), HasSubstr("not a key")) << key;
  }
}
TEST(GgufBroken, KeyTooLong) {
  EXPECT_THAT(RefusedKey(GgufKey(std::string(65536, 'a'), 0, "x")),
              HasSubstr("found 65536 bytes, expected at most 65535"));
  EXPECT_EQ(RefusedKey(GgufKey(std::string(65535, 'a'), 0, "x")), "");
}
TEST(GgufBroken, KeyPastTheEnd) {
  EXPECT_THAT(RefusedKey(LittleEndian(uint64_t{60000}) + "a.b" + std::string(30, 'x')), HasSubstr("past the end"));
}
TEST(GgufBroken, KeyTwice) {
  GgufBytes file;
  file.keys = {GgufKey("a.b", 0, "x"), GgufKey("a.b", 0, "x")};
  EXPECT_THAT(RefusalOfHeader(file),
              HasSubstr("key \"a.b\" (byte " + std::to_string(24 + file.keys[0].size()) + "): appears twice"));
}
TEST(GgufBroken, UnknownTypeOfValue) {
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 13, std::string(8, 'x'))),
              AllOf(HasSubstr("key \"a.b\" (byte 35)"), HasSubstr("found 13, expected 0 to 12")));
}
TEST(GgufBroken, FlagsOtherThanZeroAndOne) {
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 7, "\x02")), HasSubstr("found 2, expected 0 or 1"));
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 9, GgufArrayOf(7, 2, "\x01\x03"))), HasSubstr("found 3"));
}
TEST(GgufBroken, StringPastTheEnd) {
  for (const uint64_t bytes : {uint64_t{1000}, std::numeric_limits<uint64_t>::max()}) {
    EXPECT_THAT(RefusedKey(GgufKey("a.b", 8, LittleEndian(bytes) + "x")), HasSubstr("key \"a.b\""));
  }
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 9, GgufArrayOf(8, 1, LittleEndian(uint64_t{1000}) + "x"))),
              HasSubstr("\"a.b\""));
}
TEST(GgufBroken, ArrayWithAWildCount) {
  for (const uint32_t type : {0u, 4u, 7u, 8u, 9u, 12u}) {
    for (const uint64_t size : {uint64_t{1000}, uint64_t{1} << 60, std::numeric_limits<uint64_t>::max()}) {
      EXPECT_THAT(RefusedKey(GgufKey("a.b", 9, GgufArrayOf(type, size, "xxxxxxxxxxxx"))),
                  AllOf(HasSubstr("more elements than the file has room for"), HasSubstr(std::to_string(size))));
    }
  }
}
TEST(GgufBroken, ArrayOfAnUnknownType) {
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 9, GgufArrayOf(77, 1, std::string(32, 'x')))), HasSubstr("found 77"));
}
TEST(GgufBroken, ArraysNestedTooDeeply) {
  std::string value = GgufArrayOf(0, 1, "x");
  for (int depth = 1; depth < 4; ++depth) value = GgufArrayOf(9, 1, value);
  EXPECT_EQ(RefusedKey(GgufKey("a.b", 9, value)), "");
  EXPECT_THAT(RefusedKey(GgufKey("a.b", 9, GgufArrayOf(9, 1, value))), HasSubstr("nested too deeply"));
}
TEST(GgufBroken, AlignmentIsAPowerOfTwo) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 0xFFFFFFFFu}) {
    EXPECT_THAT(RefusedKey(GgufKey("general.alignment", 4, LittleEndian(alignment))),
                AllOf(HasSubstr("\"general.alignment\""), HasSubstr("found " + std::to_string(alignment))));
  }
  EXPECT_THAT(RefusedKey(GgufKey("general.alignment", 10, LittleEndian(uint64_t{32}))), HasSubstr("a u32"));
  EXPECT_THAT(RefusedKey(GgufKey("general.alignment", 8, GgufString("32"))), HasSubstr("found string"));
}
TEST(GgufBroken, EmptyTensorName) {
  EXPECT_THAT(RefusedTensor({.name = ""}), HasSubstr("tensor 0 (byte 24): an empty name"));
}
TEST(GgufBroken, TensorNameTooLong) {
  EXPECT_THAT(RefusedTensor({.name = std::string(65, 'a')}), HasSubstr("found 65 bytes, expected at most 64"));
  EXPECT_EQ(RefusedTensor({.name = std::string(64, 'a')}), "");
}
TEST(GgufBroken, TensorNameIsNoText) {
  for (const char* name : {"a\n", "\xFF"}) EXPECT_THAT(RefusedTensor({.name = name}), HasSubstr("bad name"));
}
TEST(GgufBroken, TensorTwice) {
  GgufBytes file;
  file.tensors = {GgufTensorBytes{.offset = 0}.Encoded(), GgufTensorBytes{.offset = 32}.Encoded()};
  file.data_bytes = 64;
  EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("tensor \"t\" (byte "), HasSubstr("appears twice")));
}
TEST(GgufBroken, TooManyDimensions) {
  EXPECT_THAT(RefusedTensor({.dims = {1, 1, 1, 1, 1}}), HasSubstr("found 5, expected at most 4"));
}
TEST(GgufBroken, ProductOfDimensionsOverflows) {
  for (const std::vector<uint64_t>& dims : {std::vector<uint64_t>{uint64_t{1} << 63},
                                            {uint64_t{1} << 32, uint64_t{1} << 31},
                                            {1, ~uint64_t{0}},
                                            {uint64_t{1} << 33, uint64_t{1} << 33},
                                            {1 << 16, 1 << 16, 1 << 16, 1 << 16}}) {
    EXPECT_THAT(RefusedTensor({.dims = dims}), HasSubstr("the product of the dimensions is too large"));
  }
  // No partial product may overflow, whatever the order of multiplication.
  EXPECT_THAT(RefusedTensor({.dims = {uint64_t{1} << 33, 0, uint64_t{1} << 33}}), HasSubstr("too large"));
  // The number of elements fits in 64 bits, the number of bytes does not.
  EXPECT_THAT(RefusedTensor({.dims = {uint64_t{1} << 62}}), HasSubstr("too large"));
}
TEST(GgufBroken, UnknownTypeOfTensorIsNamed) {
  for (const uint32_t type : {4u, 5u, 31u, 36u, 1000u}) {
    EXPECT_THAT(RefusedTensor({.type = type}),
                AllOf(HasSubstr("tensor \"t\" (byte "), HasSubstr("unknown type of tensor"),
                      HasSubstr("found type " + std::to_string(type))));
  }
}
TEST(GgufBroken, RowIsNotAWholeNumberOfBlocks) {
  EXPECT_THAT(RefusedTensor({.dims = {128, 2}, .type = 12}),
              HasSubstr("found 128 elements of Q4_K, expected a multiple of 256"));
  EXPECT_THAT(RefusedTensor({.dims = {}, .type = 8}), HasSubstr("found 1 elements of Q8_0"));
}
TEST(GgufBroken, OffsetIsNotAligned) {
  EXPECT_THAT(RefusedTensor({.offset = 16}), HasSubstr("found 16, expected a multiple of 32"));
}
TEST(GgufBroken, DataPastTheEnd) {
  EXPECT_THAT(RefusedTensor({}, 15), AllOf(HasSubstr("tensor \"t\" (byte 24)"), HasSubstr("truncated"),
                                           HasSubstr("found a file of 79 bytes, expected at least 80 bytes")));
  for (const uint64_t offset : {uint64_t{32}, uint64_t{1} << 62}) {
    EXPECT_THAT(RefusedTensor({.offset = offset}, 47),
                AllOf(HasSubstr("truncated"), HasSubstr("expected at least " + std::to_string(64 + offset + 16))));
  }
  EXPECT_THAT(RefusedTensor({.offset = ~uint64_t{31}}, 47), HasSubstr("damaged"));
}
TEST(GgufBroken, AFileThatEndsInAValueIsTruncated) {
  GgufBytes file;
  file.keys = {GgufKey("tokenizer.huggingface.json", 8, GgufString(std::string(5000, ' ')))};
  const std::string cut = file.Encoded().substr(0, 1000);
  EXPECT_THAT(RefusalOfHeader(cut), AllOf(HasSubstr("key \"tokenizer.huggingface.json\""), HasSubstr("truncated"),
                                          HasSubstr("found a file of 1000 bytes, expected at least " +
                                                    std::to_string(24 + file.keys[0].size()))));
}
// The size that the whole file must have, not that of the first tensor that is cut off.
TEST(GgufBroken, ATruncatedFileSaysWhatIsMissing) {
  GgufBytes file;
  for (uint64_t i = 0; i < 3; ++i) {
    file.tensors.push_back(
        GgufTensorBytes{.name = "t" + std::to_string(i), .dims = {1000}, .offset = 4000 * i + 32 * i}.Encoded());
  }
  file.data_bytes = 3 * 4032;
  const std::string whole = file.Encoded();
  EXPECT_THAT(RefusalOfHeader(whole.substr(0, whole.size() - 5000)),
              AllOf(HasSubstr("tensor \"t1\""), HasSubstr("found a file of " + std::to_string(whole.size() - 5000)),
                    HasSubstr("expected at least " + std::to_string(whole.size() - 32)), HasSubstr("download")));
}
TEST(GgufBroken, FileEndsBeforeTheDataOfATensorWithoutElements) {
  GgufBytes file;
  file.tensors = {GgufTensorBytes{.name = "t", .dims = {0, 3}}.Encoded()};
  const std::string whole = file.Encoded();
  EXPECT_EQ(RefusalOfHeader(whole), "");
  EXPECT_THAT(RefusalOfHeader(whole.substr(0, whole.size() - 1)), HasSubstr("past the end of the file"));
}
TEST(GgufBroken, DataOverlap) {
  GgufBytes file;
  file.tensors = {GgufTensorBytes{.name = "a", .dims = {9}, .offset = 0}.Encoded(),
                  GgufTensorBytes{.name = "b", .dims = {4}, .offset = 32}.Encoded()};
  file.data_bytes = 64;
  EXPECT_THAT(RefusalOfHeader(file), AllOf(HasSubstr("tensor \"b\""), HasSubstr("overlaps that of tensor \"a\"")));
}
TEST(GgufBroken, LfsPointer) {
  const TempFolder temp;
  WriteTextFileAtomically(temp.path() / "a.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:" +
                                                      std::string(64, 'a') + "\nsize 10161140290\n");
  EXPECT_THAT(ErrorText([&] { GgufFile file(temp.path() / "a.gguf"); }), HasSubstr("Git LFS pointer"));
}

class GgufWriterTest : public testing::Test {
 protected:
  std::filesystem::path File() const { return temp_.path() / "a.gguf"; }
  TempFolder temp_;
};

TEST_F(GgufWriterTest, ValuesOfEveryTypeComeBack) {
  GgufMetadata metadata;
  metadata.Set<uint8_t>("a.u8", 200);
  metadata.Set<int8_t>("a.i8", -5);
  metadata.Set<uint16_t>("a.u16", 60000);
  metadata.Set<int16_t>("a.i16", -300);
  metadata.Set<uint32_t>("a.u32", 4000000000);
  metadata.Set<int32_t>("a.i32", -70000);
  metadata.Set<float>("a.f32", 0.25f);
  metadata.Set<bool>("a.bool", true);
  metadata.SetText("a.string", "t\xC3\xA4xt");
  metadata.Set<uint64_t>("a.u64", 1ull << 40);
  metadata.Set<int64_t>("a.i64", -(1ll << 40));
  metadata.Set<double>("a.f64", 0.1);
  metadata.SetTexts("a.strings", std::vector<std::string>{"one", "", "three"});
  metadata.SetArray<int32_t>("a.i32s", std::vector<int32_t>{1, -2});
  metadata.SetArray<float>("a.f32s", std::vector<float>{});
  metadata.Set<uint32_t>("a.gone", 1);
  metadata.Remove("a.gone");
  metadata.SetText("a.u8", "another");  // replaces the number, at its position
  GgufWriter(File(), metadata, {}).Commit();

  const GgufFile file(File());
  const GgufHeader& header = file.header();
  EXPECT_EQ(header.entries[0].key, "a.u8");
  EXPECT_EQ(header.Text("a.u8"), "another");
  EXPECT_EQ(header.Integer("a.i8"), -5);
  EXPECT_EQ(header.Integer("a.u16"), 60000);
  EXPECT_EQ(header.Integer("a.i16"), -300);
  EXPECT_EQ(header.Integer("a.u32"), 4000000000);
  EXPECT_EQ(header.Integer("a.i32"), -70000);
  EXPECT_EQ(header.Real("a.f32"), 0.25);
  EXPECT_EQ(header.Flag("a.bool"), true);
  EXPECT_EQ(header.Text("a.string"), "t\xC3\xA4xt");
  EXPECT_EQ(header.Integer("a.u64"), 1ll << 40);
  EXPECT_EQ(header.Integer("a.i64"), -(1ll << 40));
  EXPECT_EQ(header.Real("a.f64"), 0.1);
  EXPECT_THAT(header.Array("a.strings", GgufType::kString)->Strings(), ElementsAre("one", "", "three"));
  EXPECT_THAT(*header.Array("a.i32s", GgufType::kI32)->Integers(), ElementsAre(1, -2));
  EXPECT_EQ(header.Array("a.f32s", GgufType::kF32)->size, 0u);
  EXPECT_EQ(header.Find("a.gone"), nullptr);
  const GgufType types[] = {GgufType::kString, GgufType::kI8,  GgufType::kU16, GgufType::kI16,
                            GgufType::kU32,    GgufType::kI32, GgufType::kF32, GgufType::kBool,
                            GgufType::kString, GgufType::kU64, GgufType::kI64, GgufType::kF64};
  for (size_t i = 0; i < std::size(types); ++i) EXPECT_EQ(header.entries[i].type, types[i]) << i;

  // Copying every entry gives the same metadata.
  GgufMetadata copied;
  for (const GgufEntry& entry : header.entries) copied.Copy(entry);
  EXPECT_EQ(copied.entries(), metadata.entries());
}

TEST_F(GgufWriterTest, TensorsComeBackInAnyOrderOfWriting) {
  for (const uint32_t alignment : {0u, 64u}) {
    GgufMetadata metadata;
    if (alignment) metadata.Set<uint32_t>("general.alignment", alignment);
    GgufWriter writer(File(), metadata,
                      {{"a", DType::kF32, {3}}, {"b", DType::kQ8_0, {2, 64}}, {"c", DType::kBF16, {5, 1}}});
    EXPECT_EQ(writer.TensorBytes(1), 2u * 2 * 34);
    std::vector<std::vector<std::byte>> data;
    for (size_t t = 0; t < 3; ++t) data.emplace_back(writer.TensorBytes(t), static_cast<std::byte>(t + 1));
    writer.WriteAt(2, 0, data[2]);
    writer.WriteAt(1, 100, std::span(data[1]).subspan(100));
    writer.WriteAt(1, 0, std::span(data[1]).first(100));
    writer.WriteAt(0, 0, data[0]);
    EXPECT_FALSE(std::filesystem::exists(File()));
    writer.Commit();

    const GgufFile file(File());
    EXPECT_EQ(file.map().size(), writer.FileBytes());
    EXPECT_EQ(file.map().size() % (alignment ? alignment : 32), 0u);
    ASSERT_EQ(file.header().tensors.size(), 3u);
    EXPECT_EQ(file.header().tensors[1].shape, (Shape{2, 64}));
    EXPECT_EQ(file.header().tensors[1].dtype, DType::kQ8_0);
    for (size_t t = 0; t < 3; ++t) {
      const StoredTensor& tensor = file.header().tensors[t];
      ASSERT_EQ(tensor.bytes, data[t].size());
      EXPECT_EQ(std::memcmp(file.map().bytes().data() + tensor.offset, data[t].data(), tensor.bytes), 0);
    }
    std::filesystem::remove(File());
  }
}

TEST_F(GgufWriterTest, WithoutCommitThereIsNothing) {
  { GgufWriter writer(File(), {}, {{"a", DType::kF32, {3}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
}

}  // namespace
}  // namespace stablelm
