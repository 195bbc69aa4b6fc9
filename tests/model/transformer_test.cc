// Errors of the forward pass: invalid input and non-finite values.
#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/system.h"
#include "error_info.h"
#include "golden_paths.h"
#include "model/memory_plan.h"
#include "model/model_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

std::string ErrorOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Transformer, RefusesIdsOutOfRangeAndTooManyPositions) {
  const Transformer model = LoadModel(kParallel);
  EXPECT_THAT(ErrorOf([&] {
                LogitsInChunks(model, {1, 512}, 8, 1);
              }),
              testing::HasSubstr("found 512, expected 0 to 511"));
  EXPECT_THAT(ErrorOf([&] { LogitsInChunks(model, {-1}, 8, 1); }), testing::HasSubstr("found -1"));
  EXPECT_THAT(ErrorOf([&] { LogitsInChunks(model, std::vector<int32_t>(129, 5), 200, 1); }),
              testing::HasSubstr("found 129, expected at most 128"));
}

TEST(Transformer, AFailedPassLeavesTheCacheAsItWas) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  ForwardContext ctx(model.config(), {.context = 64, .threads = 1}, pool);
  KvCache cache(model.config(), DType::kF32, 1);
  KvSequence sequence(cache);
  const std::vector<int32_t> ids(20, 7);
  const BatchSequence one = {.tokens = ids, .cache = &sequence, .logits_from = 19};
  model.Forward({&one, 1}, ctx);
  // 40 tokens, one page of 32.
  EXPECT_THAT(InfoOf([&] {
                model.Forward({&one, 1}, ctx);
              }),
              Names("key-value cache", testing::StartsWith("0 free pages")));
  EXPECT_EQ(sequence.length(), 20);
}

void SetValue(const std::filesystem::path& folder, const std::string& tensor, uint64_t element, float value) {
  const SafetensorsFile file(folder / "model.safetensors");
  std::fstream out(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(file.Find(tensor)->offset + 4 * element));
  out.write(reinterpret_cast<const char*>(&value), 4);
}

// A copy of the fp32 model with element 5 of one tensor replaced.
std::filesystem::path Damaged(const TempFolder& temp, const std::string& tensor, float value) {
  const auto folder = temp.path() / "damaged";
  std::filesystem::copy(kParallel, folder);
  SetValue(folder, tensor, 5, value);
  return folder;
}

TEST(Transformer, NamesTheLayerAndTensorOfNonFiniteValues) {
  for (const char* tensor :
       {"gpt_neox.layers.1.mlp.dense_h_to_4h.weight", "gpt_neox.layers.2.attention.dense.bias",
        "gpt_neox.layers.0.input_layernorm.weight", "embed_out.weight", "gpt_neox.final_layer_norm.bias"}) {
    const TempFolder temp;
    const Transformer model = LoadModel(Damaged(temp, tensor, std::numeric_limits<float>::quiet_NaN()));
    const std::string error = ErrorOf([&] { LogitsInChunks(model, {1, 2, 3}, 8, 1); });
    EXPECT_THAT(error, testing::HasSubstr(tensor));
    EXPECT_THAT(error, testing::HasSubstr("element 5"));
  }
}

// The sum of two finite biases overflows in the residual of layer 1.
TEST(Transformer, NamesTheLayerOfAnOverflow) {
  const TempFolder temp;
  Damaged(temp, "gpt_neox.layers.1.mlp.dense_4h_to_h.bias", 3.4e38f);
  const auto folder = temp.path() / "damaged";
  SetValue(folder, "gpt_neox.layers.1.attention.dense.bias", 5, 3.4e38f);
  const Transformer model = LoadModel(folder);
  const std::string error = ErrorOf([&] { LogitsInChunks(model, {1, 2, 3}, 8, 1); });
  EXPECT_THAT(error, testing::HasSubstr("layer 1"));
  EXPECT_THAT(error, testing::HasSubstr("column 5"));
}

TEST(Transformer, Fp16CacheOverflowNamesTheLayer) {
  const TempFolder temp;
  const Transformer model = LoadModel(Damaged(temp, "gpt_neox.layers.2.attention.query_key_value.bias", 1.0f));
  EXPECT_EQ(LogitsInChunks(model, {1, 2}, 8, 1, DType::kF16).size(), 2u * 512);
  const TempFolder other;
  // Element 5 of a QKV bias belongs to a query; 16 (the head size) further is a key.
  const auto folder = Damaged(other, "gpt_neox.layers.2.attention.query_key_value.bias", 0.0f);
  SetValue(folder, "gpt_neox.layers.2.attention.query_key_value.bias", 20, 1e5f);
  const Transformer broken = LoadModel(folder);
  EXPECT_THAT(ErrorOf([&] { LogitsInChunks(broken, {1, 2}, 8, 1, DType::kF16); }), testing::HasSubstr("layer 2"));
  EXPECT_EQ(LogitsInChunks(broken, {1, 2}, 8, 1, DType::kF32).size(), 2u * 512);
}

TEST(MemoryPlan, CountsTheReleasedModels) {
  const ModelConfig config = *ModelConfig::FromShapeName("3b");
  const WeightBytes weights = PlanWeights(config, DType::kF16, {});
  const uint64_t vectors = 16 * 13 * 4096 + 2 * 4096;  // converted to fp32: twice their stored size
  EXPECT_EQ(weights.mapped + weights.allocated, 2 * (uint64_t{3637321728u} + vectors));
  const MemoryPlan plan = PlanMemory(config, weights, {.context = 4096, .kv_type = DType::kF16, .threads = 2});
  bool cache_seen = false;
  for (const MemoryPart& part : plan.parts) {
    if (!part.name.starts_with("key-value")) continue;
    cache_seen = true;
    // 2 x 16 layers x width 4096 x 2 bytes x 4096 tokens, and 128 pages with 4 KiB of padding
    EXPECT_EQ(part.bytes, (uint64_t{1} << 30) + (128 << 12));
  }
  EXPECT_TRUE(cache_seen);
  EXPECT_NO_THROW(RequireFits(plan, {plan.Total(), "a group"}));
  EXPECT_NO_THROW(RequireFits(plan, {}));  // unknown
  EXPECT_THAT(InfoOf([&] {
                RequireFits(plan, {plan.Total() - 1, "a group"});
              }),
              Names("memory", HumanBytes(plan.Total() - 1) + " available, by a group"));
}

// The context allocates exactly what was planned.
TEST(MemoryPlan, IsTheTruthAboutTheContext) {
  const Transformer model = LoadModel(kParallel);
  const RunShape run = {.context = 100, .max_rows = 32, .max_logit_rows = 7, .threads = 2};
  ThreadPool pool(2);
  const ForwardContext ctx(model.config(), run, pool);
  const size_t activations = ctx.x.size() + ctx.normed.size() + ctx.qkv.size() + ctx.attended.size() +
                             ctx.attn_out.size() + ctx.mlp_hidden.size() + ctx.mlp_out.size() + ctx.wanted.size();
  EXPECT_EQ(4 * activations, ForwardContext::ActivationBytes(model.config(), run));
  EXPECT_EQ(4 * ctx.logits.size(), ForwardContext::LogitBytes(model.config(), run));
}

}  // namespace
}  // namespace stablelm
