// Beam search over models: beams and scores of the reference, one beam equals greedy decoding, finish reasons.
#include "generate/beam_search.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/error.h"
#include "error_info.h"
#include "golden_paths.h"
#include "model/model_testing.h"
#include "test_paths.h"

namespace stablelm {
namespace {

BeamSearchResult Search(const Transformer& model, const GenerateRequest& request, const BeamOptions& options,
                        const std::atomic<bool>* cancel = nullptr, size_t threads = 2) {
  ThreadPool pool(threads);
  return BeamSearch(model, request, options, ShapeOfBeamSearch(model.config(), request, options, DType::kF32, threads),
                    pool, cancel);
}

TEST(BeamSearch, BeamsAndScoresAreTheReferences) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const SafetensorsFile expected(folder / "expected.safetensors");
    if (!expected.Find("beam4")) continue;
    const Transformer model = LoadModel(folder);
    const std::vector<float> scores = Floats(expected, "beam4_scores");
    GenerateRequest request;
    request.prompt = Ids(expected, "tokens");
    request.max_new_tokens = expected.Get("beam4").shape[1];
    request.stop_ids = model.config().eos_ids;
    request.sampling.min_new_tokens = *request.max_new_tokens;
    const BeamSearchResult result = Search(model, request, {.beams = 4, .num_return = 4});
    ASSERT_EQ(result.beams.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(result.beams[i].ids, Ids(expected, "beam4", static_cast<int64_t>(i))) << i;
      EXPECT_TRUE(std::abs(result.beams[i].score - static_cast<double>(scores[i])) <= 1e-5)
          << i << ": " << result.beams[i].score << " " << scores[i];
      EXPECT_EQ(result.beams[i].reason, FinishReason::kLength);
      EXPECT_EQ(result.beams[i].logprobs.size(), result.beams[i].ids.size());
    }
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(BeamSearch, OneBeamIsGreedy) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(2);
  for (int32_t first = 1; first < 8; ++first) {
    GenerateRequest request;
    request.prompt = {first, 2, 3, 40};
    request.max_new_tokens = 20;
    for (int32_t id = 0; id < 512; id += 5) request.stop_ids.push_back(id);
    // (A penalty would not work here: logits and log-probabilities differ in sign.)
    request.sampling.no_repeat_ngram_size = 2;
    const RunShape run = ShapeOfGenerate(model.config(), request, DType::kF32, 2);
    const GenerateResult greedy = Generate(model, request, run, pool);
    const BeamSearchResult beam = Search(model, request, {});
    ASSERT_EQ(beam.beams.size(), 1u);
    EXPECT_EQ(beam.beams[0].ids, greedy.ids);
    EXPECT_EQ(beam.beams[0].reason, greedy.reason);
    EXPECT_EQ(beam.beams[0].stop.id, greedy.stop.id);
    ASSERT_EQ(beam.beams[0].logprobs.size(), greedy.logprobs.size());
    for (size_t i = 0; i < greedy.logprobs.size(); ++i) {
      EXPECT_DOUBLE_EQ(beam.beams[0].logprobs[i], greedy.logprobs[i]);
    }
  }
}

// A long text across page borders: the same beams for any number of threads.
TEST(BeamSearch, ThreadsChangeNothing) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt.assign(30, 7);
  request.max_new_tokens = 50;
  const BeamOptions options = {.beams = 6, .num_return = 6, .length_penalty = 0.5};
  const BeamSearchResult one = Search(model, request, options, nullptr, 1),
                         three = Search(model, request, options, nullptr, 3);
  ASSERT_EQ(one.beams.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(one.beams[i].ids, three.beams[i].ids);
    EXPECT_EQ(one.beams[i].score, three.beams[i].score);
    // Without processors the score is the sum of the log-probabilities of the generated tokens.
    double sum = 0;
    for (const double lp : one.beams[i].logprobs) sum += lp;
    EXPECT_NEAR(one.beams[i].score, sum / std::sqrt(50.0), 1e-5);
    if (i > 0) {
      EXPECT_LE(one.beams[i].score, one.beams[i - 1].score);
    }
  }
}

// The prompt is cached once: many beams over a long prompt need little more cache than one.
TEST(BeamSearch, ThePlanCountsThePromptOnce) {
  const ModelConfig config = *ModelConfig::FromShapeName("3b");
  GenerateRequest request;
  request.prompt.assign(4000, 5);
  request.max_new_tokens = 32;
  const auto pages = [&](int64_t beams) {
    return CachePages(ShapeOfBeamSearch(config, request, {.beams = beams}, DType::kF32, 2));
  };
  EXPECT_EQ(pages(1), 126);      // 4,032 tokens in pages of 32
  EXPECT_EQ(pages(8), 125 + 8);  // 125 full pages of prompt; each beam has its own last page
  request.prompt.resize(3990);   // the last page of the prompt is not full
  EXPECT_EQ(pages(8), 124 + 8 * 2);
}

// The planned pages suffice, wherever in a page the prompt ends; running out of pages would be an Error of the search.
TEST(BeamSearch, RunsWithinItsPlan) {
  const Transformer model = LoadModel(kParallel);
  for (const size_t prompt : {size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{63}, size_t{64}, size_t{90}}) {
    SCOPED_TRACE(prompt);
    GenerateRequest request;
    request.prompt.assign(prompt, 7);
    request.max_new_tokens = 36;
    EXPECT_EQ(Search(model, request, {.beams = 7, .num_return = 7}).beams.size(), 7u);
  }
}

TEST(BeamSearch, WaysToEnd) {
  const Transformer model = LoadModel(kParallel);  // context of 128 tokens
  GenerateRequest request;
  request.prompt.assign(125, 5);
  const BeamOptions options = {.beams = 3, .num_return = 2};
  const BeamSearchResult full = Search(model, request, options);
  ASSERT_EQ(full.beams.size(), 2u);
  EXPECT_EQ(full.beams[0].ids.size(), 3u);
  EXPECT_EQ(full.beams[0].reason, FinishReason::kContext);
  request.prompt.assign(128, 5);
  EXPECT_TRUE(Search(model, request, options).beams.empty());

  request.prompt = {1, 2, 3};
  request.max_time_s = 1e-9;
  const BeamSearchResult late = Search(model, request, options);
  ASSERT_EQ(late.beams.size(), 2u);
  EXPECT_EQ(late.beams[0].ids.size(), 1u);
  EXPECT_EQ(late.beams[0].reason, FinishReason::kTime);
  request.max_time_s.reset();

  std::atomic<bool> cancel{true};
  EXPECT_TRUE(Search(model, request, options, &cancel).beams.empty());
}

// A stop string ends a beam like a stop id; the text is cut before it.
TEST(BeamSearch, StopStringsEndBeams) {
  const Transformer model = LoadModel(TestData("golden/head128_fp16"));  // 1,000 ids
  GenerateRequest request;
  request.tokenizer = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"), {.model_vocab_size = 1000});
  request.known_ids = request.tokenizer->size();
  request.prompt = request.tokenizer->Encode("Once upon");
  request.max_new_tokens = 12;
  const BeamOptions options = {.beams = 3, .num_return = 3, .length_penalty = 0};  // a sum over fewer tokens is larger
  const BeamSearchResult whole = Search(model, request, options);
  ASSERT_EQ(whole.beams.size(), 3u);
  EXPECT_EQ(whole.beams[0].text, request.tokenizer->Decode(whole.beams[0].ids));
  std::vector<int32_t> first(whole.beams[0].ids.begin(), whole.beams[0].ids.begin() + 2);
  request.stop_strings = {request.tokenizer->Decode(first)};  // the best beam starts with it
  ASSERT_GT(request.stop_strings[0].size(), 1u);
  int stopped = 0;
  for (const BeamResult& beam : Search(model, request, options).beams) {
    EXPECT_EQ(beam.text.find(request.stop_strings[0]), std::string::npos);
    EXPECT_EQ(beam.reason == FinishReason::kStop, beam.stop.string.has_value());
    stopped += beam.stop.string.has_value();
  }
  EXPECT_GT(stopped, 0);
}

TEST(BeamSearch, RefusesWhatDoesNotGoWithIt) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {1};
  request.max_new_tokens = 2;
  request.sampling.temperature = 1;
  EXPECT_THAT(InfoOf([&] { Search(model, request, {.beams = 2}); }), Names("temperature"));
  request.sampling.temperature = 0;
  request.stop_strings = {"x"};  // without a tokenizer
  EXPECT_THAT(InfoOf([&] { Search(model, request, {.beams = 2}); }), Names("stop"));
  request.stop_strings.clear();
  EXPECT_THAT(InfoOf([&] { Search(model, request, {.beams = 2, .num_return = 3}); }), Names("num_return", "3"));
}

}  // namespace
}  // namespace stablelm
