// Tests the calls on ids and text against the reference and the floors below, to the bit.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <system_error>

#include "base/system.h"
#include "checkpoint/rewrite/quantize_on_load.h"
#include "checkpoint/tiny_model.h"
#include "facade/library_testing.h"
#include "facade/translate.h"
#include "generate/generator.h"
#include "generate/scoring.h"
#include "golden_paths.h"
#include "model/kv_cache.h"
#include "model/model_testing.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

std::vector<double> ScoresOf(const Transformer& model, const std::vector<int32_t>& ids, DType cache) {
  ThreadPool pool(1);
  return Scorer(model, ShapeOfScore(static_cast<int64_t>(ids.size()), cache, 1), pool).Score(ids);
}

TEST(LanguageModel, GivesTheReferencesResults) {
  const SafetensorsFile expected(kParallel / "expected.safetensors");
  LanguageModel model = LanguageModel::Load(kParallel.string(), {.threads = 2});
  const std::vector<int32_t> ids = Ids(expected, "tokens"), greedy = Ids(expected, "greedy");
  std::vector<int32_t> streamed;
  const Generation got = model.Generate(ids, {.max_new_tokens = 40, .ignore_end = true},
                                        {.on_token = [&](const NewToken& token) { streamed.push_back(token.id); }});
  EXPECT_EQ(got.ids, greedy);
  EXPECT_EQ(streamed, greedy);
  EXPECT_EQ(got.reason, EndReason::kLength);
  const std::vector<float> want = Floats(expected, "token_logprobs");
  const std::vector<double> scores = model.Score(ids).logprobs;
  ASSERT_EQ(scores.size(), ids.size() - 1);
  for (size_t i = 0; i < scores.size(); ++i) ASSERT_TRUE(std::abs(scores[i] - static_cast<double>(want[i])) <= 2e-5);
}

TEST(LanguageModel, ComputesFastWhenAsked) {
  const std::vector<int32_t> ids = Ids(SafetensorsFile(kParallel / "expected.safetensors"), "tokens");
  LanguageModel model = LanguageModel::Load(kParallel.string(), {.threads = 2, .compute = ComputeMode::kFast});
  const std::vector<double> scores = model.Score(ids).logprobs;
  // The same model on the floor below: the same bits, whatever the chunks and threads.
  const Transformer fast(LoadWeights(ModelFolder::Open(kParallel.string()), {.compute = Compute::kFast}));
  EXPECT_EQ(scores, ScoresOf(fast, ids, DType::kF32));
  EXPECT_NE(scores, ScoresOf(LoadModel(kParallel), ids, DType::kF32));
}

TEST(LanguageModel, LoadsEveryTypeOfWeights) {
  const std::vector<int32_t> ids = Ids(SafetensorsFile(kParallel / "expected.safetensors"), "tokens");
  const auto folder = ModelFolder::Open(kParallel.string());
  const auto below = [&](const LoadOptions& options) {
    return ScoresOf(Transformer(LoadWeights(folder, options)), ids, DType::kF32);
  };
  const auto here = [&](WeightType type) {
    return LanguageModel::Load(kParallel.string(), {.weights = type}).Score(ids).logprobs;
  };
  EXPECT_EQ(here(WeightType::kStored), below({}));
  EXPECT_EQ(here(WeightType::kFp32), below({.dtype = DType::kF32}));
  EXPECT_EQ(here(WeightType::kFp16), below({.dtype = DType::kF16}));
  EXPECT_EQ(here(WeightType::kBf16), below({.dtype = DType::kBF16}));
  std::set<std::string> mixes;  // every mix of `quantize` has its type here
  for (int i = static_cast<int>(WeightType::kQ8_0); i <= static_cast<int>(WeightType::kQ4_0); ++i) {
    const auto type = static_cast<WeightType>(i);
    mixes.insert(NameOf(type));
    if (type != WeightType::kQ8_0 && type != WeightType::kQ4_K_M) continue;
    std::vector<std::string> warnings;
    const QuantMix& mix = QuantMixByName(NameOf(type), "test");
    EXPECT_EQ(here(type), below({.types = TypesForLoading(*folder, mix, &warnings)})) << NameOf(type);
    EXPECT_THAT(LanguageModel::Load(kParallel.string(), {.weights = type}).info().warnings,
                testing::IsSupersetOf(warnings));
  }
  for (const QuantMix& mix : QuantMixes()) {
    if (IsQuantized(mix.base)) {
      EXPECT_EQ(mixes.count(std::string(mix.name)), 1u) << mix.name;
    }
  }
}

TEST(LanguageModel, CachesOfFewerBits) {
  // The bits of the floor below with such a cache; every type has others.
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5, 6, 7, 8};
  const Transformer below = LoadModel(kParallel);
  std::set<std::vector<double>> seen;
  for (const auto& [type, stored] : {std::pair{CacheType::kFp32, DType::kF32}, std::pair{CacheType::kFp16, DType::kF16},
                                     std::pair{CacheType::kQ8, DType::kI8}}) {
    LanguageModel model = LanguageModel::Load(kParallel.string(), {.cache = type});
    EXPECT_EQ(model.Score(prompt).logprobs, ScoresOf(below, prompt, stored));
    const Generation reply = model.Generate(prompt, {.temperature = 0, .max_new_tokens = 3, .ignore_end = true});
    ASSERT_EQ(reply.ids.size(), 3u);
    std::vector<int32_t> whole = prompt;
    whole.insert(whole.end(), reply.ids.begin(), reply.ids.end());
    const std::vector<double> scores = ScoresOf(below, whole, stored);
    EXPECT_EQ(reply.logprobs, std::vector<double>(scores.end() - 3, scores.end()));
    EXPECT_TRUE(seen.insert(reply.logprobs).second);
  }
}

// The alternatives to the tokens of a reply are those that Score lists for the same tokens.
TEST(LanguageModel, ListsAlternatives) {
  LanguageModel model = LanguageModel::Load(kParallel.string());
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5};
  std::vector<std::vector<int32_t>> streamed;
  const Generation reply = model.Generate(prompt, {.max_new_tokens = 4, .ignore_end = true, .top_logprobs = 3},
                                          {.on_token = [&](const NewToken& token) {
                                            streamed.emplace_back();
                                            for (const Alternative& one : token.alternatives)
                                              streamed.back().push_back(one.id);
                                          }});
  std::vector<int32_t> whole = prompt;
  whole.insert(whole.end(), reply.ids.begin(), reply.ids.end());
  const Scores scores = model.Score(whole, {.top_logprobs = 3});
  ASSERT_EQ(scores.logprobs.size(), whole.size() - 1);
  ASSERT_EQ(scores.top.size(), whole.size() - 1);
  EXPECT_EQ(scores.logprobs, model.Score(whole).logprobs);
  ASSERT_EQ(reply.top.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const std::vector<Alternative>& of_reply = reply.top[i];
    const std::vector<Alternative>& of_score = scores.top[prompt.size() - 1 + i];
    ASSERT_EQ(of_reply.size(), 3u);
    ASSERT_EQ(of_score.size(), 3u);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(of_reply[k].id, of_score[k].id);
      EXPECT_EQ(of_reply[k].logprob, of_score[k].logprob);
      EXPECT_EQ(streamed[i][k], of_reply[k].id);
    }
    EXPECT_EQ(of_reply[0].id, reply.ids[i]);  // greedy
    EXPECT_EQ(of_reply[0].logprob, reply.logprobs[i]);
    EXPECT_GE(of_reply[0].logprob, of_reply[1].logprob);
  }
  for (const int64_t wrong : {-1, 513}) {
    const std::string found = std::to_string(wrong);
    EXPECT_THAT(PartsOf([&] { model.Generate(prompt, {.top_logprobs = wrong}); }),
                IsError(ErrorKind::kUsage, "top_logprobs", found));
    EXPECT_THAT(PartsOf([&] { model.Score(prompt, {.top_logprobs = wrong}); }),
                IsError(ErrorKind::kUsage, "top_logprobs", found));
  }
}

TEST(LanguageModel, BiasesAndBansTokens) {
  LanguageModel model = LanguageModel::Load(kParallel.string());
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5};
  const auto first = [&](GenerationSettings settings) {
    settings.max_new_tokens = 1;
    settings.ignore_end = true;
    return model.Generate(prompt, settings).ids[0];
  };
  const int32_t best = first({});
  const int32_t other = best == 7 ? 8 : 7;
  EXPECT_EQ(first({.logit_bias = {{.id = other, .bias = 1000}}}), other);
  EXPECT_NE(first({.logit_bias = {{.id = best, .bias = -INFINITY}}}), best);
  EXPECT_NE(first({.suppress_tokens = {{best}}}), best);
  EXPECT_NE(first({.begin_suppress_tokens = {{best}}}), best);
  EXPECT_NE(first({.bad_words_ids = {{{best}}}}), best);
  EXPECT_THAT(PartsOf([&] { first({.logit_bias = {{.id = 512, .bias = 1}}}); }),
              IsError(ErrorKind::kUsage, HasSubstr("logit_bias"), HasSubstr("512")));
}

// Each field arrives as the setting of its name, and there is one for each.
TEST(LanguageModel, EverySettingHasAField) {
  std::vector<std::string> names;
  for (const SettingField& one : SettingFields()) {
    names.emplace_back(one.name);
    GenerationSettings settings;
    std::visit([&](const auto& field) { settings.*field = 1; }, one.field);
    const SettingValues values = OptionsOf(settings).settings.values;
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values.begin()->first, one.name);
    EXPECT_EQ(values.begin()->second, 1);
  }
  EXPECT_EQ(names, SettingNames());
}

class LanguageModelText : public TunedModel {};

TEST_F(LanguageModelText, TextInTextOut) {
  LanguageModel model = Load();
  const std::vector<int32_t> prompt = model.Tokenize("Hello, world");
  EXPECT_EQ(model.Detokenize(prompt), "Hello, world");
  EXPECT_NE(model.Tokenize("<|USER|>"), model.Tokenize("<|USER|>", true));
  GenerationSettings settings = {.temperature = 1.5, .max_new_tokens = 60, .seed = 3, .ignore_end = true};
  std::string streamed;
  const Generation first =
      model.Generate("Hello, world", settings, {.on_text = [&](std::string_view text) { streamed += text; }});
  EXPECT_EQ(first.text, model.Detokenize(first.ids));
  EXPECT_EQ(streamed, first.text);
  EXPECT_EQ(first.prompt_tokens, static_cast<int64_t>(prompt.size()));
  const Generation by_ids = model.Generate(prompt, settings);
  EXPECT_EQ(by_ids.ids, first.ids);
  EXPECT_EQ(by_ids.logprobs, first.logprobs);
  EXPECT_EQ(model.Score("Hello, world").logprobs, model.Score(prompt).logprobs);
  settings.sample = 1;
  EXPECT_NE(model.Generate(prompt, settings).ids, first.ids);
}

TEST_F(LanguageModelText, CallbacksCancelByTheStopTokenAlone) {
  LanguageModel model = Load();
  std::stop_source stop;
  int pieces = 0;
  const Generation cut =
      model.Generate("Hello, world", {.temperature = 1.5, .seed = 3, .ignore_end = true, .cancel = stop.get_token()},
                     {.on_text = [&](std::string_view) {
                       if (++pieces == 3) stop.request_stop();
                     }});
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(KindOf([&] { model.Score("Hello, world", {.cancel = stop.get_token()}); }), ErrorKind::kCancelled);
  const Generation late = model.Generate("Hello, world", {.max_time_s = 1e-9, .ignore_end = true});
  EXPECT_EQ(late.reason, EndReason::kTime);
  EXPECT_EQ(late.ids.size(), 1u);
}

TEST_F(LanguageModelText, ExceptionsOfCallbacksPassThrough) {
  LanguageModel model = Load();
  const auto generate = [&](const GenerationCallbacks& callbacks) {
    return model.Generate("Hello, world", {.max_new_tokens = 5, .seed = 1, .ignore_end = true}, callbacks);
  };
  const Generation whole = generate({});
  EXPECT_THROW(generate({.on_token = [](const NewToken&) { throw std::out_of_range("mine"); }}), std::out_of_range);
  EXPECT_THROW(generate({.on_token = [](const NewToken&) { throw 7; }}), int);
  // Also those that the library would turn if they were its own.
  EXPECT_THROW(generate({.on_text = [](std::string_view) { throw std::bad_alloc(); }}), std::bad_alloc);
  EXPECT_THROW(generate({.on_text = [](std::string_view) { throw std::system_error(std::error_code()); }}),
               std::system_error);
  EXPECT_EQ(generate({}).logprobs, whole.logprobs);  // usable as before
}

TEST_F(LanguageModelText, ASeedIsDrawnWhenNoneIsGiven) {
  LanguageModel model = Load();
  const Generation one = model.Generate("Hello, world", {.temperature = 1, .max_new_tokens = 1}),
                   two = model.Generate("Hello, world", {.temperature = 1, .max_new_tokens = 1});
  EXPECT_NE(one.seed, two.seed);
  EXPECT_EQ(model.Generate("Hello, world", {.temperature = 1, .max_new_tokens = 1, .seed = one.seed}).ids, one.ids);
}

// config.json names id 0; the id in generation_config.json also ends a text.
TEST(LanguageModel, EndsWhereAnyOfItsFilesSays) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  std::filesystem::copy(kParallel, folder);
  const std::vector<int32_t> prompt = {1, 2, 3};
  const Generation free =
      LanguageModel::Load(folder.string()).Generate(prompt, {.max_new_tokens = 3, .ignore_end = true});
  std::ofstream(folder / "generation_config.json") << "{\"eos_token_id\": " << free.ids[2] << "}";
  const Generation ended = LanguageModel::Load(folder.string()).Generate(prompt);
  EXPECT_EQ(ended.ids, free.ids);
  EXPECT_EQ(ended.reason, EndReason::kStop);
  EXPECT_EQ(ended.stop_id, free.ids[2]);
}

// Weights of a few MB whose keys and values need twice the memory of this machine when the context is full.
TEST(LanguageModel, RefusesACallThatDoesNotFitIntoMemory) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  ModelConfig config = TinyConfig();
  config.vocab_size = 1000;
  config.hidden_size = 128;
  config.n_heads = 1;
  config.rotary_share = 1.0 / 64;
  config.max_positions = kMaxPositions;
  const int64_t pages = KvCache::PagesFor(kMaxPositions);
  config.n_layers = 1;
  const uint64_t one_layer = static_cast<uint64_t>(pages) * KvCache::BytesPerPage(config, DType::kF32);
  const uint64_t layers = AvailableMemory().bytes / one_layer * 2 + 2;
  if (layers > static_cast<uint64_t>(kMaxLayers)) GTEST_SKIP() << "too much memory for a small model to fill";
  config.n_layers = static_cast<int64_t>(layers);
  WriteTinyModel(folder, config);
  std::filesystem::copy_file(TestData("tokenizer/tokenizer.json"), folder / "tokenizer.json");
  LanguageModel model = LanguageModel::Load(folder.string(), {.threads = 1});
  const std::vector<int32_t> all(static_cast<size_t>(kMaxPositions), 1), one = {1};
  const auto no_room = IsError(ErrorKind::kOutOfMemory, "memory", testing::_);
  EXPECT_THAT(PartsOf([&] { model.Score(all); }), no_room);
  EXPECT_THAT(PartsOf([&] { model.Generate(one, {.max_new_tokens = kMaxPositions - 1}); }), no_room);
  EXPECT_THAT(PartsOf([&] { model.Chat({{.text = "Hi"}}); }), no_room);
  EXPECT_EQ(model.Generate(one, {.temperature = 0, .max_new_tokens = 2, .ignore_end = true}).ids.size(), 2u);
}

TEST(LanguageModel, RefusesWhatMakesNoSense) {
  LanguageModel model = LanguageModel::Load(kParallel.string());
  const std::vector<int32_t> none, one = {1}, outside = {512};
  const auto refused = [&](const GenerationSettings& settings) {
    return PartsOf([&] { model.Generate(one, settings); });
  };
  EXPECT_THAT(PartsOf([&] { model.Tokenize("x"); }), IsError(ErrorKind::kUsage, HasSubstr("parallel")));
  EXPECT_THAT(PartsOf([&] { model.Generate("x"); }), IsError(ErrorKind::kUsage, HasSubstr("parallel")));
  EXPECT_THAT(PartsOf([&] { model.Chat({{.text = "Hi"}}); }), IsError(ErrorKind::kUsage, HasSubstr("parallel")));
  EXPECT_THAT(PartsOf([&] { model.Generate(none); }), IsError(ErrorKind::kUsage, "prompt"));
  EXPECT_THAT(PartsOf([&] { model.Score(outside); }), IsError(ErrorKind::kUsage, "ids: index 0", "512"));
  EXPECT_THAT(refused({.stop_ids = {512}}), IsError(ErrorKind::kUsage, "`stop_ids`", "512"));
  EXPECT_THAT(refused({.top_p = 2}), IsError(ErrorKind::kUsage, "top_p", "2"));
  EXPECT_THAT(refused({.max_new_tokens = 0}), IsError(ErrorKind::kUsage, "max_new_tokens", "0"));
  EXPECT_THAT(refused({.top_k = INT64_MAX}), IsError(ErrorKind::kUsage, "top_k", testing::_));
  EXPECT_THAT(refused({.temperature = std::nan("")}), IsError(ErrorKind::kUsage, "temperature", "nan"));
  EXPECT_THAT(refused({.stop = {"x"}}), IsError(ErrorKind::kUsage, "stop"));
  EXPECT_THAT(refused({.max_time_s = -1.0}), IsError(ErrorKind::kUsage, "max_time", testing::_));
}

TEST(LanguageModel, SaysThatAPromptIsTooLong) {
  LanguageModel model = LanguageModel::Load(kParallel.string());
  const std::vector<int32_t> most(128, 1), more(129, 1);
  EXPECT_EQ(model.Score(most).logprobs.size(), 127u);
  EXPECT_THAT(PartsOf([&] { model.Generate(more); }), IsError(ErrorKind::kPromptTooLong, "prompt", "129 tokens"));
  EXPECT_THAT(PartsOf([&] { model.Score(more); }), IsError(ErrorKind::kPromptTooLong, "ids", "129 tokens"));
}

}  // namespace
}  // namespace stablelm
