// The public class: the reference's results, and that it agrees with itself.
#include <gmock/gmock.h>
#include <stablelm/stablelm.h>

#include <cmath>
#include <fstream>

#include "model/model_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

const std::filesystem::path kParallel = STABLELM_TEST_DATA "/golden/parallel";

std::string ErrorOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

TEST(LanguageModel, GivesTheReferencesResults) {
  const SafetensorsFile expected(kParallel / "expected.safetensors");
  const LanguageModel model = LanguageModel::Load(kParallel.string(), {.threads = 2});
  EXPECT_EQ(model.vocab_size(), 512);
  EXPECT_EQ(model.context_length(), 128);
  const std::vector<int32_t> ids = Ids(expected, "tokens"), greedy = Ids(expected, "greedy");
  std::vector<int32_t> streamed;
  const Generation got = model.Generate(ids, {.max_new_tokens = 40, .ignore_end = true}, [&](const NewToken& token) {
    streamed.push_back(token.id);
    return true;
  });
  EXPECT_EQ(got.ids, greedy);
  EXPECT_EQ(streamed, greedy);
  EXPECT_EQ(got.reason, EndReason::kLength);
  const std::vector<float> want = Floats(expected, "token_logprobs");
  const std::vector<double> scores = model.Score(ids);
  ASSERT_EQ(scores.size(), ids.size() - 1);
  for (size_t i = 0; i < scores.size(); ++i) ASSERT_TRUE(std::abs(scores[i] - static_cast<double>(want[i])) <= 2e-5);
}

TEST(LanguageModel, TextInTextOut) {
  const TempFolder temp;
  const auto folder = temp.path() / "model";
  std::filesystem::copy(STABLELM_TEST_DATA "/golden/head128_fp16", folder);
  std::filesystem::copy_file(STABLELM_TEST_DATA "/tokenizer/tokenizer.json", folder / "tokenizer.json");
  const LanguageModel model = LanguageModel::Load(folder.string());
  ASSERT_TRUE(model.has_tokenizer());
  const std::vector<int32_t> prompt = model.Tokenize("Hello, world");
  EXPECT_EQ(model.Detokenize(prompt), "Hello, world");
  EXPECT_NE(model.Tokenize("<|USER|>"), model.Tokenize("<|USER|>", true));
  const GenerationSettings settings = {.max_new_tokens = 60, .temperature = 1.5, .seed = 3, .ignore_end = true};
  const Generation first = model.Generate(prompt, settings);
  EXPECT_EQ(first.text, model.Detokenize(first.ids));
  EXPECT_EQ(model.Generate(prompt, settings).ids, first.ids);
  size_t tokens = 0;
  const Generation cut = model.Generate(prompt, settings, [&](const NewToken&) { return ++tokens < 5; });
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_EQ(cut.ids, std::vector<int32_t>(first.ids.begin(), first.ids.begin() + 5));
}

// config.json names id 0; what generation_config.json names ends a text as well.
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
}

TEST(LanguageModel, FailuresAreExceptionsWithWords) {
  EXPECT_THAT(ErrorOf([] { LanguageModel::Load("no/such/folder"); }), testing::HasSubstr("no/such/folder"));
  const LanguageModel model = LanguageModel::Load(kParallel.string());
  EXPECT_FALSE(model.has_tokenizer());
  const std::vector<int32_t> none, one = {1}, outside = {512};
  EXPECT_THAT(ErrorOf([&] { model.Tokenize("x"); }), testing::HasSubstr("tokenizer.json is missing"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(none); }), testing::HasSubstr("empty"));
  EXPECT_THAT(ErrorOf([&] { model.Score(outside); }), testing::HasSubstr("found 512"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.top_p = 2}); }), testing::HasSubstr("top_p"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.max_new_tokens = 0}); }), testing::HasSubstr("max_new_tokens"));
  EXPECT_THAT(ErrorOf([&] { model.Generate(one, {.temperature = std::nan("")}); }), testing::HasSubstr("temperature"));
}

}  // namespace
}  // namespace stablelm
