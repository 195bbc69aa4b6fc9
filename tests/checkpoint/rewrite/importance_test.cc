#include "checkpoint/rewrite/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "error_info.h"
#include "error_text.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

struct Tensor {
  std::string name;
  std::vector<float> values;
};

class ImportanceTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::vector<Tensor>& tensors, const std::string& type = "imatrix") {
    const std::filesystem::path path = temp_.path() / "imatrix.gguf";
    GgufMetadata metadata;
    if (!type.empty()) metadata.SetText("general.type", type);
    std::vector<GgufTensorEntry> entries;
    for (const Tensor& tensor : tensors) {
      entries.push_back({tensor.name, DType::kF32, {static_cast<int64_t>(tensor.values.size())}});
    }
    GgufWriter writer(path, metadata, entries);
    for (size_t i = 0; i < tensors.size(); ++i) writer.WriteAt(i, 0, std::as_bytes(std::span(tensors[i].values)));
    writer.Commit();
    return path;
  }
  std::string Fails(const std::vector<Tensor>& tensors, const std::string& type = "imatrix") {
    const auto path = Write(tensors, type);
    return ErrorText([&] { ReadImportance(path); });
  }
  const TempFolder temp_;
};

TEST_F(ImportanceTest, MeansOfSquares) {
  const ImportanceMatrix matrix = ReadImportance(Write({{"blk.0.ffn_up.weight.in_sum2", {2, 0, 6}},
                                                        {"blk.0.ffn_up.weight.counts", {4}},
                                                        {"output.weight.counts", {0}},
                                                        {"output.weight.in_sum2", {0, 0, 0}}}));
  ASSERT_EQ(matrix.columns.size(), 1u);
  EXPECT_THAT(matrix.columns.at("blk.0.ffn_up.weight"), ElementsAre(0.5f, 0.0f, 1.5f));
}

TEST_F(ImportanceTest, BrokenFilesAreNamed) {
  const Tensor counts = {"a.counts", {2}};
  EXPECT_THAT(Fails({counts, {"a.in_sum2", {1}}}, "model"), HasSubstr("not an importance matrix"));
  EXPECT_THAT(Fails({counts, {"a.in_sum2", {1}}}, ""), HasSubstr("no general.type"));
  EXPECT_THAT(Fails({{"a.in_sum2", {1}}}), AllOf(HasSubstr("a.in_sum2"), HasSubstr("counts are missing")));
  EXPECT_THAT(Fails({counts}), HasSubstr("no importance"));
  EXPECT_THAT(Fails({{"a.counts", {1, 2}}, {"a.in_sum2", {1}}}), HasSubstr("wrong shape"));
  for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Fails({counts, {"a.in_sum2", {1, bad}}}), AllOf(HasSubstr("a.in_sum2"), HasSubstr("value 1")));
    EXPECT_THAT(Fails({{"a.counts", {bad}}, {"a.in_sum2", {1}}}), HasSubstr("a.counts"));
  }
  EXPECT_THAT(ErrorText([&] { ReadImportance(temp_.path() / "none.gguf"); }), HasSubstr("none.gguf"));
}

// The format of llama.cpp's imatrix until mid-2025.
class DatTest : public ImportanceTest {
 protected:
  static std::string Matrix(const std::string& name, int32_t calls, const std::vector<float>& sums) {
    std::string bytes =
        Int(static_cast<int32_t>(name.size())) + name + Int(calls) + Int(static_cast<int32_t>(sums.size()));
    return bytes.append(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(float));
  }
  static std::string Int(int32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
  ImportanceMatrix Read(const std::string& bytes) const {
    WriteTextFileAtomically(File(), bytes);
    return ReadImportance(File());
  }
  ErrorInfo Refusal(const std::string& bytes) const {
    return InfoOf([&] { Read(bytes); });
  }
  std::filesystem::path File() const { return temp_.path() / "imatrix.dat"; }
  std::string At(const std::string& field, size_t byte) const {
    return File().string() + ": " + field + " (byte " + std::to_string(byte) + ")";
  }
  const std::string two_ = Int(2) + Matrix("blk.0.ffn_up.weight", 4, {2, 0, 6}) + Matrix("output.weight", 0, {0, 0});
};

TEST_F(DatTest, MeansOfSquares) {
  for (const std::string& end : {std::string(), Int(7), Int(7) + Int(8) + "wiki.txt"}) {
    const ImportanceMatrix matrix = Read(two_ + end);
    ASSERT_EQ(matrix.columns.size(), 1u);
    EXPECT_THAT(matrix.columns.at("blk.0.ffn_up.weight"), ElementsAre(0.5f, 0.0f, 1.5f));
  }
}

TEST_F(DatTest, CutAnywhereIsRefused) {
  for (size_t bytes = 0; bytes < two_.size(); ++bytes) {
    EXPECT_THAT(Refusal(two_.substr(0, bytes)),
                Names(HasSubstr(File().string()), "a file of " + Counted(bytes, "byte")));
  }
}

TEST_F(DatTest, BrokenFilesAreNamed) {
  EXPECT_THAT(Refusal("{\"no\": 1}"), Names(File().string(), "\"{\"no\": 1}\""));
  EXPECT_THAT(Refusal(Int(0)), Names(At("the number of matrices", 0), "0"));
  EXPECT_THAT(Refusal(Int(1) + Int(-1)), Names(At("matrix 0", 4), "-1"));
  EXPECT_THAT(Refusal(Int(1) + Int(1) + "a" + Int(-2)), Names(At("matrix \"a\"", 9), "-2"));
  EXPECT_THAT(Refusal(Int(1) + Int(1) + "a" + Int(1) + Int(INT32_MAX)),
              Names(At("matrix \"a\"", 17), "a file of 17 bytes"));
  const std::string one = Matrix("a", 1, {1, 2});
  EXPECT_THAT(Refusal(Int(2) + one + one), Names(HasSubstr("matrix \"a\"")));
  EXPECT_THAT(Refusal(Int(1) + Matrix("a", 0, {1})), Names(HasSubstr("the matrices")));
  EXPECT_THAT(Refusal(Int(1) + one + Int(7) + Int(1) + "x" + "y"), Names(HasSubstr("the end"), "1 byte left over"));
  for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Refusal(Int(1) + Matrix("a", 1, {1, bad})), Names(HasSubstr("matrix \"a\""), std::to_string(bad)));
  }
  // A model from before GGUF is named as such, not as a broken importance matrix.
  EXPECT_THAT(Refusal("lmgg" + Int(1)), Names(HasSubstr("the magic"), "\"lmgg\""));
}

TEST_F(ImportanceTest, WhatIsWrittenIsReadBack) {
  const auto path = temp_.path() / "written.gguf";
  const std::vector<ImportanceSums> sums = {{.name = "blk.0.ffn_up.weight", .squares = {2, 0, 6}, .tokens = 4},
                                            {.name = "output.weight", .squares = {1e-3}, .tokens = 1}};
  WriteImportance(path, sums, {.text = "wiki.txt", .chunks = 3, .chunk_tokens = 512});
  const ImportanceMatrix matrix = ReadImportance(path);
  ASSERT_EQ(matrix.columns.size(), 2u);
  EXPECT_THAT(matrix.columns.at("blk.0.ffn_up.weight"), ElementsAre(0.5f, 0.0f, 1.5f));
  EXPECT_THAT(matrix.columns.at("output.weight"), ElementsAre(1e-3f));
  // As llama.cpp writes it: its keys, and sums with a single row.
  const GgufFile file(path);
  EXPECT_EQ(file.header().Integer("imatrix.chunk_count"), 3);
  EXPECT_EQ(file.header().Integer("imatrix.chunk_size"), 512);
  const GgufArray* texts = file.header().Array("imatrix.datasets", GgufType::kString);
  ASSERT_TRUE(texts);
  EXPECT_THAT(texts->Strings(), ElementsAre("wiki.txt"));
  EXPECT_EQ(file.header().tensors[0].shape.ToString(), "[1, 3]");
  EXPECT_EQ(file.header().tensors[1].shape.ToString(), "[1, 1]");

  const std::vector<ImportanceSums> wild = {{.name = "output.weight", .squares = {1, 1e39}, .tokens = 1}};
  const auto other = temp_.path() / "wild.gguf";
  EXPECT_THAT(ErrorText([&] { WriteImportance(other, wild, {}); }),
              AllOf(HasSubstr("output.weight"), HasSubstr("too large")));
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(ImportanceTest, FileThatAppearedMeanwhileIsKept) {
  const auto path = temp_.path() / "taken.gguf";
  WriteTextFileAtomically(path, "mine");
  const std::vector<ImportanceSums> sums = {{.name = "output.weight", .squares = {1}, .tokens = 1}};
  EXPECT_THAT(ErrorText([&] { WriteImportance(path, sums, {}); }),
              AllOf(HasSubstr("not replaced"), HasSubstr("taken.gguf.new")));
  EXPECT_EQ(ReadTextFile(path, 100), "mine");
  EXPECT_EQ(ReadImportance(temp_.path() / "taken.gguf.new").columns.size(), 1u);
}

}  // namespace
}  // namespace stablelm
