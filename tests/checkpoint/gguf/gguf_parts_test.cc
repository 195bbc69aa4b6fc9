// Models that are split over several GGUF files.
#include "checkpoint/gguf/gguf_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/gguf/gguf_testing.h"
#include "checkpoint/tensor_values.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

class GgufParts : public testing::Test {
 protected:
  GgufParts() {
    WriteTinyModel(temp_.path() / "tiny");
    WriteGgufOf(temp_.path() / "tiny", model_);
  }
  // Parts in a new folder.
  std::vector<fs::path> Write(size_t n, const std::function<void(size_t, GgufMetadata&)>& change = {}) {
    fs::remove_all(folder_);
    return WriteGgufParts(model_, folder_, "tiny", n, change);
  }
  static ErrorInfo Refusal(const fs::path& path) {
    return InfoOf([&] { OpenGgufParts(path); });
  }

  const TempFolder temp_;
  const fs::path model_ = temp_.path() / "model.gguf", folder_ = temp_.path() / "parts";
};

TEST_F(GgufParts, GiveTheModelOfTheOneFile) {
  const auto want = ModelFolder::Open(model_.string());
  for (const size_t n : {1u, 2u, 3u, 12u}) {
    SCOPED_TRACE(n);
    const std::vector<fs::path> parts = Write(n);
    const auto got = ModelFolder::Open(parts[0].string());
    EXPECT_EQ(got->path(), parts[0]);
    EXPECT_EQ(got->source().gguf_parts().size(), n);
    EXPECT_EQ(got->config().vocab_size, want->config().vocab_size);
    EXPECT_FALSE(got->config().tie_word_embeddings);  // the output matrix is in a later part
    ASSERT_EQ(got->files().size(), n);
    EXPECT_EQ(got->files()[n - 1].name, parts[n - 1].filename());
    for (size_t i = 0; i < want->table().size(); ++i) EXPECT_EQ(FloatsOf(*got, i), FloatsOf(*want, i));
  }
}

// gguf-split --no-tensor-first-split, and a model whose embedding is not in the first part.
TEST_F(GgufParts, TheFirstMayHaveNoTensors) {
  const fs::path bare = temp_.path() / "bare";
  const std::vector<fs::path> two = WriteGgufParts(model_, bare, "tiny", 1, [](size_t, GgufMetadata& metadata) {
    metadata.Set<uint16_t>("split.count", 2);
    metadata.Set<uint16_t>("split.no", 1);
  });
  fs::create_directory(folder_);
  fs::rename(two[0], folder_ / "tiny-00002-of-00002.gguf");
  GgufMetadata metadata;
  const GgufFile whole(model_);
  for (const GgufEntry& entry : whole.header().entries) {
    if (entry.key != "gptneox.vocab_size") metadata.Copy(entry);
  }
  metadata.Set<uint16_t>("split.count", 2);
  GgufWriter(folder_ / "tiny-00001-of-00002.gguf", metadata, {}).Commit();
  const auto got = ModelFolder::Open(folder_.string());
  EXPECT_EQ(got->path(), folder_ / "tiny-00001-of-00002.gguf");
  EXPECT_EQ(got->config().vocab_size, TinyConfig().vocab_size);
}

TEST_F(GgufParts, ALaterPartNamesTheFirst) {
  const std::vector<fs::path> parts = Write(3);
  EXPECT_THAT(Refusal(parts[2]), AllOf(Names(HasSubstr(parts[2].string() + ": key \"split.no\""), "part 3 of 3"),
                                       Field(&ErrorInfo::hint, "give its first part: " + parts[0].string())));
  fs::rename(parts[1], folder_ / "blob");
  EXPECT_THAT(Refusal(folder_ / "blob"), AllOf(Names(HasSubstr("blob: key \"split.no\""), "part 2 of 3"),
                                               Field(&ErrorInfo::hint, HasSubstr("NAME-00001-of-"))));
}

TEST_F(GgufParts, MissingPartsAreNamed) {
  const std::vector<fs::path> parts = Write(4);
  fs::remove(parts[1]);
  fs::remove(parts[3]);
  EXPECT_THAT(Refusal(parts[0]),
              AllOf(Names(parts[0].string(), "2 parts"), Field(&ErrorInfo::expected, "4"),
                    Field(&ErrorInfo::what, HasSubstr("tiny-00002-of-00004.gguf, tiny-00004-of-00004.gguf")),
                    Field(&ErrorInfo::hint, HasSubstr(folder_.string()))));
}

TEST_F(GgufParts, AllMissingPartsOfManyAreCounted) {
  const std::vector<fs::path> parts =
      Write(1, [](size_t, GgufMetadata& metadata) { metadata.Set<uint16_t>("split.count", 65535); });
  const fs::path first = folder_ / "tiny-00001-of-65535.gguf";
  fs::rename(parts[0], first);
  EXPECT_THAT(Refusal(first), AllOf(Names(first.string(), "1 part"),
                                    Field(&ErrorInfo::what,
                                          AllOf(HasSubstr("tiny-00002-of-65535.gguf"), HasSubstr("and 65526 more")))));
}

TEST_F(GgufParts, TheNameMustSayWhereTheOthersAre) {
  const std::vector<fs::path> parts = Write(2);
  for (const char* name : {"renamed.gguf", "tiny-00002-of-00002.gguf", "tiny-00001-of-00003.gguf",
                           "x-0001-of-0002.gguf", "-of-00002", "tiny-000o1-of-00002.gguf"}) {
    const fs::path other = temp_.path() / name;
    fs::copy_file(parts[0], other);
    EXPECT_THAT(Refusal(other),
                AllOf(Names(other.string(), Quoted(name)), Field(&ErrorInfo::expected, "NAME-00001-of-00002.gguf")));
  }
}

TEST_F(GgufParts, OtherEndingsAreKept) {
  for (const fs::path& part : Write(2)) fs::rename(part, fs::path(part).replace_extension(".GGUF"));
  EXPECT_EQ(OpenGgufParts(folder_ / "tiny-00001-of-00002.GGUF").size(), 2u);
  EXPECT_EQ(ModelFolder::Open(folder_.string())->files().size(), 2u);
}

TEST_F(GgufParts, PartsOfDifferentModelsAreRefused) {
  std::vector<fs::path> parts = Write(3, [](size_t part, GgufMetadata& metadata) {
    if (part == 2) metadata.Set<uint16_t>("split.no", 2);
  });
  EXPECT_THAT(Refusal(parts[0]), Names(HasSubstr(parts[1].string() + ": key \"split.no\""), "2"));
  parts = Write(3, [](size_t part, GgufMetadata& metadata) {
    if (part == 3) metadata.Set<uint16_t>("split.count", 4);
  });
  EXPECT_THAT(Refusal(parts[0]), Names(HasSubstr(parts[2].string() + ": key \"split.count\""), "4"));
  parts = Write(3, [](size_t part, GgufMetadata& metadata) {
    if (part == 3) metadata.Set<int32_t>("split.tensors.count", 7);
  });
  EXPECT_THAT(Refusal(parts[0]), Names(HasSubstr(parts[2].string() + ": key \"split.tensors.count\""), "7"));
  parts = Write(2, [](size_t, GgufMetadata& metadata) { metadata.Set<int32_t>("split.tensors.count", 99); });
  EXPECT_THAT(Refusal(parts[0]),
              AllOf(Names(HasSubstr("\"split.tensors.count\""), "28"), Field(&ErrorInfo::expected, "99")));
  parts = Write(2, [](size_t, GgufMetadata& metadata) { metadata.Set<int32_t>("split.count", -2); });
  EXPECT_THAT(Refusal(parts[0]), Names(HasSubstr("\"split.count\""), "-2"));
}

// A part that is cut off, or has a tensor again that another has.
TEST_F(GgufParts, EveryPartIsChecked) {
  const std::vector<fs::path> parts = Write(2);
  const uint64_t bytes = fs::file_size(parts[1]);
  fs::resize_file(parts[1], bytes - 64);
  EXPECT_THAT(Refusal(parts[0]),
              Names(HasSubstr(parts[1].string() + ": tensor "), "a file of " + std::to_string(bytes - 64) + " bytes"));
}

TEST_F(GgufParts, OneFileMadeOfThemIsNotSplit) {
  const std::vector<fs::path> parts = Write(3);
  const GgufMetadata got = GgufMetadataOf(*ModelFolder::Open(parts[0].string()));
  for (const auto& [key, value] : got.entries()) EXPECT_THAT(key, Not(HasSubstr("split."))) << key;
  EXPECT_EQ(got.entries(), GgufMetadataOf(*ModelFolder::Open(model_.string())).entries());
}

}  // namespace
}  // namespace stablelm
