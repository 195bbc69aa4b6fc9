// A GGUF file gives the same bits as the folder from which it was converted: QKV rows work in either order, without
// reordering.
#include "checkpoint/gguf/gguf_testing.h"
#include "model/model_testing.h"
#include "ops/simd.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

class GgufGolden : public testing::TestWithParam<std::filesystem::path> {};
std::string NameOfGguf(const testing::TestParamInfo<std::filesystem::path>& info) {
  return info.param.filename().string();
}
INSTANTIATE_TEST_SUITE_P(Folders, GgufGolden, testing::ValuesIn(GoldenFolders()), NameOfGguf);

TEST_P(GgufGolden, LogitsAndHiddenStatesHaveTheSameBits) {
  struct HiddenStates : ForwardObserver {
    std::vector<float> states;
    void OnHidden(int64_t, const float* x, int64_t rows, int64_t width) override {
      states.insert(states.end(), x, x + rows * width);
    }
  };
  const TempFolder temp;
  const std::filesystem::path file = temp.path() / "model.gguf";
  WriteGgufOf(GetParam(), file);
  const Transformer folder = LoadModel(GetParam()), gguf = LoadModel(file);
  const int64_t vocabulary = folder.config().vocab_size;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < std::min<int64_t>(60, folder.config().max_positions); ++i) {
    ids.push_back(static_cast<int32_t>(i * 37 % vocabulary));
  }
  for (const std::string& target : UsableSimdTargets()) {
    SCOPED_TRACE(target);
    SelectSimdTarget(target);
    for (const DType kv : {DType::kF32, DType::kF16}) {
      HiddenStates a, b;
      const std::vector<float> want = LogitsInChunks(folder, ids, 32, 2, kv, &a);
      const std::vector<float> got = LogitsInChunks(gguf, ids, 32, 2, kv, &b);
      ASSERT_EQ(want.size(), got.size());
      EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0);
      ASSERT_EQ(a.states.size(), b.states.size());
      EXPECT_EQ(std::memcmp(a.states.data(), b.states.data(), a.states.size() * sizeof(float)), 0);
    }
  }
  SelectSimdTarget("");
}

}  // namespace
}  // namespace stablelm
