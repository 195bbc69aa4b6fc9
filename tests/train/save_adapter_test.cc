// The adapters of a LoRA run on disk: what is saved answers as what was trained, whatever the base's row order.
#include "train/save_adapter.h"

#include "checkpoint/gguf/gguf_testing.h"
#include "error_info.h"
#include "generate/scoring.h"
#include "model/load_adapters.h"
#include "temp_folder.h"
#include "train/drawn_model.h"

namespace stablelm {
namespace {

std::vector<float> AdapterRows(const Parameters& parameters) {
  std::vector<float> all;
  for (size_t e = 0; e < parameters.table().entries().size(); ++e) {
    const Parameter& p = parameters.table().entries()[e];
    if (p.part == AdapterPart::kNone) continue;
    std::vector<float> row(static_cast<size_t>(p.weight.shape[1]));
    for (int64_t r = 0; r < p.weight.shape[0]; ++r) {
      parameters.ReadRow(e, r, row.data());
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

void DrawBoth(Parameters& parameters) {
  for (size_t e = 0; e < parameters.table().entries().size(); ++e) {
    const Parameter& p = parameters.table().entries()[e];
    if (p.part == AdapterPart::kNone) continue;
    parameters.SetRows(e, 0, RandomNormals(static_cast<size_t>(p.weight.shape.NumElements()), 500 + e, 0.2));
  }
}

std::vector<double> Losses(Parameters& parameters, TrainBatch batch, ThreadPool& pool) {
  GradientPass pass(parameters, ShapeOf(parameters, batch, 2), pool);
  const auto losses = pass.Losses(batch);
  return {losses.begin(), losses.end()};
}

class SaveAdapterTest : public testing::Test {
 protected:
  // A folder with its model, and the same as GGUF, whose rows of QKV are stacked.
  SaveAdapterTest() {
    SaveParameters(*LoadFolder(TestData("golden/parallel"), pool_), folder_.path() / "model", {}, pool_);
    WriteGgufOf(folder_.path() / "model", folder_.path() / "model.gguf");
  }
  TempFolder folder_;
  ThreadPool pool_{2};
};

// Loaded beside the base it gives the losses of the run, bit for bit; over the other row order those of the same model.
TEST_F(SaveAdapterTest, AnswersAsWhatWasTrained) {
  LoraOptions lora = LoraOf(3, 7);
  lora.rslora = true;
  for (const char* base : {"model", "model.gguf"}) {
    SCOPED_TRACE(base);
    const auto opened = ModelFolder::Open((folder_.path() / base).string());
    const auto trained = LoadAdapted(folder_.path() / base, lora, pool_);
    DrawBoth(*trained);
    const auto out = folder_.path() / (std::string(base) + "-adapter");
    SaveAdapter(*trained, "the/base", out, {.texts = {{"README.md", "about"}}});
    EXPECT_TRUE(std::filesystem::exists(out / "README.md"));
    const auto saved = AdapterFolder::Open(out);
    EXPECT_EQ(saved->config().base, "the/base");
    EXPECT_EQ(saved->config().Scale(), lora.Scale());
    const AdapterChoice choice = {.folder = saved};
    OwnedBatch documents;
    documents.AddText(RandomIds(30, opened->config().vocab_size, 1));
    const std::vector<double> want = Losses(*trained, documents.batch(), pool_);
    for (const char* other : {"model", "model.gguf"}) {
      const auto folder = ModelFolder::Open((folder_.path() / other).string());
      const auto adapted = WithAdapters(LoadWeights(folder, {}), {&choice, 1});
      EXPECT_EQ(adapted->blocks[0].qkv.adapters().size(), 1u);
      const Transformer model(adapted);
      Scorer scorer(model, ShapeOfScore(30, DType::kF32, 2), pool_);
      std::vector<double> scores;
      for (const double logprob : scorer.Score(documents.tokens[0])) scores.push_back(-logprob);
      EXPECT_EQ(scores, want) << other;
    }
    // And back into a run of the same options.
    const auto again = LoadAdapted(folder_.path() / base, lora, pool_);
    EXPECT_NE(AdapterRows(*again), AdapterRows(*trained));
    LoadAdapter(*saved, *again);
    EXPECT_EQ(AdapterRows(*again), AdapterRows(*trained));
    EXPECT_EQ(Losses(*again, documents.batch(), pool_), want);
  }
}

// Another rank or other targets are no adapter of this run.
TEST_F(SaveAdapterTest, AnotherAdapterIsRefused) {
  const auto saved = LoadAdapted(folder_.path() / "model", LoraOf(3, 7), pool_);
  SaveAdapter(*saved, "base", folder_.path() / "adapter", {});
  const auto folder = AdapterFolder::Open(folder_.path() / "adapter");
  const auto wider = LoadAdapted(folder_.path() / "model", LoraOf(4, 7), pool_);
  const ErrorInfo rank = InfoOf([&] { LoadAdapter(*folder, *wider); });
  EXPECT_EQ(rank.where, (folder_.path() / "adapter").string());
  EXPECT_EQ(rank.what, "the adapter is not of this run");
  LoraOptions fewer = LoraOf(3, 7);
  fewer.targets.pop_back();
  const auto other = LoadAdapted(folder_.path() / "model", fewer, pool_);
  EXPECT_EQ(InfoOf([&] { LoadAdapter(*folder, *other); }).found, "12 adapted matrices");
}

}  // namespace
}  // namespace stablelm
