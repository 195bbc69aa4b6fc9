#include "checkpoint/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/error_text.h"
#include "checkpoint/gguf_writer.h"
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
    for (const Tensor& tensor : tensors)
      entries.push_back({tensor.name, DType::kF32, {static_cast<int64_t>(tensor.values.size())}});
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

}  // namespace
}  // namespace stablelm
