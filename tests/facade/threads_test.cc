// Tests what stablelm/language_model.h says about threads: all calls at once on one object give the results of calls
// one after the other.
#include <atomic>
#include <stdexcept>
#include <thread>

#include "facade/library_testing.h"

namespace stablelm {
namespace {

class Threads : public TunedModel {};

const GenerationSettings kSettings = {.temperature = 1, .max_new_tokens = 10, .seed = 7, .ignore_end = true};

TEST_F(Threads, AllCallsOfOneObjectAtOnce) {
  LanguageModel model = Load({.threads = 2});
  const std::vector<ChatMessage> one = {User("Hi")}, two = {User("Hello"), Assistant("Yes?"), User("Again")};
  const ChatSettings chat = {.system = "S", .generation = kSettings};
  const std::string text = "Hello, world";
  const std::vector<int32_t> ids = model.Tokenize(text);
  // Each on an object of its own.
  const Generation want_one = Load().Chat(one, chat), want_two = Load().Chat(two, chat),
                   want_text = Load().Generate(text, kSettings);
  const std::vector<double> want_scores = Load().Score(ids).logprobs;

  constexpr int kTimes = 4;
  std::atomic<int> wrong{0};
  const auto require = [&](bool ok) { wrong += ok ? 0 : 1; };
  {
    std::vector<std::jthread> threads;
    const auto run = [&](auto body) {
      threads.emplace_back([body, &require] {
        for (int i = 0; i < kTimes; ++i) {
          try {
            body();
          } catch (...) {
            require(false);
          }
        }
      });
    };
    run([&] { require(model.Chat(one, chat).logprobs == want_one.logprobs); });
    run([&] { require(model.Chat(two, chat).logprobs == want_two.logprobs); });
    run([&] { require(model.Generate(text, kSettings).logprobs == want_text.logprobs); });
    run([&] { require(model.Score(ids).logprobs == want_scores); });
    run([&] { require(model.Tokenize(text) == ids && model.Detokenize(ids) == text); });
    run([&] { require(model.info().vocab_size > 0 && model.Share().Score(ids).logprobs == want_scores); });
    run([&] { require(RequestEngine(model).Generate(text, kSettings).get().logprobs == want_text.logprobs); });
    run([&] { require(LanguageModel::Inspect(folder_.string()).parameters == model.info().parameters); });
  }
  EXPECT_EQ(wrong, 0);
}

// A callback sees that another call waits, and that it is not itself allowed to wait.
TEST_F(Threads, ACallbackMayNotCallTheObjectThatCallsIt) {
  LanguageModel model = Load();
  LanguageModel other = model.Share();
  const Generation want = other.Generate("Hello", kSettings);
  ErrorKind kind = ErrorKind::kOther;
  std::vector<double> of_other;
  const Generation got = model.Generate("Hello", kSettings, {.on_token = [&](const NewToken& token) {
                                          const std::vector<int32_t> ids = {token.id};
                                          model.Detokenize(ids);  // takes no turn
                                          kind = KindOf([&] { model.Score("Hello"); });
                                          if (of_other.empty()) of_other = other.Generate("Hello", kSettings).logprobs;
                                        }});
  EXPECT_EQ(kind, ErrorKind::kUsage);
  EXPECT_EQ(got.logprobs, want.logprobs);
  EXPECT_EQ(of_other, want.logprobs);
  EXPECT_EQ(model.Generate("Hello", kSettings).logprobs, want.logprobs);
}

TEST_F(Threads, SharedObjectsHaveConversationsOfTheirOwn) {
  std::optional<LanguageModel> model = Load({.cache = CacheType::kFp16, .chat_context = 100});
  LanguageModel other = model->Share();
  const ChatSettings chat = {.system = "S", .generation = kSettings};
  const Generation want = model->Chat({User("Hi")}, chat);
  EXPECT_EQ(other.Chat({User("Hi")}, chat).known_tokens, 0);
  model.reset();  // the weights stay
  EXPECT_EQ(other.Chat({User("Hi")}, chat).logprobs, want.logprobs);
  ChatSettings endless = chat;
  endless.generation.max_new_tokens.reset();
  const Generation full = other.Chat({User("Hi")}, endless);
  EXPECT_EQ(full.prompt_tokens + static_cast<int64_t>(full.ids.size()), 100);
}

}  // namespace
}  // namespace stablelm
