#include "checkpoint/rewrite/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/gguf/gguf_writer.h"
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

}  // namespace
}  // namespace stablelm
