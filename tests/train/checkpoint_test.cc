// What a checkpoint keeps of the optimizer, the state of a run, and how checkpoints are written in the background.
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/strict_json.h"
#include "checkpoint/huggingface/folder_hashes.h"
#include "error_info.h"
#include "temp_folder.h"
#include "train/checkpoint_writer.h"
#include "train/file_rows.h"
#include "train/run_state.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

constexpr size_t kMany = size_t{1} << 30;

// Sets an array so that each element is known by its place in Hugging Face's files.
void Number(const Parameters& parameters, std::span<float> array, float first) {
  for (size_t e = 0; e < parameters.table().entries().size(); ++e) {
    if (!parameters.table().entries()[e].trained) continue;
    const FileRows rows(parameters, e);
    std::vector<float> row(static_cast<size_t>(rows.width()));
    for (int64_t r = 0; r < rows.rows(); ++r) {
      for (float& value : row) value = first += 0.25f;
      rows.Set(array, r, row.data());
    }
  }
}

std::unique_ptr<Parameters> Numbered(QkvOrder order, Precision precision, std::vector<std::string> trained = {}) {
  const ModelConfig config = GoldenConfig("odd_width");
  auto parameters = std::make_unique<Parameters>(config, ParameterTable(config, trained), precision, order);
  Number(*parameters, parameters->masters(), 1);
  Number(*parameters, parameters->first_moments(), 2);
  Number(*parameters, parameters->second_moments(), 3);
  return parameters;
}

std::string OptimizerBytes(const Parameters& parameters, bool masters, const fs::path& file, size_t threads) {
  ThreadPool pool(threads);
  const OptimizerFile optimizer(parameters, masters);
  SafetensorsWriter writer(file, optimizer.entries());
  optimizer.Write(writer, pool);
  writer.Commit();
  EXPECT_GT(fs::file_size(file), optimizer.bytes());
  return ReadTextFile(file, kMany);
}

TEST(OptimizerFile, HoldsRowsInTheOrderOfTheFilesAndReadsThemBack) {
  const TempFolder temp;
  ThreadPool pool(3);
  for (const bool masters : {false, true}) {
    for (const std::vector<std::string>& trained : {std::vector<std::string>{}, {"*.layers.1.*"}}) {
      const auto per_head = Numbered(QkvOrder::kPerHead, Precision::kBF16, trained);
      const auto stacked = Numbered(QkvOrder::kStacked, Precision::kBF16, trained);
      const fs::path file = temp.path() / "optimizer.safetensors";
      const std::string want = OptimizerBytes(*per_head, masters, file, 1);
      EXPECT_EQ(OptimizerBytes(*stacked, masters, file, 3), want);
      for (const Parameters* from : {per_head.get(), stacked.get()}) {
        Parameters read(from->config(), from->table(), Precision::kBF16, from->qkv_order());
        OptimizerFile(read, masters).Load(SafetensorsFile(file), file.string(), read, pool);
        const auto equal = [](std::span<const float> a, std::span<const float> b) { return std::ranges::equal(a, b); };
        EXPECT_TRUE(equal(read.first_moments(), from->first_moments()));
        EXPECT_TRUE(equal(read.second_moments(), from->second_moments()));
        EXPECT_EQ(equal(read.masters(), from->masters()), masters);
      }
    }
  }
}

TEST(OptimizerFile, RefusesTheStateOfOtherParameters) {
  const TempFolder temp;
  ThreadPool pool(1);
  const fs::path file = temp.path() / "optimizer.safetensors";
  const auto all = Numbered(QkvOrder::kPerHead, Precision::kF32);
  OptimizerBytes(*all, false, file, 1);
  const auto part = Numbered(QkvOrder::kPerHead, Precision::kF32, {"*.layers.1.*"});
  EXPECT_THAT(InfoOf([&] { OptimizerFile(*part, false).Load(SafetensorsFile(file), "F", *part, pool); }),
              Names("F", testing::Not("")));
  EXPECT_THAT(InfoOf([&] { OptimizerFile(*all, true).Load(SafetensorsFile(file), "F", *all, pool); }),
              Names("F", testing::Not("")));
  const OptimizerFile optimizer(*all, false);
  std::vector<SafetensorsEntry> entries = optimizer.entries();
  entries[2].shape = Shape({1});
  {
    SafetensorsWriter writer(file, entries);
    const std::vector<std::byte> zeros(kMany >> 6);
    for (size_t e = 0; e < entries.size(); ++e) writer.WriteAt(e, 0, std::span(zeros).first(writer.TensorBytes(e)));
    writer.Commit();
  }
  EXPECT_THAT(InfoOf([&] { optimizer.Load(SafetensorsFile(file), "F", *all, pool); }),
              Names("F: tensor \"" + entries[2].name + "\"", "fp32 [1]"));
}

TEST(RunState, IsReadAsItWasWritten) {
  const TempFolder temp;
  RunState state = {.step = 7,
                    .updates = 5,
                    .skipped = 2,
                    .recent_losses = {0.1 + 0.2, 2.5},
                    .loss_scale = {.scale = 2048, .hysteresis = 1, .last_overflow = 6, .steps = 7},
                    .packs = 14,
                    .best = BestCheckpoint{.step = 4, .value = 1.0 / 3},
                    .fixed = {{"rows", "2"}},
                    .recipe_hash = "r",
                    .data_hash = "d",
                    .base_hash = "b"};
  const auto write = [&](const std::string& text) {
    std::ofstream(temp.path() / kStateFile) << text;
    return ReadRunState(temp.path());
  };
  const std::string text = WriteRunState(state, {{"guard", {{"factor", 0.5}}}});
  const LoadedRunState read = write(text);
  EXPECT_EQ(read.recent_losses, state.recent_losses);
  EXPECT_EQ(read.loss_scale, state.loss_scale);
  EXPECT_EQ(read.best->value, state.best->value);
  EXPECT_EQ(read.fixed, state.fixed);
  EXPECT_EQ(WriteRunState(read, JsonValueOf(*read.watches)), text);
  state.best.reset();
  EXPECT_FALSE(write(WriteRunState(state, JsonValue::Object())).best);
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return InfoOf([&] { write(other); });
  };
  const std::string where = (temp.path() / kStateFile).string();
  EXPECT_THAT(broken("\"format\": 1", "\"format\": 2"), Names(where, "2"));
  EXPECT_THAT(broken("\"updates\": 5", "\"updates\": 8"), Names(where, HasSubstr("8 updates")));
  EXPECT_THAT(broken("\"step\": 7", "\"step\": \"7\""), Names(where));
  EXPECT_THAT(broken("\"packs\"", "\"pack\""), Names(where));
  EXPECT_THAT(broken("{", ""), Names(StartsWith(where), testing::_));
}

TEST(CheckpointWriter, CopiesTheParametersAsTheyWereAndTellsFailuresOnce) {
  const TempFolder temp;
  const auto parameters = Numbered(QkvOrder::kPerHead, Precision::kF32);
  const CheckpointModel model = {.dtype = DType::kF32, .tokenizer = TestData("tokenizer"), .texts = {{"note", "n"}}};
  const fs::path tokens = TestData("golden/odd_width");
  std::string hash;
  CheckpointWriter writer(*parameters);
  const auto write = [&](const std::string& name) {
    writer.Start({.out = temp.path() / name,
                  .model = model,
                  .state = [] { return std::string("{}\n"); },
                  .after = [&](const std::string& made) { hash = made; }});
    writer.WaitForCopy();
  };
  write("one");
  Number(*parameters, parameters->first_moments(), 9);  // the next update
  writer.Finish();
  EXPECT_EQ(hash, CheckFolderHashes(temp.path() / "one"));
  Number(*parameters, parameters->first_moments(), 2);
  const std::string first = hash;
  write("one");  // in its place
  writer.Finish();
  EXPECT_EQ(hash, first);
  EXPECT_EQ(ReadTextFile(temp.path() / "one" / "note", 9), "n");
  EXPECT_EQ(writer.WaitForCopy(), 0);
  EXPECT_THAT(InfoOf([&] { write("no/folder"); }), Names((temp.path() / "no/folder").string()));
  writer.Finish();
  EXPECT_FALSE(fs::exists(temp.path() / "no"));
}

}  // namespace
}  // namespace stablelm
