// Tests the guarantee of model/transformer.h: a token's logits have the same bits alone, batched, ragged, in chunks of
// any size, one token at a time, with any number of threads and after any history of the cache.
#include "model/model_testing.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

std::vector<std::filesystem::path> SmallFolders() {
  std::vector<std::filesystem::path> folders;
  for (const auto& folder : GoldenFolders()) {
    if (folder.filename() != "long_context") folders.push_back(folder);
  }
  return folders;
}

TEST(Reproducible, ChunksAndThreads) {
  for (const auto& folder : SmallFolders()) {
    const Transformer model = LoadModel(folder);
    const SafetensorsFile expected(folder / "expected.safetensors");
    const std::vector<int32_t> ids = Ids(expected, "tokens");
    for (const std::string& target : UsableSimdTargets()) {
      SelectSimdTarget(target);
      for (const DType kv : {DType::kF32, DType::kF16, DType::kI8}) {
        const std::vector<float> whole = LogitsInChunks(model, ids, 64, 1, kv);
        for (const int64_t chunk : {1, 2, 3, 5, 16, 36}) {
          const size_t threads = static_cast<size_t>(1 + chunk % 3);
          ASSERT_TRUE(SameBits(LogitsInChunks(model, ids, chunk, threads, kv), whole))
              << folder << " " << target << " chunk " << chunk << " threads " << threads << " kv " << KvTypeName(kv);
        }
      }
    }
  }
  SelectSimdTarget("");
}

// More than one attention chunk (256 tokens) and many pages, with the long-context model.
TEST(Reproducible, LongContextInUnevenChunks) {
  for (const auto& folder : GoldenFolders()) {
    if (folder.filename() != "long_context") continue;
    const Transformer model = LoadModel(folder);
    std::vector<int32_t> ids = Ids(SafetensorsFile(folder / "expected.safetensors"), "tokens");
    ids.resize(700);
    for (const DType kv : {DType::kF32, DType::kF16, DType::kI8}) {
      const std::vector<float> whole = LogitsInChunks(model, ids, 700, 2, kv);
      for (const int64_t chunk : {1, 255, 256, 257}) {
        ASSERT_TRUE(SameBits(LogitsInChunks(model, ids, chunk, 3, kv), whole)) << chunk;
      }
    }
  }
}

class ReproducibleCaches : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, ReproducibleCaches, testing::Values(DType::kF32, DType::kF16, DType::kI8),
                         [](const auto& test) { return std::string(KvTypeName(test.param)); });

// Several sequences advance together in uneven steps; each gets the same bits as alone.
TEST_P(ReproducibleCaches, RaggedBatches) {
  for (const auto& folder : SmallFolders()) {
    const Transformer model = LoadModel(folder);
    const SafetensorsFile expected(folder / "expected.safetensors");
    const std::vector<std::vector<int32_t>> texts = {Ids(expected, "tokens", 0), Ids(expected, "tokens", 1),
                                                     Ids(expected, "short_tokens")};
    const std::vector<int64_t> steps = {7, 1, 3};
    ThreadPool pool(3);
    ForwardContext ctx(
        model.config(),
        {.context = 64, .sequences = 3, .kv_type = GetParam(), .max_rows = 16, .max_logit_rows = 16, .threads = 3},
        pool);
    KvCache cache(model.config(), GetParam(), 12);
    std::vector<KvSequence> sequences;
    for (size_t i = 0; i < 3; ++i) sequences.emplace_back(cache);
    std::vector<std::vector<float>> got(3);
    while (true) {
      std::vector<BatchSequence> batch;
      std::vector<size_t> who;
      for (size_t i = 0; i < 3; ++i) {
        const int64_t done = sequences[i].length(), total = static_cast<int64_t>(texts[i].size());
        if (done == total) continue;
        batch.push_back({.tokens = std::span(texts[i]).subspan(static_cast<size_t>(done),
                                                               static_cast<size_t>(std::min(steps[i], total - done))),
                         .cache = &sequences[i],
                         .logits_from = 0});
        who.push_back(i);
      }
      if (batch.empty()) break;
      std::span<const float> logits = model.Forward(batch, ctx);
      for (size_t b = 0; b < batch.size(); ++b) {
        const size_t n = batch[b].tokens.size() * static_cast<size_t>(model.config().vocab_size);
        got[who[b]].insert(got[who[b]].end(), logits.begin(), logits.begin() + static_cast<int64_t>(n));
        logits = logits.subspan(n);
      }
    }
    for (size_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(SameBits(got[i], LogitsInChunks(model, texts[i], 64, 1, GetParam()))) << folder << " sequence " << i;
    }
  }
}

// Truncate and Fork do not change a bit of later results.
TEST_P(ReproducibleCaches, TruncatedAndForkedCaches) {
  const auto folder = SmallFolders().front();
  const Transformer model = LoadModel(folder);
  const SafetensorsFile expected(folder / "expected.safetensors");
  const std::vector<int32_t> a = Ids(expected, "tokens", 0), b = Ids(expected, "tokens", 1);
  ThreadPool pool(2);
  ForwardContext ctx(model.config(),
                     {.context = 64, .kv_type = GetParam(), .max_rows = 64, .max_logit_rows = 64, .threads = 2}, pool);
  KvCache cache(model.config(), GetParam(), 8);
  const auto run = [&](KvSequence& sequence, std::span<const int32_t> ids) {
    const BatchSequence one = {.tokens = ids, .cache = &sequence, .logits_from = static_cast<int64_t>(ids.size()) - 1};
    const auto logits = model.Forward({&one, 1}, ctx);
    return std::vector<float>(logits.begin(), logits.end());
  };
  const auto alone = [&](std::vector<int32_t> ids) {
    const auto all = LogitsInChunks(model, ids, 64, 1, GetParam());
    return std::vector<float>(all.end() - model.config().vocab_size, all.end());
  };
  KvSequence trunk(cache);
  run(trunk, a);
  trunk.Truncate(20);
  KvSequence fork = trunk.Fork();
  std::vector<int32_t> left(a.begin(), a.begin() + 20), right = left;
  left.insert(left.end(), b.begin(), b.begin() + 15);
  right.insert(right.end(), b.begin() + 15, b.begin() + 37);
  const auto right_got = run(fork, std::span(b).subspan(15, 22));
  const auto left_got = run(trunk, std::span(b).first(15));
  EXPECT_TRUE(SameBits(left_got, alone(left)));
  EXPECT_TRUE(SameBits(right_got, alone(right)));
}

}  // namespace
}  // namespace stablelm
