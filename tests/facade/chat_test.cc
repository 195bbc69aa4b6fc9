// Tests conversations: their prompts, settings, context policies and cancelling.
#include <fstream>
#include <thread>

#include "facade/library_testing.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

class LanguageModelChat : public TunedModel {};

TEST_F(LanguageModelChat, StreamsTheAnswerOfTheRawPrompt) {
  LanguageModel model = Load();
  const ChatSettings settings = {.system = "Be brief.", .generation = {.max_new_tokens = 20, .seed = 5}};
  std::string streamed;
  const std::vector<ChatMessage> conversation = {User("Hi <|USER|>"), Assistant("Yes?"), User("Again")};
  const Generation answer =
      model.Chat(conversation, settings, {.on_text = [&](std::string_view text) { streamed += text; }});
  EXPECT_EQ(streamed, answer.text);
  EXPECT_EQ(answer.dropped_messages, 0);
  EXPECT_EQ(answer.known_tokens, 0);
  // The same prompt written by hand: control tokens are parsed only in the template's parts.
  std::vector<int32_t> prompt;
  const auto add = [&](const char* control, const std::string& text) {
    for (const int32_t id : model.Tokenize(control, true)) prompt.push_back(id);
    for (const int32_t id : model.Tokenize(text)) prompt.push_back(id);
  };
  add("<|SYSTEM|>", "Be brief.");
  add("<|USER|>", "Hi <|USER|>");
  add("<|ASSISTANT|>", "Yes?");
  add("<|USER|>", "Again");
  add("<|ASSISTANT|>", "");
  const Generation raw = model.Generate(prompt, settings.generation);
  EXPECT_EQ(raw.ids, answer.ids);
  EXPECT_EQ(raw.logprobs, answer.logprobs);
  EXPECT_EQ(answer.prompt_tokens, static_cast<int64_t>(prompt.size()));
  // The cache of the first answer does not change a bit.
  const Generation again = model.Chat(conversation, settings);
  EXPECT_EQ(again.logprobs, answer.logprobs);
  EXPECT_EQ(again.known_tokens, answer.prompt_tokens - 1);
  EXPECT_EQ(Load().Chat(conversation, settings).logprobs, answer.logprobs);
}

// Settings of the call override those of the model's files.
TEST_F(LanguageModelChat, SettingsAreThoseOfTheCommands) {
  std::ofstream(folder_ / "stablelm_chat.json")
      << R"({"template": "stablelm-tuned", "system": "S", "generation": {"temperature": 0, "max_new_tokens": 7}})";
  LanguageModel model = Load();
  const std::vector<ChatMessage> hi = {User("Hi")};
  const Generation greedy = model.Chat(hi, {.generation = {.seed = 1, .ignore_end = true}});
  EXPECT_EQ(greedy.ids.size(), 7u);
  EXPECT_EQ(greedy.reason, EndReason::kLength);
  EXPECT_EQ(model.Chat(hi, {.generation = {.seed = 2, .ignore_end = true}}).ids, greedy.ids);
  EXPECT_EQ(model.Chat(hi, {.system = "S", .generation = {.preset = SamplingPreset::kGreedy, .ignore_end = true}}).ids,
            greedy.ids);
  const auto drawn = [&](uint64_t seed, std::vector<std::string> stop = {}) {
    return model.Chat(hi, {.generation = {.preset = SamplingPreset::kSpace,
                                          .max_new_tokens = 30,
                                          .seed = seed,
                                          .stop = std::move(stop),
                                          .ignore_end = true}});
  };
  EXPECT_NE(drawn(1).ids, drawn(2).ids);
  EXPECT_EQ(drawn(1).ids.size(), 30u);
  EXPECT_NE(model.Chat(hi, {.no_system = true, .generation = {.ignore_end = true}}).prompt_tokens,
            greedy.prompt_tokens);
  EXPECT_NE(model.Chat(hi, {.prompt_template = ChatTemplate::kAlpaca, .generation = {.ignore_end = true}}).ids,
            greedy.ids);
  // A stop text taken from an answer ends the answer there.
  const std::string text = drawn(1).text;
  const std::string stop = text.substr(text.size() / 2, 3);
  const Generation stopped = drawn(1, {stop});
  EXPECT_EQ(stopped.reason, EndReason::kStop);
  EXPECT_EQ(stopped.stop, stop);
  EXPECT_EQ(stopped.text, text.substr(0, text.find(stop)));
  EXPECT_GE(model.Chat(hi, {.generation = {.top_k = 1, .min_new_tokens = 3}}).ids.size(), 3u);
}

TEST_F(LanguageModelChat, CancelsFromAnotherThread) {
  LanguageModel model = Load();
  std::stop_source stop;
  std::thread other;
  const ChatSettings settings = {.no_system = true,
                                 .context_policy = OverflowPolicy::kShift,  // never ends by itself
                                 .generation = {.seed = 1, .ignore_end = true, .cancel = stop.get_token()}};
  const Generation cut = model.Chat({User("Hi")}, settings, {.on_text = [&](std::string_view) {
                                      if (!other.joinable()) other = std::thread([&] { stop.request_stop(); });
                                    }});
  other.join();
  EXPECT_EQ(cut.reason, EndReason::kCancelled);
  EXPECT_FALSE(cut.text.empty());
  const Generation none = model.Chat({User("Hi")}, settings);  // cancelled before it started
  EXPECT_EQ(none.reason, EndReason::kCancelled);
  EXPECT_TRUE(none.ids.empty());
}

TEST_F(LanguageModelChat, ContextPolicies) {
  LanguageModel model = Load({.chat_context = 64});
  std::vector<ChatMessage> conversation;
  for (int i = 0; i < 9; ++i) {
    conversation.push_back(User("question " + std::to_string(i)));
    conversation.push_back(Assistant("answer"));
  }
  conversation.push_back(User("last"));
  const auto chat = [&](OverflowPolicy policy, int64_t tokens) {
    return model.Chat(
        conversation,
        {.system = "S",
         .context_policy = policy,
         .generation = {.preset = SamplingPreset::kGreedy, .max_new_tokens = tokens, .ignore_end = true}});
  };
  const Generation dropped = chat(OverflowPolicy::kDropOldestTurns, 5);
  EXPECT_GT(dropped.dropped_messages, 0);
  EXPECT_GT(dropped.dropped_tokens, 0);
  EXPECT_LE(dropped.prompt_tokens, 32);
  EXPECT_EQ(chat(OverflowPolicy::kDropOldestTurns, 100).reason, EndReason::kContext);
  const Generation shifted = chat(OverflowPolicy::kShift, 100);
  EXPECT_EQ(shifted.ids.size(), 100u);
  EXPECT_GT(shifted.shifted_tokens, 0);
  for (const OverflowPolicy policy : {OverflowPolicy::kError, OverflowPolicy::kStop}) {
    const ModelError::Parts parts = PartsOf([&] { chat(policy, 5); });
    EXPECT_EQ(parts.kind, ErrorKind::kPromptTooLong);
    EXPECT_THAT(parts.hint, testing::Not(HasSubstr("--")));   // a library has no flags
    EXPECT_THAT(parts.hint, HasSubstr("the model has 256"));  // a longer one may be asked for
  }
  LanguageModel whole = Load();  // nothing longer is there
  conversation.back().text = std::string(1000, '?');
  const ModelError::Parts parts =
      PartsOf([&] { whole.Chat(conversation, {.context_policy = OverflowPolicy::kError}); });
  EXPECT_EQ(parts.kind, ErrorKind::kPromptTooLong);
  EXPECT_THAT(parts.hint, testing::Not(HasSubstr("the model has")));
}

TEST_F(LanguageModelChat, RefusesWhatMakesNoSense) {
  LanguageModel model = Load();
  const auto refusal = [&](const std::vector<ChatMessage>& conversation, const ChatSettings& settings = {}) {
    return PartsOf([&] { model.Chat(conversation, settings); });
  };
  EXPECT_THAT(refusal({}), IsError(ErrorKind::kUsage, HasSubstr("messages"), testing::_));
  EXPECT_THAT(refusal({Assistant("Hi")}), IsError(ErrorKind::kUsage, "messages[0].role", testing::_));
  EXPECT_THAT(refusal({User("Hi"), Assistant("Yes")}), IsError(ErrorKind::kUsage, HasSubstr("messages"), testing::_));
  EXPECT_THAT(refusal({User("\xFF")}), IsError(ErrorKind::kUsage, HasSubstr("messages[0]"), testing::_));
  EXPECT_THAT(refusal({User("Hi")}, {.no_system = true, .generation = {.stop = {""}}}),
              IsError(ErrorKind::kUsage, "stop", "\"\""));
}

}  // namespace
}  // namespace stablelm
