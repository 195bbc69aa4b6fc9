// Lines of a prompt file as requests: precedence of settings, and rejected lines.
#include "generate/batch/line_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_text.h"
#include "generate/batch/prompt_run.h"
#include "prompt/prompt_testing.h"

namespace stablelm {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;
using Ids = std::vector<int32_t>;

class LineRequestsTest : public testing::Test {
 protected:
  LineRequestsTest() {
    config_.vocab_size = 800;
    config_.max_positions = 64;
    defaults_.tuned = true;
    defaults_.record = CardChatRecord();
    defaults_.record_from = kCardRecordFrom;
  }
  LineRequests With(LineOptions options = {}) {
    return LineRequests(std::move(options), config_, &tokenizer_, defaults_);
  }
  GenerateRequest Of(const std::string& line, LineOptions options = {}) {
    return With(std::move(options)).Of(line, 0).request.generate;
  }
  std::string Refusal(const std::string& line, const LineOptions& options = {}) {
    return ErrorText([&] { With(options).Of(line, 0); });
  }
  ModelConfig config_;
  const Tokenizer tokenizer_ = TunedTokenizer();
  ModelDefaults defaults_;
};

TEST_F(LineRequestsTest, ThreeKindsOfPrompts) {
  EXPECT_EQ(Of(R"({"prompt": "What is next?"})").prompt, tokenizer_.Encode("What is next?"));
  EXPECT_EQ(Of(R"({"ids": [5, 6]})").prompt, (Ids{5, 6}));
  LineOptions options;
  options.chat.system = "S";
  const PromptBuilder builder(tokenizer_, PromptTemplate::kStableLmTuned);
  EXPECT_EQ(Of(R"({"messages": [{"role": "user", "content": "Hi"}]})", options).prompt,
            builder.BuildPrompt({System("S"), User("Hi")}).ids);
}

// The line's own seed, else one derived from the run's seed and the line index, also in a resumed run.
TEST_F(LineRequestsTest, SeedsFollowTheIndex) {
  LineOptions options;
  options.seed = 7;
  LineRequests requests = With(options);
  EXPECT_EQ(requests.Of(R"({"ids": [5]})", 3).request.generate.seed, SeedOfPrompt(7, 3));
  EXPECT_EQ(requests.Of(R"({"ids": [5], "seed": 11})", 3).request.generate.seed, 11u);
  requests.SetSeed(8);
  EXPECT_EQ(requests.Of(R"({"ids": [5]})", 3).request.generate.seed, SeedOfPrompt(8, 3));
}

TEST_F(LineRequestsTest, TheLineCountsForMoreThanTheRun) {
  LineOptions options;
  options.generation.settings.values = {{"temperature", 0.25}, {"max_new_tokens", 9}};
  options.generation.stop_ids = {3};
  const GenerateRequest run = Of(R"({"ids": [5]})", options);
  EXPECT_EQ(run.sampling.temperature, 0.25);
  EXPECT_EQ(run.max_new_tokens, 9);
  const GenerateRequest line = Of(R"({"ids": [5], "temperature": 0.5, "max_new_tokens": 2, "stop_id": [4]})", options);
  EXPECT_EQ(line.sampling.temperature, 0.5);
  EXPECT_EQ(line.max_new_tokens, 2);
  EXPECT_THAT(line.stop_ids, Contains(3));
  EXPECT_THAT(line.stop_ids, Contains(4));
  EXPECT_TRUE(Of(R"({"ids": [5], "temperature": 0})", options).sampling.Greedy());
  // A line with a temperature implies sampling, although the run is greedy.
  LineOptions greedy;
  greedy.generation.greedy = true;
  EXPECT_TRUE(Of(R"({"ids": [5]})", greedy).sampling.Greedy());
  EXPECT_EQ(Of(R"({"ids": [5], "temperature": 0.5})", greedy).sampling.temperature, 0.5);
}

TEST_F(LineRequestsTest, ListsOfTheLineTakeThePlaceOfTheRuns) {
  LineOptions options;
  options.top_logprobs = 3;
  options.generation.token_lists = {.bad_words = {{{1}}}, .suppress = {{2}}, .begin_suppress = {{3}}};
  const GenerateRequest run = Of(R"({"ids": [5]})", options);
  EXPECT_EQ(run.top_logprobs, 3);
  EXPECT_EQ(run.sampling.begin_suppress_tokens, Ids{3});
  const GenerateRequest line =
      Of(R"({"ids": [5], "bad_words_ids": [[4]], "suppress_tokens": [6], "begin_suppress_tokens": [7]})", options);
  EXPECT_EQ(line.sampling.bad_words, std::vector<Ids>{{4}});
  EXPECT_EQ(line.sampling.suppress_tokens, Ids{6});
  EXPECT_EQ(line.sampling.begin_suppress_tokens, Ids{7});
}

TEST_F(LineRequestsTest, ConversationsFollowTheContextPolicy) {
  const std::string turn =
      R"({"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four"}, )";
  const std::string line = R"({"messages": [)" + turn + turn + turn + R"({"role": "user", "content": "last"}]})";
  LineOptions options;
  options.chat.no_system = true;
  config_.max_positions = 40;
  EXPECT_THAT(Refusal(line, options), HasSubstr("longer than the model's context"));
  options.context_policy = ContextPolicy::kDropOldestTurns;
  options.reserve = 4;
  const LineRequest request = With(options).Of(line, 0);
  ASSERT_TRUE(request.dropped);
  EXPECT_GE(request.dropped->messages, 2u);
  EXPECT_GT(request.dropped->tokens, 0);
  EXPECT_LE(request.request.generate.prompt.size(), 36u);
  EXPECT_FALSE(With(options).Of(R"({"ids": [5]})", 0).dropped);
}

TEST_F(LineRequestsTest, RefusesWhatTheModelDoesNotHave) {
  EXPECT_THAT(Refusal(R"({"ids": [800]})"), StartsWith("ids: index 0: token id out of range: found 800"));
  EXPECT_THAT(Refusal(R"({"ids": [5], "stop_id": [800]})"), StartsWith("stop_id: token id out of range: found 800"));
  EXPECT_THAT(Refusal(R"({"ids": [5], "top_p": 2})"), StartsWith("top_p: number out of range"));
  EXPECT_THAT(Refusal("{"), Not(testing::IsEmpty()));
  std::string ids = "5";
  for (int64_t i = 1; i < 65; ++i) ids += ",5";
  EXPECT_THAT(Refusal(R"({"ids": [)" + ids + "]}"), StartsWith("ids: longer than the model's context: found 65"));
  // By the number that the message has in the line, before a system message is put before it.
  const std::string answered = R"({"messages": [{"role":"user","content":"a"}, {"role":"assistant","content":"b"}]})";
  EXPECT_THAT(Refusal(answered), StartsWith("messages[1].role"));
  LineRequests without({}, config_, nullptr, {});
  EXPECT_THAT(ErrorText([&] { without.Of(R"({"prompt": "x"})", 0); }),
              StartsWith("prompt: the model has no tokenizer"));
  EXPECT_EQ(without.Of(R"({"ids": [5]})", 0).request.generate.prompt, (Ids{5}));
  EXPECT_THAT(Refusal("{\"prompt\": \"\xFF\"}"), HasSubstr("UTF-8"));
  LineOptions replace;
  replace.replace_invalid = true;
  EXPECT_EQ(Of("{\"prompt\": \"\xFF\"}", replace).prompt, tokenizer_.Encode("\xEF\xBF\xBD"));
}

// Every option that changes the results is in the record, so that a run cannot resume with another value.
TEST_F(LineRequestsTest, ParametersNameEveryOption) {
  const auto change = [&](auto set) {
    LineOptions options;
    set(options);
    return With(options).Parameters() != With().Parameters();
  };
  EXPECT_TRUE(change([](LineOptions& o) { o.generation.settings.values["top_k"] = 3; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.generation.stop_strings = {"x"}; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.generation.logit_bias = {{5, 1}}; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.generation.ignore_eos = true; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.chat.system = "S"; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.chat.no_system = true; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.chat.prompt_template = PromptTemplate::kAlpaca; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.context_policy = ContextPolicy::kShift; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.reserve = 3; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.replace_invalid = true; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.parse_special = true; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.samples = 2; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.top_logprobs = 2; }));
  EXPECT_TRUE(change([](LineOptions& o) { o.prompt_logprobs = true; }));
  EXPECT_FALSE(change([](LineOptions& o) { o.seed = 2; }));  // recorded separately
}

}  // namespace
}  // namespace stablelm
