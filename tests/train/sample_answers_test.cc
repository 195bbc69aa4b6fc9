// Answers of weights in training: those of the generator, and what counts as a dialogue with itself.
// tests/cli/commands/finetune_watch_test.cc compares them with `generate` on the checkpoint.
#include "train/sample_answers.h"

#include <gmock/gmock.h>

#include "error_info.h"
#include "generate/generator.h"
#include "prompt/prompt_builder.h"
#include "train/train_testing.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(SampleAnswers, SeeRoleLinesAndMarkers) {
  for (const char* text :
       {"User: hello", "It is blue.\nHuman: why?", "a\n\n  assistant: b", "### Instruction:\nx", "**User:** x",
        "**Assistant**: x", "> Human : x", "text <|USER|> text", "<|im_start|>", "yes\r\n\r\nSYSTEM: x"}) {
    EXPECT_TRUE(HoldsRoleLine(text)) << text;
  }
  for (const char* text : {"", "The user: a person.", "Users: many", "Assistants help users.", "User", "a <| b |> c",
                           "<|>", "<||>", "1 <|2|> 3", "Humankind: a history", "user\n: x", "\xFFser: x"}) {
    EXPECT_FALSE(HoldsRoleLine(text)) << text;
  }
}

class SampleAnswersTest : public testing::Test {
 protected:
  static ModelConfig Config() {
    ModelConfig c;
    c.vocab_size = 768;
    c.hidden_size = 32;
    c.n_layers = 2;
    c.n_heads = 2;
    c.intermediate_size = 96;
    c.max_positions = 160;
    c.rotary_dims = 4;
    return c;
  }
  Tokenizer tokenizer_ = Tokenizer::FromFile(TestData("tokenizer/tokenizer.json"), {.model_vocab_size = 768});
  ModelDefaults Chat() const {
    ModelDefaults defaults;
    defaults.tuned = true;
    defaults.record = CardChatRecord();
    defaults.record->system = std::nullopt;
    return defaults;
  }
};

TEST_F(SampleAnswersTest, AreThoseOfTheGeneratorWithAnyNumberOfThreads) {
  const SampleOptions options = {.prompts = {"What is blue?", "Tell me more, please.", "x"}, .max_tokens = 20};
  std::string of_one_thread;
  for (const size_t threads : {size_t{1}, size_t{3}}) {
    ThreadPool pool(threads);
    const auto parameters = RandomParameters(Config(), pool);
    const SampleAnswers samples(options, Config(), tokenizer_, Chat(), 5);
    const SampleRound round = samples.Run(parameters->weights(), pool);
    ASSERT_EQ(round.answers.size(), 3u);
    const PromptBuilder builder(tokenizer_, PromptTemplate::kStableLmTuned);
    const Transformer model(parameters->weights());
    for (const SampleAnswer& answer : round.answers) {
      GenerateRequest request;
      GenerationOptions generation;
      generation.settings.values["max_new_tokens"] = 20;
      PlanGeneration(generation, Config(), &tokenizer_, Chat(), PromptTemplate::kStableLmTuned).Apply(false, request);
      request.prompt = builder.BuildPrompt({{.role = Role::kUser, .text = answer.prompt}}).ids;
      request.seed = 5;
      request.tokenizer = tokenizer_;
      const GenerateResult want =
          Generate(model, request, ShapeOfGenerate(Config(), request, DType::kF32, threads), pool);
      EXPECT_EQ(answer.text, want.text);
      EXPECT_EQ(answer.end, want.reason);
      EXPECT_LE(answer.tokens, 20);
    }
    const std::string json = SamplesJson(round).Dump();
    if (of_one_thread.empty()) of_one_thread = json;
    EXPECT_EQ(json, of_one_thread);
    EXPECT_GT(samples.Bytes(threads), 10000u);
  }
}

TEST_F(SampleAnswersTest, APromptThatDoesNotFitIsNamed) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "w" + std::to_string(i) + " ";
  for (const ModelDefaults& defaults : {Chat(), ModelDefaults()}) {
    EXPECT_THAT(InfoOf([&] {
                  SampleAnswers({.prompts = {"a", text}}, Config(), tokenizer_, defaults, 1);
                }).where,
                HasSubstr("samples.prompts[1]"));
  }
}

TEST_F(SampleAnswersTest, RatesAreSharesOfTheAnswers) {
  SampleRound round;
  round.answers = {{.prompt = "a", .text = "b", .end = FinishReason::kStop, .stopped = true, .tokens = 2},
                   {.prompt = "c", .text = "User: d", .end = FinishReason::kLength, .self_dialogue = true, .tokens = 9},
                   {.prompt = "e", .text = "f", .end = FinishReason::kContext, .tokens = 3},
                   {.prompt = "g", .text = "h", .end = FinishReason::kStop, .stopped = true, .tokens = 2}};
  EXPECT_EQ(round.StopRate(), 0.5);
  EXPECT_EQ(round.SelfDialogueRate(), 0.25);
  EXPECT_EQ(SampleRound().StopRate(), 0);
  round.answers.resize(1);
  EXPECT_EQ(SamplesJson(round).Dump(),
            R"({"event":"samples","stop_rate":1.0,"self_dialogue_rate":0.0,"answers":[)"
            R"({"prompt":"a","answer":"b","end":"stop","tokens":2,"self_dialogue":false}]})");
}

}  // namespace
}  // namespace stablelm
