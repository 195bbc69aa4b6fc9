// One request from prompt to last token: greedy ids of the reference, finish reasons, cancelling.
#include "generate/generator.h"

#include <gmock/gmock.h>

#include <random>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/tiny_model.h"
#include "error_info.h"
#include "generate/scoring.h"
#include "golden_paths.h"
#include "model/model_testing.h"
#include "temp_folder.h"
#include "test_paths.h"

namespace stablelm {
namespace {

GenerateResult Continue(const Transformer& model, const GenerateRequest& request, const ReplyCallbacks& callbacks = {},
                        const std::atomic<bool>* cancel = nullptr, size_t threads = 2) {
  ThreadPool pool(threads);
  return Generate(model, request, ShapeOfGenerate(model.config(), request, DType::kF32, threads), pool, callbacks,
                  cancel);
}

std::string ErrorOf(const Transformer& model, const GenerateRequest& request) {
  try {
    Continue(model, request);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Generator, GreedyIdsAreTheReferences) {
  int checked = 0;
  for (const auto& folder : GoldenFolders()) {
    SCOPED_TRACE(folder.filename());
    const SafetensorsFile expected(folder / "expected.safetensors");
    if (!expected.Find("greedy")) continue;
    const Transformer model = LoadModel(folder);
    const std::vector<int32_t> want = Ids(expected, "greedy");
    GenerateRequest request;
    request.prompt = Ids(expected, "tokens");
    request.max_new_tokens = static_cast<int64_t>(want.size());
    request.banned_ids = model.config().eos_ids;
    std::vector<int32_t> streamed;
    const GenerateResult result =
        Continue(model, request, {.on_token = [&](const ChosenToken& t) { streamed.push_back(t.id); }});
    EXPECT_EQ(result.ids, want);
    EXPECT_EQ(streamed, want);
    EXPECT_EQ(result.logprobs.size(), want.size());
    EXPECT_EQ(result.reason, FinishReason::kLength);
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(Generator, EndsAfterAStopId) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {1, 2, 3, 4};
  request.max_new_tokens = 12;
  const std::vector<int32_t> all = Continue(model, request).ids;
  ASSERT_EQ(all.size(), 12u);
  request.stop_ids = {999999, all[6]};
  const GenerateResult stopped = Continue(model, request);
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
  const auto end = std::find(all.begin(), all.end(), all[6]) + 1;
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(all.begin(), end));
}

TEST(Generator, EndsWhereTheContextEnds) {
  const Transformer model = LoadModel(kParallel);  // context of 128 tokens
  GenerateRequest request;
  request.prompt = std::vector<int32_t>(120, 5);
  EXPECT_EQ(Continue(model, request).ids.size(), 8u);
  EXPECT_EQ(Continue(model, request).reason, FinishReason::kContext);
  request.max_new_tokens = 8;
  EXPECT_EQ(Continue(model, request).reason, FinishReason::kLength);
  request.max_new_tokens = 9;
  EXPECT_EQ(Continue(model, request).ids.size(), 8u);
  EXPECT_EQ(Continue(model, request).reason, FinishReason::kContext);
  request.prompt.assign(128, 5);
  EXPECT_EQ(Continue(model, request).ids.size(), 0u);
  EXPECT_EQ(Continue(model, request).reason, FinishReason::kContext);
  request.prompt.assign(129, 5);
  EXPECT_THAT(ErrorOf(model, request), testing::HasSubstr("found 129 tokens, expected at most 128"));
  request.prompt = {};
  EXPECT_THAT(ErrorOf(model, request), testing::HasSubstr("empty"));
  request.prompt = {1, 2, 512};
  EXPECT_THAT(ErrorOf(model, request),
              testing::HasSubstr("index 2: token id out of range: found 512, expected 0 to 511"));
}

TEST(Generator, CancelsBeforeAndBetweenTokens) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {1, 2, 3};
  std::atomic<bool> cancel{true};
  const GenerateResult nothing = Continue(model, request, {}, &cancel);
  EXPECT_EQ(nothing.reason, FinishReason::kCancelled);
  EXPECT_TRUE(nothing.ids.empty());
  cancel = false;
  size_t seen = 0;
  const GenerateResult some =
      Continue(model, request, {.on_token = [&](const ChosenToken&) { cancel = ++seen == 4; }}, &cancel);
  EXPECT_EQ(some.reason, FinishReason::kCancelled);
  EXPECT_EQ(some.ids.size(), 4u);
}

TEST(Generator, SampledTokensDependOnTheSeedNotOnThreads) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {9, 8, 7};
  request.max_new_tokens = 30;
  request.sampling = {.temperature = 1.0, .top_k = 50, .top_p = 0.95};
  request.seed = 11;
  const std::vector<int32_t> reference = Continue(model, request).ids;
  EXPECT_EQ(Continue(model, request, {}, nullptr, 1).ids, reference);
  EXPECT_EQ(Continue(model, request, {}, nullptr, 3).ids, reference);
  request.sample = 1;
  EXPECT_NE(Continue(model, request).ids, reference);
  request.sample = 0;
  request.seed = 12;
  EXPECT_NE(Continue(model, request).ids, reference);
}

TEST(Generator, SaysWhatStoppedIt) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {1, 2, 3, 4};
  request.max_new_tokens = 12;
  request.stop_ids = {Continue(model, request).ids[3]};
  EXPECT_EQ(Continue(model, request).stop.id, request.stop_ids[0]);
  request.stop_ids = {};
  EXPECT_FALSE(Continue(model, request).stop.Found());
  request.max_time_s = 1e-9;
  const GenerateResult late = Continue(model, request);
  EXPECT_EQ(late.reason, FinishReason::kTime);
  EXPECT_EQ(late.ids.size(), 1u);
  request.max_time_s = 0;
  EXPECT_THAT(ErrorOf(model, request), testing::HasSubstr("max_time: out of range: found 0"));
  request.max_time_s.reset();
  request.sampling.top_p = 2;
  EXPECT_THAT(ErrorOf(model, request), testing::HasSubstr("top_p: out of range: found 2, expected 0 to 1"));
  request.sampling.top_p = 1;
  request.stop_strings = {"x"};
  EXPECT_THAT(ErrorOf(model, request), testing::HasSubstr("need a tokenizer"));
}

TEST(Generator, ListsAlternativesAndCountsForcedTokens) {
  const Transformer model = LoadModel(kParallel);
  GenerateRequest request;
  request.prompt = {1, 2, 3, 4};
  request.max_new_tokens = 5;
  request.top_logprobs = 3;
  const GenerateResult result = Continue(model, request);
  ASSERT_EQ(result.top.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(result.top[i].size(), 3u);
    EXPECT_EQ(result.top[i][0].id, result.ids[i]);  // greedy
    EXPECT_EQ(result.top[i][0].logprob, result.logprobs[i]);
    EXPECT_GT(result.top[i][0].logprob, result.top[i][2].logprob);
  }
  EXPECT_EQ(result.forced_tokens, 0);
  for (int32_t id = 0; id < 512; ++id) request.banned_ids.push_back(id);
  const GenerateResult forced = Continue(model, request);
  EXPECT_EQ(forced.forced_tokens, 5);
  EXPECT_EQ(forced.ids, result.ids);
}

TEST(Generator, TheTextEndsBeforeAStopString) {
  const Transformer model = LoadModel(TestData("golden/head128_fp16"));  // 1,000 ids
  GenerateRequest request;
  request.tokenizer = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"), {.model_vocab_size = 1000});
  request.known_ids = request.tokenizer->size();
  request.prompt = request.tokenizer->Encode("Once upon");
  request.max_new_tokens = 40;
  request.sampling.temperature = 1;
  request.seed = 3;
  std::string streamed;
  const ReplyCallbacks callbacks = {.on_text = [&](std::string_view t) { streamed += t; }};
  const GenerateResult whole = Continue(model, request, callbacks);
  EXPECT_EQ(whole.text, request.tokenizer->Decode(whole.ids));
  EXPECT_EQ(streamed, whole.text);
  for (const int32_t id : whole.ids) EXPECT_LT(id, request.known_ids);
  // Use parts of the text as stop strings.
  int checked = 0;
  for (size_t at = 5; at + 4 < whole.text.size(); at += 9) {
    const std::string stop = whole.text.substr(at, 4);
    if (utf8::FirstInvalid(stop) != utf8::kValid) continue;
    SCOPED_TRACE(stop);
    request.stop_strings = {"never to be found", stop};
    streamed.clear();
    const GenerateResult stopped = Continue(model, request, callbacks);
    EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(stop)));
    EXPECT_EQ(streamed, stopped.text);
    EXPECT_EQ(stopped.stop.string, stop);
    EXPECT_EQ(stopped.reason, FinishReason::kStop);
    EXPECT_EQ(stopped.ids,
              std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + static_cast<ptrdiff_t>(stopped.ids.size())));
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

// A chat: each prompt extends the text before it or diverges from it. The cache must not change the results.
TEST(SequenceGenerator, GivesTheBitsOfAFreshStart) {
  const Transformer model = LoadModel(kParallel);  // context of 128 tokens
  ThreadPool pool(2);
  SequenceGenerator kept(model, ShapeOfGenerate(model.config().max_positions, DType::kF32, 2), pool);
  GenerateRequest request;
  request.prompt = {1, 2, 3, 4, 5};
  request.max_new_tokens = 9;
  const auto compare = [&](int64_t known) {
    const GenerateResult got = kept.Generate(request), fresh = Continue(model, request);
    EXPECT_EQ(got.ids, fresh.ids);
    EXPECT_EQ(got.logprobs, fresh.logprobs);  // bits
    EXPECT_EQ(got.known_positions, known);
    EXPECT_EQ(fresh.known_positions, 0);
    return got;
  };
  const GenerateResult first = compare(0);
  compare(4);  // the same prompt again: its last token is computed for its logits
  request.prompt.insert(request.prompt.end(), first.ids.begin(), first.ids.end());
  for (int32_t id = 20; id < 60; ++id) request.prompt.push_back(id);
  compare(13);  // the last token of the reply had not been computed
  request.prompt[30] += 1;
  compare(30);
  request.prompt.resize(3);
  compare(2);
  request.prompt = {9};
  compare(0);
}

// Interrupted in the middle of a prompt or reply, by the caller or by an error: the cache stays valid.
TEST(SequenceGenerator, GoesOnAfterAnInterruptedRequest) {
  const Transformer model = LoadModel(kParallel);
  ThreadPool pool(1);
  SequenceGenerator kept(model, ShapeOfGenerate(model.config().max_positions, DType::kF32, 1), pool);
  GenerateRequest request;
  for (int32_t id = 10; id < 50; ++id) request.prompt.push_back(id);
  request.max_new_tokens = 6;
  std::atomic<bool> cancel = true;
  EXPECT_EQ(kept.Generate(request, {}, &cancel).reason, FinishReason::kCancelled);
  cancel = false;
  const ReplyCallbacks stop_early = {.on_token = [&](const ChosenToken&) { cancel = true; }};
  EXPECT_EQ(kept.Generate(request, stop_early, &cancel).ids.size(), 1u);
  GenerateRequest broken = request;
  broken.prompt.push_back(-7);
  EXPECT_THAT(InfoOf([&] { kept.Generate(broken); }), Names("token ids", "-7"));
  const GenerateResult got = kept.Generate(request), fresh = Continue(model, request);
  EXPECT_EQ(got.ids, fresh.ids);
  EXPECT_EQ(got.logprobs, fresh.logprobs);
  EXPECT_EQ(got.known_positions, 39);
}

// Context policy `shift`: a context of 128 tokens, of which the first 6 stay.
class ShiftingReply : public testing::Test {
 protected:
  ShiftingReply() {
    for (int32_t id = 10; id < 30; ++id) request_.prompt.push_back(id);
    request_.keep_on_shift = 6;
    request_.max_new_tokens = 300;
  }
  const Transformer model_ = LoadModel(kParallel);
  ThreadPool pool_{2};
  GenerateRequest request_;
};

TEST_F(ShiftingReply, GoesOnWhereTheContextEndsAndSaysSo) {
  GenerateRequest without = request_;
  without.keep_on_shift.reset();
  const GenerateResult whole = Continue(model_, request_), cut = Continue(model_, without);
  EXPECT_EQ(cut.reason, FinishReason::kContext);
  EXPECT_EQ(cut.ids.size(), 108u);
  EXPECT_EQ(cut.shifts, 0);
  EXPECT_EQ(whole.reason, FinishReason::kLength);
  ASSERT_EQ(whole.ids.size(), 300u);
  EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end(), whole.ids.begin()));
  EXPECT_TRUE(std::equal(cut.logprobs.begin(), cut.logprobs.end(), whole.logprobs.begin()));  // bits
  // 20 + 299 tokens pass through the cache, which is full at 128; each shift drops (128 - 6) / 2.
  int64_t shifts = 0;
  for (int64_t length = 20, computed = 0; computed < 299; ++computed, ++length) {
    if (length == 128) ++shifts, length -= 61;
  }
  EXPECT_EQ(whole.shifts, shifts);
  EXPECT_EQ(whole.shifted_tokens, 61 * shifts);
  EXPECT_EQ(whole.shift_kept, 6);
  EXPECT_EQ(Continue(model_, request_, {}, nullptr, 1).ids, whole.ids);
  EXPECT_EQ(Continue(model_, request_, {}, nullptr, 3).logprobs, whole.logprobs);
}

// A reply is not approximate because an earlier one was.
TEST_F(ShiftingReply, TheNextReplyHasTheBitsOfAFreshStart) {
  SequenceGenerator kept(model_, ShapeOfGenerate(128, DType::kF32, 2), pool_);
  const GenerateResult first = kept.Generate(request_);
  EXPECT_GT(first.shifts, 0);
  request_.max_new_tokens = 20;
  request_.prompt.insert(request_.prompt.end(), first.ids.begin(), first.ids.begin() + 60);
  const GenerateResult got = kept.Generate(request_), fresh = Continue(model_, request_);
  EXPECT_EQ(got.known_positions, 6);
  EXPECT_EQ(got.shifts, 0);
  EXPECT_EQ(got.ids, fresh.ids);
  EXPECT_EQ(got.logprobs, fresh.logprobs);
  // That one is exact as a whole: after it all of its prompt is known.
  EXPECT_EQ(kept.Generate(request_).known_positions, 79);
}

TEST_F(ShiftingReply, EndsWhenNothingCanBeDroppedOrWhenItIsCancelled) {
  request_.prompt.assign(127, 5);
  request_.keep_on_shift = 127;
  const GenerateResult stuck = Continue(model_, request_);
  EXPECT_EQ(stuck.reason, FinishReason::kContext);
  EXPECT_EQ(stuck.ids.size(), 2u);  // the second is chosen but does not fit the cache
  request_.prompt.assign(129, 5);
  SequenceGenerator kept(model_, ShapeOfGenerate(128, DType::kF32, 2), pool_);
  EXPECT_EQ(kept.Generate(request_).reason, FinishReason::kContext);
  request_.prompt.assign(128, 5);  // full from the start
  request_.keep_on_shift = 0;
  request_.max_new_tokens.reset();
  std::atomic<bool> cancel = false;
  size_t seen = 0;
  const GenerateResult endless =
      kept.Generate(request_, {.on_token = [&](const ChosenToken&) { cancel = ++seen == 500; }}, &cancel);
  EXPECT_EQ(endless.reason, FinishReason::kCancelled);
  EXPECT_EQ(endless.ids.size(), 500u);
}

// A cache smaller than the model's context limits the context.
TEST_F(ShiftingReply, ARunOfFewerPositionsIsFullEarlier) {
  SequenceGenerator kept(model_, ShapeOfGenerate(40, DType::kF32, 2), pool_);
  request_.max_new_tokens = 30;
  EXPECT_EQ(kept.Generate(request_).shifts, 1);
  request_.keep_on_shift.reset();
  const GenerateResult cut = kept.Generate(request_);
  EXPECT_EQ(cut.reason, FinishReason::kContext);
  EXPECT_EQ(cut.ids.size(), 20u);
}

// One of more positions ends where the model does.
TEST_F(ShiftingReply, ARunOfMorePositionsEndsWithTheModel) {
  SequenceGenerator kept(model_, ShapeOfGenerate(200, DType::kF32, 2), pool_);
  request_.keep_on_shift.reset();
  const GenerateResult cut = kept.Generate(request_);
  EXPECT_EQ(cut.reason, FinishReason::kContext);
  EXPECT_EQ(cut.ids.size(), 108u);
}

TEST(ShapeOfGenerate, HasNoMoreRowsThanPositions) {
  EXPECT_EQ(ShapeOfGenerate(5, DType::kF32, 1).max_rows, 5);
  EXPECT_EQ(ShapeOfGenerate(100000, DType::kF32, 1).max_rows, RunShape().max_rows);
}

// With one layer a context shift is exact up to rounding: the shifted context predicts the next tokens like a fresh run
// over the remaining tokens.
TEST(ShiftingOneLayer, AgreesWithTheTokensThatStayed) {
  const TempFolder temp;
  ModelConfig config = ReadConfig(kParallel / "config.json");
  config.n_layers = 1;
  std::vector<TinyTensor> tensors = TinyTensors(config);
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.2f);
  for (TinyTensor& tensor : tensors) {
    tensor.values.resize(static_cast<size_t>(tensor.shape.NumElements()));
    for (float& value : tensor.values) value = normal(random);
  }
  WriteTextFileAtomically(temp.path() / "config.json", WriteConfig(config, DType::kF32));
  WriteTinySafetensors(temp.path() / "model.safetensors", tensors);
  const Transformer model = LoadModel(temp.path());
  GenerateRequest request;
  for (int32_t id = 10; id < 30; ++id) request.prompt.push_back(id);
  request.keep_on_shift = 6;
  request.max_new_tokens = 160;
  request.sampling.temperature = 1;  // avoids a repetitive text
  const GenerateResult shifted = Continue(model, request);
  ASSERT_EQ(shifted.shifts, 1);
  std::vector<int32_t> all = request.prompt;
  all.insert(all.end(), shifted.ids.begin(), shifted.ids.end());
  all.erase(all.begin() + 6, all.begin() + 67);
  ThreadPool pool(1);
  const std::vector<double> scores =
      Scorer(model, ShapeOfScore(static_cast<int64_t>(all.size()), DType::kF32, 1), pool).Score(all);
  // Token n of the reply was chosen after the shift from n = 109 on (128 tokens were full with 108 tokens computed);
  // its index among the remaining tokens is 20 + n - 61.
  for (size_t n = 109; n < 160; ++n) {
    ASSERT_TRUE(std::abs(shifted.logprobs[n] - scores[20 + n - 61 - 1]) <= 1e-4) << n;
  }
  // The bound is rounding: angles up to 128 radians are off by 128 * 2^-24 * 3 = 2e-5, which changes an attention score
  // by less than that times |q| |k| / 4, of the order of one here. Before the shift the context was different:
  size_t differ = 0;
  for (size_t n = 48; n < 109; ++n) differ += std::abs(shifted.logprobs[n] - scores[20 + n - 61 - 1]) > 1e-4;
  EXPECT_GT(differ, 40u);
}

}  // namespace
}  // namespace stablelm
