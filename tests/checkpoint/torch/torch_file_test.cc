// PyTorch files: written by PyTorch (data/torch, made by scripts/make_torch_fixtures.py), and malformed or hostile ones
// assembled here.
#include "checkpoint/torch/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "checkpoint/torch/torch_builder.h"
#include "error_text.h"
#include "ops/convert.h"
#include "test_paths.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
namespace p = pickled;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const fs::path kFixtures = fs::path(TestData()) / "torch";

TorchFile ParsePickles(const std::string& file) { return ParseTorchFile(std::as_bytes(std::span(file)), "x.bin"); }
std::string RefusalOfPickles(const std::string& file) {
  return ErrorText([&] { ParsePickles(file); });
}

std::vector<double> Values(const StoredTensor& tensor, std::span<const std::byte> file) {
  std::vector<std::byte> bytes(tensor.bytes);
  GatherTensor(tensor, file, bytes);
  const auto n = static_cast<size_t>(tensor.shape.NumElements());
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) {
    const std::byte* at = bytes.data() + i * BytesOf(*tensor.dtype);
    int64_t whole = 0;
    float real = 0;
    switch (*tensor.dtype) {
      case DType::kI64:
        std::memcpy(&whole, at, 8);
        values.push_back(static_cast<double>(whole));
        break;
      case DType::kU8:
      case DType::kBool:
        values.push_back(std::to_integer<int>(*at));
        break;
      default:
        ConvertValues(at, *tensor.dtype, reinterpret_cast<std::byte*>(&real), DType::kF32, 1);
        values.push_back(real);
    }
  }
  return values;
}

std::string Float(float value) { return {reinterpret_cast<const char*>(&value), 4}; }
std::string Floats(size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += Float(static_cast<float>(i));
  return text;
}

// {"a": tensor} on one storage of six floats 0..5.
std::string OneTensor(int64_t offset, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  return TorchArchive(p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", 6), offset, sizes, strides)}})), {Floats(6)})
      .Build();
}
std::string WithPickle(const std::string& pickle) { return TorchArchive(pickle, {Floats(6)}).Build(); }

// ---- files written by PyTorch ----

TEST(TorchFileTest, EveryFixtureHasPyTorchsValues) {
  const nlohmann::json expected = nlohmann::json::parse(std::ifstream(kFixtures / "expected.json"));
  ASSERT_GE(expected.size(), 13u);
  for (const auto& [name, tensors] : expected.items()) {
    SCOPED_TRACE(name);
    const MappedFile map(kFixtures / (name + ".bin"));
    const TorchFile file = ParseTorchFile(map.bytes(), name);
    CheckTorchStorages(map.bytes(), name);
    EXPECT_EQ(file.legacy, name.starts_with("legacy"));
    EXPECT_EQ(file.tensors.size(), tensors.size());
    for (const StoredTensor& tensor : file.tensors) {
      SCOPED_TRACE(tensor.name);
      const nlohmann::json& want = tensors.at(tensor.name);
      EXPECT_EQ(want["shape"].get<std::vector<int64_t>>(),
                std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end()));
      std::vector<double> values;
      for (const nlohmann::json& value : want["values"]) {
        values.push_back(value.is_boolean() ? value.get<bool>() : value.get<double>());
      }
      EXPECT_EQ(Values(tensor, map.bytes()), values);
    }
  }
}

TEST(TorchFileTest, ContiguousTensorsAreUsedInPlaceAndViewsAreStrided) {
  const MappedFile map(kFixtures / "shared.bin");
  const TorchFile file = ParseTorchFile(map.bytes(), "shared.bin");
  const auto find = [&](std::string_view name) -> const StoredTensor& {
    return *std::ranges::find(file.tensors, name, &StoredTensor::name);
  };
  EXPECT_TRUE(find("whole").contiguous());
  EXPECT_TRUE(find("rows").contiguous());
  EXPECT_FALSE(find("columns").contiguous());
  EXPECT_EQ(find("rows").offset, find("whole").offset + 2 * 4 * sizeof(float));  // one storage, not two
  EXPECT_EQ(find("whole").offset % 64, 0u);                                      // after PyTorch's padding
}

TEST(TorchFileTest, EveryTruncationOfEveryFixtureIsRefused) {
  for (const auto& entry : fs::directory_iterator(kFixtures)) {
    if (entry.path().extension() != ".bin") continue;
    const std::string file = ReadTextFile(entry.path(), 1 << 20);
    for (size_t n = 0; n < file.size(); ++n) {
      ASSERT_NE(RefusalOfPickles(file.substr(0, n)), "") << entry.path() << " cut to " << n << " bytes";
    }
  }
}

TEST(TorchFileTest, EveryChangedByteIsReadOrRefused) {
  for (const char* name : {"module.bin", "legacy_shared.bin"}) {
    const std::string file = ReadTextFile(kFixtures / name, 1 << 20);
    for (size_t i = 0; i < file.size(); ++i) {
      for (const int change : {1, 0x80, 0xFF}) {
        std::string changed = file;
        changed[i] = static_cast<char>(changed[i] ^ change);
        try {
          for (const StoredTensor& tensor : ParsePickles(changed).tensors)
            Values(tensor, std::as_bytes(std::span(changed)));
        } catch (const Error&) {
        }
      }
    }
  }
}

// ---- zip ----

TEST(TorchZipTest, AssembledArchiveIsRead) {
  const std::string file = OneTensor(0, {2, 3}, {3, 1});
  const TorchFile torch = ParsePickles(file);
  ASSERT_EQ(torch.tensors.size(), 1u);
  EXPECT_EQ(torch.tensors[0].stored_as, "FloatStorage");
  EXPECT_TRUE(torch.tensors[0].contiguous());
  EXPECT_THAT(Values(torch.tensors[0], std::as_bytes(std::span(file))), ElementsAre(0, 1, 2, 3, 4, 5));
}

const std::string kPickle = p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", 6), 0, {2, 3}, {3, 1})}}));

TEST(TorchZipTest, Zip64WithSmallSizes) {
  TestArchive archive = TorchArchive(kPickle, {Floats(6)});
  archive.zip64_end = true;
  for (TestMember& member : archive.members) member.zip64 = true;
  const std::string file = archive.Build();
  EXPECT_THAT(Values(ParsePickles(file).tensors[0], std::as_bytes(std::span(file))), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(TorchZipTest, CommentThatLooksLikeAnEnd) {
  TestArchive archive = TorchArchive(kPickle, {Floats(6)});
  archive.comment = std::string("PK\5\6 this is not the end ") + std::string(300, 'x');
  EXPECT_EQ(RefusalOfPickles(archive.Build()), "");
}

TEST(TorchZipTest, DataDescriptorFlagIsHarmless) {
  TestArchive archive = TorchArchive(kPickle, {Floats(6)});
  for (TestMember& member : archive.members) member.flags = 0x0808;
  EXPECT_EQ(RefusalOfPickles(archive.Build()), "");
}

struct BrokenArchive {
  const char* name;
  void (*damage)(TestArchive&);
  const char* message;
};

class BrokenArchiveTest : public testing::TestWithParam<BrokenArchive> {};

TEST_P(BrokenArchiveTest, IsRefused) {
  TestArchive archive = TorchArchive(kPickle, {Floats(6)});
  GetParam().damage(archive);
  EXPECT_THAT(RefusalOfPickles(archive.Build()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Catalogue, BrokenArchiveTest,
    testing::Values(
        BrokenArchive{"DeflatedMember", [](TestArchive& a) { a.members[1].method = 8; }, "is compressed"},
        BrokenArchive{"EncryptedMember", [](TestArchive& a) { a.members[1].flags = 1; }, "is encrypted"},
        BrokenArchive{"StronglyEncryptedMember", [](TestArchive& a) { a.members[1].flags = 0x40; }, "is encrypted"},
        BrokenArchive{"EncryptedDirectory", [](TestArchive& a) { a.members[1].flags = 0x2000; }, "is encrypted"},
        BrokenArchive{"NameWithDelete", [](TestArchive& a) { a.members[1].name = "archive/\x7F"; }, "unsafe name"},
        BrokenArchive{"SeveralDisks", [](TestArchive& a) { a.disk = 1; }, "several disks"},
        BrokenArchive{"DuplicateName", [](TestArchive& a) { a.members.push_back(a.members[1]); }, "two members"},
        BrokenArchive{"NameWithDots", [](TestArchive& a) { a.members[1].name = "archive/../0"; }, "unsafe name"},
        BrokenArchive{"AbsoluteName", [](TestArchive& a) { a.members[1].name = "/etc/passwd"; }, "unsafe name"},
        BrokenArchive{"MemberElsewhere", [](TestArchive& a) { a.members[1].name = "b/0"; }, "unexpected zip member"},
        BrokenArchive{"LocalNameDiffers", [](TestArchive& a) { a.members[1].local_name = "archive/data/9"; },
                      "disagrees with the directory"},
        BrokenArchive{"OverlappingMembers",
                      [](TestArchive& a) {
                        a.members[1].size_change = 40;
                        a.members[1].data += std::string(0, ' ');
                      },
                      "overlap"},
        BrokenArchive{"SizePastTheEnd", [](TestArchive& a) { a.members[1].size_change = 1'000'000; }, "reaches past"},
        BrokenArchive{"HugeZip64Size",
                      [](TestArchive& a) {
                        a.members[1].zip64 = true;
                        a.members[1].size_change = INT64_MAX - 100;
                      },
                      "reaches past"},
        BrokenArchive{"HugeZip64Offset",
                      [](TestArchive& a) {
                        a.members[1].zip64 = true;
                        a.members[1].offset_change = INT64_MAX - 1000;
                      },
                      "no local header"},
        BrokenArchive{"OffsetIntoAnotherMember", [](TestArchive& a) { a.members[1].offset_change = 1; },
                      "no local header"},
        BrokenArchive{"MoreEntriesThanTheDirectory", [](TestArchive& a) { a.entries_change = 1; }, "damaged zip"},
        BrokenArchive{"FewerEntriesThanTheDirectory", [](TestArchive& a) { a.entries_change = -1; }, "damaged zip"},
        BrokenArchive{"EntriesBeyondReason",
                      [](TestArchive& a) {
                        a.zip64_end = true;
                        a.entries_change = int64_t{1} << 62;
                      },
                      "too many members"},
        BrokenArchive{"DamagedPickle", [](TestArchive& a) { a.members[0].crc_change = 1; }, "checksum"},
        BrokenArchive{"NoPickle", [](TestArchive& a) { a.members[0].name = "archive/other.pkl"; }, "no data.pkl"},
        BrokenArchive{"NoVersion", [](TestArchive& a) { a.members[2].name = "archive/v"; }, "no member version"},
        BrokenArchive{"BigEndian",
                      [](TestArchive& a) { a.members.push_back({.name = "archive/byteorder", .data = "big"}); },
                      "unsupported byte order"},
        BrokenArchive{"TorchScript",
                      [](TestArchive& a) { a.members.push_back({.name = "archive/code/x.py", .data = "1"}); },
                      "TorchScript"},
        BrokenArchive{"MissingStorage", [](TestArchive& a) { a.members[1].name = "archive/data/7"; },
                      "storage \"0\" is missing"},
        BrokenArchive{"ShortStorage", [](TestArchive& a) { a.members[1].data.pop_back(); },
                      "wrong size of the storage"},
        BrokenArchive{"LongStorage", [](TestArchive& a) { a.members[1].data += "x"; }, "wrong size of the storage"}),
    [](const auto& test) { return test.param.name; });

TEST(TorchZipTest, LocalHeadersAndTheEndRecordAreNotTrusted) {
  const std::string file = TorchArchive(kPickle, {Floats(6)}).Build();
  const auto with = [&](size_t at, std::string_view bytes) {
    std::string changed = file;
    return changed.replace(at, bytes.size(), bytes);
  };
  EXPECT_THAT(RefusalOfPickles(with(8, "\x08")),
              HasSubstr("disagrees with the directory"));  // the first member is compressed
  const size_t entry = file.find("PK\1\2"), end = file.size() - 22;
  EXPECT_THAT(RefusalOfPickles(with(entry + 20, "\x01")), HasSubstr("damaged sizes"));  // stored and whole differ
  EXPECT_THAT(RefusalOfPickles(with(end + 12, "\xF0\xFF\xFF\x7F")),
              HasSubstr("lies outside"));  // bytes of the directory
  EXPECT_THAT(RefusalOfPickles(with(end + 16, "\xF0\xFF\xFF\x7F")), HasSubstr("lies outside"));  // its offset
}

TEST(TorchZipTest, ChecksumOfAStorageIsComparedOnDemand) {
  TestArchive archive = TorchArchive(kPickle, {Floats(6)});
  archive.members[1].crc_change = 1;
  const std::string file = archive.Build();
  EXPECT_EQ(RefusalOfPickles(file), "");
  EXPECT_THAT(ErrorText([&] { CheckTorchStorages(std::as_bytes(std::span(file)), "x.bin"); }),
              AllOf(HasSubstr("archive/data/0"), HasSubstr("checksum")));
}

// ---- pickles ----

TEST(PickleTest, HostileNamesRunNothingAndAreCalledHostile) {
  const std::string call = p::Name("posix", "system") + p::Tuple({p::Text("touch /tmp/owned")}) + "R";
  EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(call))), AllOf(HasSubstr("HOSTILE"), HasSubstr("\"posix.system\"")));
  for (const char* module : {"os", "builtins", "__builtin__", "sys", "subprocess", "os.path"}) {
    EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(p::Name(module, "x")))), HasSubstr("HOSTILE")) << module;
  }
  // Not weights, but nothing that runs code either.
  for (const char* name : {"set", "int", "slice"}) {
    EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(p::Name("builtins", name)))),
                AllOf(Not(HasSubstr("HOSTILE")), HasSubstr("state_dict()")))
        << name;
  }
  EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(p::Name("argparse", "Namespace")))), Not(HasSubstr("HOSTILE")));
  EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(p::Name("functools", "partial")))), Not(HasSubstr("HOSTILE")));
  EXPECT_THAT(RefusalOfPickles(WithPickle(p::Whole(p::Name("functools", "reduce")))), HasSubstr("HOSTILE"));
}

struct BrokenPickle {
  const char* name;
  std::string pickle;
  const char* message;
};

class BrokenPickleTest : public testing::TestWithParam<BrokenPickle> {};

TEST_P(BrokenPickleTest, IsRefused) {
  EXPECT_THAT(RefusalOfPickles(WithPickle(GetParam().pickle)), HasSubstr(GetParam().message));
}

std::string Repeat(const std::string& text, size_t n) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += text;
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    Catalogue, BrokenPickleTest,
    testing::Values(
        BrokenPickle{"UnknownName", p::Whole(p::Name("numpy", "ndarray")), "\"numpy.ndarray\""},
        BrokenPickle{"UnknownTorchName", p::Whole(p::Name("torch", "load")), "\"torch.load\""},
        BrokenPickle{"UnknownOpcode", p::Whole("i"), "0x69"},
        BrokenPickle{"Frame", p::Whole("\x95" + std::string(8, '\0')), "0x95"},
        BrokenPickle{"StackGlobal", p::Whole(p::Text("os") + p::Text("system") + "\x93"), "0x93"},
        BrokenPickle{"Protocol5", "\x80\x05}.", "unsupported pickle protocol"},
        BrokenPickle{"MemoMiss", p::Whole("h\x05"), "never written"},
        BrokenPickle{"LongMemoMiss", p::Whole("j" + LittleEndian(1000, 4)), "never written"},
        BrokenPickle{"StackUnderflow", p::Whole("R"), "underflow"},
        BrokenPickle{"UnderflowBelowAMark", p::Whole("NN(R"), "underflow"},
        BrokenPickle{"TupleWithoutMark", p::Whole("t"), "no mark"},
        BrokenPickle{"MemoOfNothing", p::Whole("q\1"), "underflow"},
        BrokenPickle{"StopWithEmptyStack", "\x80\x02.", "ends with a stack of 0"},
        BrokenPickle{"StopWithTwoValues", p::Whole("NN"), "ends with a stack of 2"},
        BrokenPickle{"StopInsideAMark", p::Whole("(N"), "ends with a stack"},
        BrokenPickle{"NoStop", "\x80\x02}", "truncated"}, BrokenPickle{"Empty", "", "truncated"},
        BrokenPickle{"BytesAfterStop", p::Whole("}") + "N", "bytes after the end"},
        BrokenPickle{"StringTooLong", p::Whole(p::Text(std::string(65537, 'a'))), "string too long"},
        BrokenPickle{"StringPastTheEnd", p::Whole("X" + LittleEndian(1000, 4)), "truncated"},
        BrokenPickle{"IntegerTooLong", p::Whole("\x8A\x09" + std::string(9, '\1')), "integer too large"},
        BrokenPickle{"NotUtf8", p::Whole(p::Text("\xFF")), "UTF-8"},
        BrokenPickle{"EndlessStack", p::Whole(Repeat("N", 1'000'001)), "stack is too deep"},
        BrokenPickle{"EndlessMarks", p::Whole(Repeat("(", 1'000'001)), "stack is too deep"},
        BrokenPickle{"TooManyObjects", p::Whole("](" + Repeat("]", 600'000) + "e(" + Repeat("]", 600'000) + "e"),
                     "too many objects"},
        BrokenPickle{"TooManyOperations", p::Whole("]" + Repeat("Na", 1'000'001)), "too long"},
        BrokenPickle{"RootIsAList", p::Whole("]"), "not a state dict"},
        BrokenPickle{"ValueIsANumber", p::Whole(p::Dict({{"a", p::Int(1)}})), "no tensor in it"},
        BrokenPickle{"KeyIsANumber", p::Whole("}" + p::Int(1) + "Ns"), "a key is not a name"},
        BrokenPickle{"KeyWithoutValue", p::Whole("}(Nu"), "without a value"},
        BrokenPickle{"DuplicateTensor",
                     p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", 6), 0, {6}, {1})},
                                       {"a", p::Tensor(p::Storage("0", 6), 0, {6}, {1})}})),
                     "appears twice"},
        BrokenPickle{"ListInsideItself", p::Whole("]q\1h\1a"), "not a state dict"},
        BrokenPickle{"BuildOnAString", p::Whole(p::Text("a") + "}b"), "an OrderedDict"},
        BrokenPickle{"CallOfAStorageType", p::Whole(p::Name("torch", "FloatStorage") + ")R"), "storage type"},
        BrokenPickle{"CallOfAString", p::Whole(p::Text("os.system") + ")R"), "known ones"},
        BrokenPickle{"OrderedDictWithArguments", p::Whole(p::Name("collections", "OrderedDict") + "N\x85R"), "none"},
        BrokenPickle{"PersistentIdOfThreeItems", p::Whole(p::Tuple({"N", "N", "N"}) + "Q"), "bad persistent id"},
        BrokenPickle{"PersistentIdIsANumber", p::Whole("K\1Q"), "a tuple as persistent id"},
        BrokenPickle{"KeyWithDots", p::Whole(p::Dict({{"a", p::Tensor(p::Storage("../0", 6), 0, {6}, {1})}})),
                     "bad storage key"},
        BrokenPickle{"StorageOfTwoTypes",
                     p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", 6), 0, {6}, {1})},
                                       {"b", p::Tensor(p::Storage("0", 12, "HalfStorage"), 0, {6}, {1})}})),
                     "two types or sizes"},
        BrokenPickle{"NegativeStorageSize", p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", -6), 0, {6}, {1})}})),
                     "negative number"},
        BrokenPickle{"StorageSizeOverflow",
                     p::Whole(p::Dict({{"a", p::Tensor(p::Storage("0", INT64_MAX), 0, {6}, {1})}})),
                     "impossible size"}),
    [](const auto& test) { return test.param.name; });

TEST(TorchTensorTest, OffsetsAndStridesStayInsideTheStorage) {
  EXPECT_EQ(RefusalOfPickles(OneTensor(0, {6}, {1})), "");
  EXPECT_EQ(RefusalOfPickles(OneTensor(5, {}, {})), "");
  EXPECT_EQ(RefusalOfPickles(OneTensor(1, {2, 2}, {3, 1})), "");
  EXPECT_EQ(RefusalOfPickles(OneTensor(99, {0, 5}, {5, 1})), "");  // no elements: nothing is read
  EXPECT_EQ(RefusalOfPickles(OneTensor(0, {1, 6}, {77, 1})), "");  // the stride of a dimension of size 1 is unused
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {7}, {1})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(6, {}, {})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(1, {6}, {1})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {2, 2}, {5, 1})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(-1, {1}, {1})), HasSubstr("negative number"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {-1}, {1})), HasSubstr("negative number"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {2}, {-1})), HasSubstr("negative number"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {2}, {INT64_MAX})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(INT64_MAX, {2}, {1})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {3, 3}, {INT64_MAX / 2, INT64_MAX / 2})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {int64_t{1} << 32, int64_t{1} << 32}, {0, 0})),
              HasSubstr("shape too large"));
  EXPECT_EQ(RefusalOfPickles(OneTensor(0, {2, 6}, {0, 1})), "");  // expanded
  EXPECT_EQ(RefusalOfPickles(OneTensor(5, {32}, {0})), "");
  EXPECT_THAT(RefusalOfPickles(OneTensor(6, {32}, {0})), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {int64_t{1} << 40}, {0})), HasSubstr("more elements than its storage"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {2, 3}, {1})), HasSubstr("1 strides"));
  EXPECT_THAT(RefusalOfPickles(OneTensor(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})),
              HasSubstr("too many dimensions"));
}

// ---- legacy ----

const std::string kMagic("\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19\x2E", 15);

std::string Legacy(const std::string& object, const std::string& keys = "](" + p::Text("5") + "e",
                   const std::string& storages = LittleEndian(6, 8) + Floats(6), const std::string& little = "\x88",
                   int64_t protocol = 1001) {
  return kMagic + p::Whole(p::Int(protocol)) + p::Whole(p::Dict({{"little_endian", little}})) + p::Whole(object) +
         p::Whole(keys) + storages;
}

TEST(TorchLegacyTest, AssembledFileIsRead) {
  const std::string file = Legacy(p::Dict({{"a", p::Tensor(p::LegacyStorage("5", 6), 2, {2, 2}, {2, 1})}}));
  const TorchFile torch = ParsePickles(file);
  EXPECT_TRUE(torch.legacy);
  EXPECT_THAT(Values(torch.tensors[0], std::as_bytes(std::span(file))), ElementsAre(2, 3, 4, 5));
}

TEST(TorchLegacyTest, ViewOfAStorage) {
  const auto with_view = [](int64_t offset, int64_t elements) {
    const std::string view = p::Tuple({p::Text("6"), p::Int(offset), p::Int(elements)});
    return Legacy(p::Dict({{"a", p::Tensor(p::LegacyStorage("5", 6, view), 1, {2}, {1})}}));
  };
  const std::string file = with_view(3, 3);
  EXPECT_THAT(Values(ParsePickles(file).tensors[0], std::as_bytes(std::span(file))), ElementsAre(4, 5));
  EXPECT_THAT(RefusalOfPickles(with_view(3, 2)), HasSubstr("outside its storage"));
  EXPECT_THAT(RefusalOfPickles(with_view(3, 4)), HasSubstr("view reaches outside"));
  EXPECT_THAT(RefusalOfPickles(with_view(INT64_MAX, INT64_MAX)), HasSubstr("view reaches outside"));
}

TEST(TorchLegacyTest, Broken) {
  const std::string good = p::Dict({{"a", p::Tensor(p::LegacyStorage("5", 6), 0, {6}, {1})}});
  const std::string keys = "](" + p::Text("5") + "e";
  const std::string data = LittleEndian(6, 8) + Floats(6);
  EXPECT_EQ(RefusalOfPickles(Legacy(good)), "");
  EXPECT_THAT(RefusalOfPickles(Legacy(good, keys, data, "\x88", 1000)), HasSubstr("unsupported protocol"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, keys, data, "\x89")), HasSubstr("byte order"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, "]", "")), HasSubstr("is not in the file"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, "](" + p::Text("7") + "e")), HasSubstr("no tensor uses"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, "](" + p::Text("5") + p::Text("5") + "e", data + data)),
              HasSubstr("appears twice"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, keys, LittleEndian(7, 8) + Floats(7))),
              HasSubstr("wrong size of the storage"));
  EXPECT_THAT(RefusalOfPickles(Legacy(good, keys, data + "x")), HasSubstr("bytes after the last storage"));
  EXPECT_THAT(RefusalOfPickles(Legacy(p::Dict({{"a", p::Tensor(p::Storage("5", 6), 0, {6}, {1})}}))),
              HasSubstr("5 items"));
  EXPECT_THAT(RefusalOfPickles(Legacy(p::Name("posix", "system"))), HasSubstr("HOSTILE"));
}

TEST(TorchFileTest, OtherFilesAreNamed) {
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  EXPECT_THAT(RefusalOfPickles(tar), HasSubstr("tar container"));
  EXPECT_THAT(RefusalOfPickles(""), HasSubstr("empty"));
  EXPECT_THAT(RefusalOfPickles("<!DOCTYPE html><html>"), AllOf(HasSubstr("not a PyTorch"), HasSubstr("<!DOCTYPE")));
}

}  // namespace
}  // namespace stablelm
