// Adapters of files on loaded models: against PyTorch's logits, over every kind of base, merged and not.
#include "model/load_adapters.h"

#include "checkpoint/adapter/adapter_writer.h"
#include "checkpoint/adapter/merge_adapters.h"
#include "checkpoint/gguf/gguf_testing.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/huggingface/writer.h"
#include "error_info.h"
#include "model/model_testing.h"
#include "ops/op_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// Folders of STABLELM_GOLDEN with a base and an adapter.
std::vector<fs::path> LoraFolders() {
  const char* set = std::getenv("STABLELM_GOLDEN");
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(set ? std::string(set) : TestData("golden"))) {
    if (fs::exists(entry.path() / "base") && fs::exists(entry.path() / "adapter_start"))
      folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

Transformer Adapted(const fs::path& base, const std::vector<AdapterChoice>& adapters, const LoadOptions& options = {}) {
  return Transformer(WithAdapters(LoadWeights(ModelFolder::Open(base.string()), options), adapters));
}

TEST(LoadAdapters, LogitsOfTheGoldenAdapter) {
  ASSERT_FALSE(LoraFolders().empty());
  for (const fs::path& folder : LoraFolders()) {
    SCOPED_TRACE(folder);
    const SafetensorsFile expected(folder / "expected.safetensors");
    const std::vector<float> want = Floats(expected, "logits_after8");
    const TensorView tokens = expected.Get("tokens");  // [steps, batch, T]
    const int64_t batch = tokens.shape[1], length = tokens.shape[2];
    for (const std::string& target : UsableSimdTargets()) {
      SelectSimdTarget(target);
      const Transformer model = Adapted(folder / "base", {{AdapterFolder::Open(folder / "adapter_after8")}});
      std::vector<float> got;
      for (int64_t i = 0; i < batch; ++i) {
        // The logits are those of the batch of the first step.
        std::vector<int32_t> ids(static_cast<size_t>(length));
        std::memcpy(ids.data(), tokens.data + static_cast<size_t>(i * length) * sizeof(int32_t),
                    ids.size() * sizeof(int32_t));
        const auto logits = LogitsInChunks(model, ids, 7, 2);
        got.insert(got.end(), logits.begin(), logits.end());
      }
      SelectSimdTarget("");
      ASSERT_EQ(got.size(), want.size());
      float worst = 0;
      for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
      EXPECT_LE(worst, 3e-5) << target;
    }
  }
}

const std::vector<int32_t> kShortIds = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};

std::vector<AdapterChoice> GoldenAdapter(double scale = 1) {
  return {{AdapterFolder::Open(TestData("golden/lora/adapter_after8")), scale}};
}

TEST(LoadAdapters, SeveralAddUpAndScalesMultiply) {
  const fs::path base = TestData("golden/lora/base");
  const auto one = LogitsInChunks(Adapted(base, GoldenAdapter()), kShortIds, 12, 2);
  const auto plain = LogitsInChunks(Adapted(base, {}), kShortIds, 12, 2);
  EXPECT_NE(one, plain);
  EXPECT_EQ(LogitsInChunks(Adapted(base, GoldenAdapter(0)), kShortIds, 12, 2), plain);
  // Halves of one adapter add up to it, but for roundings.
  std::vector<AdapterChoice> halves = GoldenAdapter(0.5);
  halves.push_back(GoldenAdapter(0.5)[0]);
  const auto two = LogitsInChunks(Adapted(base, halves), kShortIds, 12, 2);
  for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(two[i], one[i], 1e-5);
}

TEST(LoadAdapters, LeaveTheBaseAsItIs) {
  const auto base = LoadWeights(ModelFolder::Open(TestData("golden/lora/base")), {});
  const auto before = LogitsInChunks(Transformer(base), kShortIds, 12, 1);
  const auto adapted = WithAdapters(base, GoldenAdapter());
  EXPECT_EQ(adapted->blocks[0].qkv.weight().panel(0), base->blocks[0].qkv.weight().panel(0));
  EXPECT_EQ(LogitsInChunks(Transformer(base), kShortIds, 12, 1), before);
  EXPECT_EQ(WithAdapters(base, {}), base);
}

TEST(LoadAdapters, AreCountedInAdvance) {
  const auto base = LoadWeights(ModelFolder::Open(TestData("golden/lora/base")), {});
  const auto adapted = WithAdapters(base, GoldenAdapter());
  uint64_t bytes = RotaryTable::Bytes(base->config.rotary_dims, base->config.max_positions);
  for (const BlockWeights& block : adapted->blocks) {
    for (const Linear* linear : {&block.qkv, &block.attn_out, &block.mlp_up, &block.mlp_down}) {
      for (const Adapter& adapter : linear->adapters()) bytes += adapter.bytes();
    }
  }
  EXPECT_EQ(PlanAdapters(base->config, GoldenAdapter()), bytes);
}

// Neither chunks nor threads change a bit, whatever the base.
TEST(LoadAdapters, KeepTheBitsReproducible) {
  for (const LoadOptions& options : {LoadOptions{}, LoadOptions{.dtype = DType::kF16},
                                     LoadOptions{.dtype = DType::kBF16, .compute = Compute::kFast}}) {
    const Transformer model = Adapted(TestData("golden/lora/base"), GoldenAdapter(), options);
    const auto whole = LogitsInChunks(model, kShortIds, 12, 1);
    EXPECT_EQ(LogitsInChunks(model, kShortIds, 1, 3), whole);
    EXPECT_EQ(LogitsInChunks(model, kShortIds, 5, 2), whole);
  }
}

// The rows of B follow those of a GGUF file's QKV matrices.
TEST(LoadAdapters, GiveTheSameBitsOverAGgufBase) {
  const TempFolder temp;
  const fs::path file = temp.path() / "model.gguf", folder = TestData("golden/lora/base");
  WriteGgufOf(folder, file);
  EXPECT_EQ(LogitsInChunks(Adapted(file, GoldenAdapter()), kShortIds, 5, 2),
            LogitsInChunks(Adapted(folder, GoldenAdapter()), kShortIds, 5, 2));
}

// A random adapter of rank 8 for every matrix of a model, as large as one that was trained: s B A is a tenth of W.
void WriteRandomAdapter(const ModelFolder& model, const fs::path& folder) {
  AdapterConfig config = {.rank = 8, .alpha = 16};
  config.targets.names = {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"};
  std::vector<MatrixToAdapt> matrices;
  for (const WeightEntry& entry : model.table()) {
    if (!IsAdaptable(entry.kind)) continue;
    const auto fill = [](int64_t row, int64_t width, uint64_t seed, float* out) {
      const auto values = RandomNormals(static_cast<size_t>(width), seed + static_cast<uint64_t>(row), 0.01);
      std::ranges::copy(values, out);
    };
    const uint64_t seed = 100000 * (matrices.size() + 1);
    matrices.push_back({entry, [=](int64_t row, float* out) { fill(row, entry.shape[1], seed, out); },
                        [=](int64_t row, float* out) { fill(row, 8, seed + 50000, out); }});
  }
  fs::create_directory(folder);
  WriteAdapter(folder, {.model = model.config(), .config = config, .matrices = matrices});
}

// Merged into fp32 weights, an adapter gives the logits that it gives beside them, but for roundings. Saved in fp16,
// each weight w is off by at most |w| 2^-11; the logits here by less than 5e-3 of the largest.
TEST(LoadAdapters, MergedIsTheSameButForRoundings) {
  const TempFolder temp;
  const auto model = ModelFolder::Open(TestData("golden/head128_fp16"));
  const fs::path folder = temp.path() / "adapter";
  WriteRandomAdapter(*model, folder);
  const std::vector<AdapterChoice> adapters = {{AdapterFolder::Open(folder), 0.5}};
  const auto unmerged = LogitsInChunks(Adapted(model->path(), adapters), kShortIds, 12, 2);
  const AdapterMerge merge(*model, adapters);
  ThreadPool pool(2);
  for (const auto& [type, tolerance] : {std::pair{DType::kF32, 3e-5}, {DType::kF16, 5e-3}}) {
    const fs::path out = temp.path() / std::string(NameOf(type));
    const std::vector<DType> types(model->table().size(), type);
    FolderWriter writer(out, model->config(), {.dtype = type});
    CopyTensors(
        *model, {.types = types, .change = merge.Change(), .pool = &pool},
        [&](size_t entry, uint64_t offset, std::span<const std::byte> bytes) { writer.WriteAt(entry, offset, bytes); });
    writer.Commit();
    const auto merged = LogitsInChunks(LoadModel(out), kShortIds, 12, 2);
    float worst = 0, largest = 0;
    for (size_t i = 0; i < merged.size(); ++i) {
      worst = std::max(worst, std::abs(merged[i] - unmerged[i]));
      largest = std::max(largest, std::abs(unmerged[i]));
    }
    RecordProperty("error_" + std::string(NameOf(type)), std::to_string(worst));
    EXPECT_LE(worst, type == DType::kF32 ? tolerance : tolerance * static_cast<double>(largest));
  }
  EXPECT_NE(LogitsInChunks(LoadModel(model->path()), kShortIds, 12, 2), unmerged);
}

TEST(LoadAdapters, OfAnotherModelAreRefused) {
  EXPECT_THAT(InfoOf([] { Adapted(TestData("golden/head128_fp16"), GoldenAdapter()); }).where,
              testing::HasSubstr("lora_A"));
}

}  // namespace
}  // namespace stablelm
