// Tests the reader with a catalogue of broken and unusual files, and the writer with the reader.
#include "checkpoint/huggingface/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/mapped_file.h"
#include "checkpoint/huggingface/safetensors_writer.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

std::string Length(uint64_t n) {
  std::string text(8, '\0');
  for (size_t i = 0; i < 8; ++i) text[i] = static_cast<char>(n >> (8 * i) & 0xFF);
  return text;
}

std::string File(const std::string& header, size_t data_bytes) {
  return Length(header.size()) + header + std::string(data_bytes, '\1');
}

SafetensorsHeader ParseFile(const std::string& file) { return ParseSafetensors(std::as_bytes(std::span(file)), "x"); }
std::string RefusalOfFile(const std::string& file) {
  return ErrorText([&] { ParseFile(file); });
}

// A header {"a": ...} with these three fields.
std::string One(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TEST(SafetensorsTest, ReadsWhatIsLegal) {
  const SafetensorsHeader header =
      ParseFile(File(R"({"b":{"shape":[2,3],"dtype":"F16","data_offsets":[4,16]},)"
                     R"("__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )",
                     16));
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[0].dtype, DType::kF32);
  EXPECT_EQ(header.tensors[0].shape.rank(), 0u);
  EXPECT_EQ(header.tensors[0].bytes, 4u);
  EXPECT_EQ(header.tensors[1].name, "b");
  EXPECT_EQ(header.tensors[1].shape, (Shape{2, 3}));
  EXPECT_EQ(header.tensors[1].offset, header.data_begin + 4);
  EXPECT_EQ(header.metadata.at("format"), "pt");
}

// As the format's own reader does.
TEST(SafetensorsTest, UnknownFieldsAndMissingMetadataAreIgnored) {
  for (const char* value :
       {"1", "-1", "1.5", "null", "true", "\"t\"", "[1,[2,{}]]", R"({"dtype":"F16","shape":[{}]})"}) {
    const SafetensorsHeader header = ParseFile(File(R"({"__metadata__":null,"a":{"dtype":"F32","x":)" +
                                                        std::string(value) + R"(,"shape":[1],"data_offsets":[0,4]}})",
                                                    4));
    ASSERT_EQ(header.tensors.size(), 1u) << value;
    EXPECT_EQ(header.tensors[0].shape, (Shape{1})) << value;
  }
}

TEST(SafetensorsTest, EmptyObjectIsAFileWithoutTensors) { EXPECT_TRUE(ParseFile(File("{}", 0)).tensors.empty()); }

TEST(SafetensorsTest, ZeroSizeTensor) {
  EXPECT_EQ(ParseFile(File(One("F32", "[0,5]", "[0,0]"), 0)).tensors[0].shape, (Shape{0, 5}));
}

TEST(SafetensorsTest, AsManyDimensionsAsAShapeHas) {
  std::string ones = "1";
  for (size_t i = 1; i < Shape::kMaxRank; ++i) ones += ",1";
  EXPECT_EQ(ParseFile(File(One("F32", "[" + ones + "]", "[0,4]"), 4)).tensors[0].shape.rank(), Shape::kMaxRank);
  EXPECT_THAT(RefusalOfFile(File(One("F32", "[" + ones + ",1]", "[0,4]"), 4)), HasSubstr("too many dimensions"));
}

TEST(SafetensorsTest, TwoTensorsWithTheSameEmptyRange) {
  EXPECT_EQ(ParseFile(File(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                           R"("b":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                           0))
                .tensors.size(),
            2u);
}

TEST(SafetensorsTest, PaddingSpaces) { EXPECT_EQ(RefusalOfFile(File(One("F32", "[1]", "[0,4]") + "      ", 4)), ""); }

TEST(SafetensorsTest, TypesThatThisProgramHasNoUseForAreKnown) {
  EXPECT_FALSE(ParseFile(File(One("F8_E4M3", "[3]", "[0,3]"), 3)).tensors[0].dtype);
  EXPECT_EQ(ParseFile(File(One("F4", "[4]", "[0,2]"), 2)).tensors[0].bytes, 2u);
}

TEST(SafetensorsTest, EveryTruncationIsRefused) {
  const std::string file = File(One("F32", "[2]", "[0,8]"), 8);
  for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(RefusalOfFile(file.substr(0, n)), "") << n;
  EXPECT_EQ(RefusalOfFile(file), "");
}

struct Broken {
  const char* name;
  std::string file;
  const char* message;
};

class BrokenSafetensorsTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenSafetensorsTest, IsRefused) { EXPECT_THAT(RefusalOfFile(GetParam().file), HasSubstr(GetParam().message)); }

const std::string kGood = One("F32", "[1]", "[0,4]");

INSTANTIATE_TEST_SUITE_P(
    Catalogue, BrokenSafetensorsTest,
    testing::Values(
        Broken{"HeaderLengthZero", Length(0), "does not start with '{'"},
        Broken{"HeaderLongerThanFile", Length(1000) + "{}", "past the end of the file"},
        Broken{"HeaderLengthTwoTo63", Length(uint64_t{1} << 63) + "{}", "impossible header length"},
        Broken{"HeaderLengthAllOnes", Length(~uint64_t{0}) + "{}", "impossible header length"},
        Broken{"HeaderAboveCap", Length(100'000'001) + "{}", "impossible header length"},
        Broken{"HeaderIsAList", File("[]", 0), "does not start with '{'"},
        Broken{"HeaderWithBom", File("\xEF\xBB\xBF{}", 0), "does not start with '{'"},
        Broken{"HeaderWithLeadingSpace", File(" {}", 0), "does not start with '{'"},
        Broken{"NotUtf8", File("{\"\xFF\":1}", 0), "not valid UTF-8"},
        Broken{"NotJson", File("{\"a\"", 0), "not valid JSON"}, Broken{"TwoObjects", File("{}{}", 0), "not valid JSON"},
        Broken{"DuplicateName",
               File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    8),
               "appears twice"},
        Broken{"DuplicateField", File(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
               "appears twice"},
        Broken{"DuplicateMetadata", File(R"({"__metadata__":{"a":"1"},"__metadata__":{}})", 0), "appears twice"},
        Broken{"DuplicateMetadataKey", File(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "appears twice"},
        Broken{"Hole",
               File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                    12),
               "hole"},
        Broken{"HoleAtTheStart", File(One("F32", "[1]", "[4,8]"), 8), "hole"},
        Broken{"Overlap",
               File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                    R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                    12),
               "overlaps"},
        Broken{"ReversedOffsets", File(One("F32", "[1]", "[4,0]"), 4), "reversed"},
        Broken{"ShapeProductOverflow", File(One("F32", "[8589934592,8589934592]", "[0,4]"), 4), "shape too large"},
        Broken{"ShapeProductWrapsToFour", File(One("F32", "[4294967296,4294967296,1]", "[0,4]"), 4), "shape too large"},
        Broken{"DimensionAboveInt64", File(One("F32", "[18446744073709551615]", "[0,4]"), 4), "dimension too large"},
        Broken{"DimensionAboveUint64", File(One("F32", "[18446744073709551616]", "[0,4]"), 4), "wrong kind of value"},
        Broken{"NegativeDimension", File(One("F32", "[-1]", "[0,4]"), 4), "wrong kind of value in \"shape\""},
        Broken{"FractionalDimension", File(One("F32", "[1.0]", "[0,4]"), 4), "wrong kind of value in \"shape\""},
        Broken{"NestedShape", File(One("F32", "[[1]]", "[0,4]"), 4), "wrong kind of value in \"shape\""},
        Broken{"RankNine", File(One("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4), "too many dimensions"},
        Broken{"TrailingByte", File(kGood, 5), "bytes after the last tensor"},
        Broken{"DataMissing", File(kGood, 3), "past the end of the file"},
        Broken{"MetadataWithANumber", File(R"({"__metadata__":{"a":1}})", 0), "a string"},
        Broken{"MetadataIsAList", File(R"({"__metadata__":[]})", 0), "an object of strings"},
        Broken{"MetadataIsAString", File(R"({"__metadata__":"a"})", 0), "an object of strings"},
        Broken{"PaddingNuls", File(std::string("{}\0\0", 4), 0), "NUL byte"},
        Broken{"OddByteCountOfF16", File(One("F16", "[1]", "[0,3]"), 3), "disagree with dtype and shape"},
        Broken{"HalfAByte", File(One("F4", "[3]", "[0,1]"), 1), "whole number of bytes"},
        Broken{"UnknownType", File(One("F33", "[1]", "[0,4]"), 4), "unknown dtype"},
        Broken{"TypeInLowerCase", File(One("f32", "[1]", "[0,4]"), 4), "unknown dtype"},
        Broken{"OneOffset", File(One("F32", "[1]", "[0]"), 4), "needs two numbers"},
        Broken{"ThreeOffsets", File(One("F32", "[1]", "[0,4,4]"), 4), "more than two numbers"},
        Broken{"MissingField", File(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "\"data_offsets\" is missing"},
        Broken{"UnknownFieldTooDeep", File(R"({"a":{"x":)" + std::string(65, '[') + std::string(65, ']') + "}}", 0),
               "nested too deeply"},
        Broken{"TensorIsANumber", File(R"({"a":1})", 0), "wrong kind of value"},
        Broken{"EmptyName", File(R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "empty name"},
        Broken{"ControlCharacterInName", File(R"({"a\nb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
               "control character"},
        Broken{"TextFile", "This is a README, not weights.\n", "not a safetensors file"},
        Broken{"Empty", "", "too short"}),
    [](const auto& test) { return test.param.name; });

TEST(SafetensorsWriterTest, FileHasHuggingFacesLayoutAndReadsBack) {
  const TempFolder folder;
  const auto path = folder.path() / "x.safetensors";
  const std::vector<SafetensorsEntry> entries = {{"z16", DType::kF16, {3}},
                                                 {"b32", DType::kF32, {2, 2}},
                                                 {"a16", DType::kBF16, {}},
                                                 {"none", DType::kF32, {0, 7}},
                                                 {"a\"quote", DType::kF32, {1}}};
  {
    SafetensorsWriter writer(path, entries);
    for (size_t i = entries.size(); i-- > 0;) {  // any order, in pieces
      for (uint64_t at = 0; at < writer.TensorBytes(i); ++at) {
        writer.WriteAt(i, at, std::array{static_cast<std::byte>(16 * i + at)});
      }
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.Commit();
  }
  const SafetensorsFile file(path);
  EXPECT_EQ(file.header().data_begin % 8, 0u);
  EXPECT_EQ(file.header().metadata.at("format"), "pt");
  std::vector<std::string> order;
  for (const StoredTensor& tensor : file.header().tensors) order.push_back(tensor.name);
  // Four-byte types first, each group by name. The reader sorts by (begin, end), and the empty tensor has no bytes.
  EXPECT_EQ(order, (std::vector<std::string>{"a\"quote", "b32", "none", "a16", "z16"}));
  for (size_t i = 0; i < entries.size(); ++i) {
    const TensorView view = file.Get(entries[i].name);
    EXPECT_EQ(view.dtype, entries[i].dtype);
    EXPECT_EQ(view.shape, entries[i].shape);
    for (size_t at = 0; at < BytesOf(view.dtype, view.NumElements()); ++at)
      EXPECT_EQ(view.data[at], static_cast<std::byte>(16 * i + at));
  }
  EXPECT_EQ(file.Find("absent"), nullptr);
  EXPECT_THAT(ErrorText([&] { file.Get("absent"); }), HasSubstr("no tensor \"absent\""));
}

TEST(SafetensorsWriterTest, NothingAppearsWithoutCommit) {
  const TempFolder folder;
  { SafetensorsWriter writer(folder.path() / "x.safetensors", {{"a", DType::kF32, {4}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriterDeathTest, AnIncompleteTensorIsOurMistake) {
  const TempFolder folder;
  SafetensorsWriter writer(folder.path() / "x.safetensors", {{"a", DType::kF32, {4}}});
  writer.WriteAt(0, 0, std::array<std::byte, 15>{});
  EXPECT_DEATH(writer.Commit(), "internal check failed");
  EXPECT_DEATH(writer.WriteAt(0, 8, std::array<std::byte, 9>{}), "internal check failed");
}

}  // namespace
}  // namespace stablelm
