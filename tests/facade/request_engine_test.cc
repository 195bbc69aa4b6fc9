// Tests many requests at once: the bits of LanguageModel, errors through futures, cancelling, threads.
#include <latch>
#include <stdexcept>
#include <thread>

#include "facade/library_testing.h"
#include "golden_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

void ExpectSame(const Generation& got, const Generation& want) {
  EXPECT_EQ(got.ids, want.ids);
  EXPECT_EQ(got.logprobs, want.logprobs);  // the same bits
  EXPECT_EQ(got.text, want.text);
  EXPECT_EQ(got.reason, want.reason);
  EXPECT_EQ(got.stop_id, want.stop_id);
  EXPECT_EQ(got.stop, want.stop);
  EXPECT_EQ(got.seed, want.seed);
  EXPECT_EQ(got.prompt_tokens, want.prompt_tokens);
  EXPECT_EQ(got.dropped_messages, want.dropped_messages);
  EXPECT_EQ(got.dropped_tokens, want.dropped_tokens);
}

class RequestEngineTest : public TunedModel {};

TEST_F(RequestEngineTest, GivesTheBitsOfTheModelAlone) {
  LanguageModel model = Load({.threads = 2});
  // More requests than run at the same time, and less cache than they want.
  RequestEngine engine(model, {.max_running = 4, .cache_tokens = 320});
  const std::vector<std::string> prompts = {"Hello, world", "Hello, you", "A quite different beginning", "x"};
  const auto settings = [](size_t i) {
    return GenerationSettings{.temperature = 1.2,
                              .top_k = 20,
                              .max_new_tokens = static_cast<int64_t>(5 + 3 * i),
                              .seed = i,
                              .ignore_end = i % 2 == 0,
                              .top_logprobs = 2};
  };
  std::vector<std::future<Generation>> replies;
  std::vector<std::string> streamed(9);
  for (size_t i = 0; i < 9; ++i) {
    replies.push_back(engine.Generate(prompts[i % 4], settings(i),
                                      {.on_text = [&text = streamed[i]](std::string_view piece) { text += piece; }}));
  }
  for (size_t i = 0; i < 9; ++i) {
    const Generation got = replies[i].get(), want = model.Generate(prompts[i % 4], settings(i));
    ExpectSame(got, want);
    EXPECT_EQ(streamed[i], want.text);
    ASSERT_EQ(got.top.size(), want.top.size());
    for (size_t k = 0; k < got.top.size(); ++k) {
      ASSERT_EQ(got.top[k].size(), 2u);
      EXPECT_EQ(got.top[k][1].id, want.top[k][1].id);
      EXPECT_EQ(got.top[k][1].logprob, want.top[k][1].logprob);
    }
  }
  const std::vector<int32_t> ids = model.Tokenize("Hello, world");
  ExpectSame(engine.Generate(ids, settings(0)).get(), model.Generate(ids, settings(0)));
}

TEST_F(RequestEngineTest, ScoresAsTheModelDoes) {
  LanguageModel model = Load();
  RequestEngine engine(model);
  const std::vector<std::string> texts = {"Hello, world", "x", "Hello, you and all the others", "Hello, world"};
  std::vector<std::future<Scores>> got;
  for (size_t i = 0; i < texts.size(); ++i) {
    got.push_back(engine.Score(texts[i], {.top_logprobs = static_cast<int64_t>(i)}));
  }
  std::future<Generation> reply = engine.Generate("Hello", {.max_new_tokens = 9, .seed = 1});  // beside them
  for (size_t i = 0; i < texts.size(); ++i) {
    const Scores have = got[i].get();
    const Scores want = model.Score(texts[i], {.top_logprobs = static_cast<int64_t>(i)});
    EXPECT_EQ(have.logprobs, want.logprobs);
    ASSERT_EQ(have.top.size(), want.top.size());
    for (size_t k = 0; k < have.top.size(); ++k) {
      ASSERT_EQ(have.top[k].size(), i);
      EXPECT_EQ(have.top[k].back().id, want.top[k].back().id);
      EXPECT_EQ(have.top[k].back().logprob, want.top[k].back().logprob);
    }
  }
  EXPECT_EQ(reply.get().logprobs, model.Generate("Hello", {.max_new_tokens = 9, .seed = 1}).logprobs);
  const std::vector<int32_t> most(256, 7), more(257, 7);  // no room for a token
  EXPECT_EQ(engine.Score(most).get().logprobs, model.Score(most).logprobs);
  EXPECT_THAT(PartsOf([&] { engine.Score(more).get(); }), IsError(ErrorKind::kPromptTooLong, "prompt", "257 tokens"));
  EXPECT_THAT(PartsOf([&] { engine.Score("x", {.top_logprobs = -1}).get(); }),
              IsError(ErrorKind::kUsage, "top_logprobs", "-1"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(KindOf([&] { engine.Score("x", {.cancel = stop.get_token()}).get(); }), ErrorKind::kCancelled);
}

TEST_F(RequestEngineTest, ChatsAsTheModelDoes) {
  LanguageModel model = Load({.chat_context = 64});
  RequestEngine engine(model, {.context = 64});
  std::vector<ChatMessage> conversation;
  for (int i = 0; i < 4; ++i) {
    conversation.push_back(User("question " + std::to_string(i)));
    const ChatSettings settings = {.system = "S", .generation = {.max_new_tokens = 8, .seed = 4, .ignore_end = true}};
    const Generation got = engine.Chat(conversation, settings).get(), want = model.Chat(conversation, settings);
    ExpectSame(got, want);
    EXPECT_EQ(got.dropped_messages > 0, i >= 2) << i;
    conversation.push_back(Assistant("answer"));
  }
}

// As Chat of a model with such a chat_context.
TEST_F(RequestEngineTest, EndsAtItsContext) {
  LanguageModel model = Load({.chat_context = 64});
  RequestEngine engine(model, {.context = 64, .cache_tokens = 256});
  const ChatSettings endless = {.no_system = true, .generation = {.seed = 4, .ignore_end = true}};
  const Generation want = model.Chat({User("Hi")}, endless);
  ASSERT_EQ(want.reason, EndReason::kContext);
  ExpectSame(engine.Chat({User("Hi")}, endless).get(), want);
  const std::vector<int32_t> full(64, 1), more(65, 1), most(63, 1);
  const Generation none = engine.Generate(full).get();
  EXPECT_EQ(none.reason, EndReason::kContext);
  EXPECT_TRUE(none.ids.empty());
  EXPECT_EQ(engine.Generate(most, {.max_new_tokens = 1, .ignore_end = true}).get().reason, EndReason::kLength);
  EXPECT_EQ(engine.Generate(most, {.max_new_tokens = 2, .ignore_end = true}).get().reason, EndReason::kContext);
  EXPECT_THAT(PartsOf([&] { engine.Generate(more).get(); }), IsError(ErrorKind::kPromptTooLong, "prompt", "65 tokens"));
}

TEST_F(RequestEngineTest, OutlivesTheModelAndMayBeUsedByItsCallbacks) {
  std::optional<LanguageModel> model = Load();
  RequestEngine engine(*model);
  const GenerationSettings settings = {.max_new_tokens = 5, .seed = 1, .ignore_end = true};
  const Generation want = model->Generate("Hello", settings);
  model.reset();
  std::future<Generation> second;
  const Generation first = engine
                               .Generate("Hello", settings,
                                         {.on_token =
                                              [&](const NewToken&) {
                                                if (!second.valid()) second = engine.Generate("Hello", settings);
                                              }})
                               .get();
  ExpectSame(first, want);
  ExpectSame(second.get(), want);
}

TEST_F(RequestEngineTest, ErrorsComeThroughTheFuture) {
  LanguageModel model = Load();
  RequestEngine engine(model);
  const auto error = [](std::future<Generation> reply) { return PartsOf([&] { reply.get(); }); };
  const std::vector<int32_t> none, outside = {1 << 20}, more(257, 1);
  EXPECT_THAT(error(engine.Generate(none)), IsError(ErrorKind::kUsage, "prompt"));
  EXPECT_THAT(error(engine.Generate(outside)), IsError(ErrorKind::kUsage, "prompt: index 0", "1048576"));
  EXPECT_THAT(error(engine.Generate(more)), IsError(ErrorKind::kPromptTooLong, "prompt", "257 tokens"));
  EXPECT_THAT(error(engine.Generate("x", {.top_p = 2})), IsError(ErrorKind::kUsage, "top_p", "2"));
  EXPECT_THAT(error(engine.Generate("x", {.stop = {""}})), IsError(ErrorKind::kUsage, "stop", "\"\""));
  EXPECT_THAT(error(engine.Generate("\xFF")), IsError(ErrorKind::kUsage, testing::_, testing::_));
  EXPECT_THAT(error(engine.Chat({})), IsError(ErrorKind::kUsage, testing::_, testing::_));
  EXPECT_THAT(error(engine.Chat({User("Hi")}, {.no_system = true, .context_policy = OverflowPolicy::kShift})),
              IsError(ErrorKind::kUsage, HasSubstr("shift")));
  EXPECT_THROW(engine.Generate("x", {}, {.on_text = [](std::string_view) { throw std::out_of_range(""); }}).get(),
               std::out_of_range);
  EXPECT_THROW(engine.Generate("x", {}, {.on_token = [](const NewToken&) { throw 7; }}).get(), int);
  // The others go on.
  EXPECT_EQ(engine.Generate("x", {.max_new_tokens = 3, .ignore_end = true}).get().ids.size(), 3u);
}

TEST_F(RequestEngineTest, CancelsOneOfManyByItsStopToken) {
  LanguageModel model = Load();
  RequestEngine engine(model, {.max_running = 2});
  std::stop_source stop, before;
  before.request_stop();
  const GenerationSettings settings = {.max_new_tokens = 40, .seed = 1, .ignore_end = true};
  GenerationSettings cancelled = settings;
  cancelled.cancel = stop.get_token();
  int tokens = 0;
  std::future<Generation> cut = engine.Generate("Hello", cancelled, {.on_token = [&](const NewToken&) {
                                                  if (++tokens == 3) stop.request_stop();
                                                }});
  std::future<Generation> whole = engine.Generate("Hello", settings);
  cancelled.cancel = before.get_token();
  const Generation none = engine.Generate("Hello", cancelled).get();
  const Generation part = cut.get(), rest = whole.get();
  EXPECT_EQ(none.reason, EndReason::kCancelled);
  EXPECT_TRUE(none.ids.empty());
  EXPECT_EQ(part.reason, EndReason::kCancelled);
  EXPECT_EQ(part.ids, std::vector<int32_t>(rest.ids.begin(), rest.ids.begin() + 3));
  EXPECT_EQ(rest.ids.size(), 40u);
  stop.request_stop();  // of an ended request: nothing
}

TEST_F(RequestEngineTest, DestroyingItCancelsWhatIsUnfinished) {
  LanguageModel model = Load();
  std::latch begun(1);
  std::future<Generation> running, waiting;
  {
    RequestEngine engine(model, {.max_running = 1});
    bool counted = false;
    running = engine.Generate("Hello", {.max_new_tokens = 250, .seed = 1, .ignore_end = true},
                              {.on_token = [&begun, counted](const NewToken&) mutable {
                                if (!counted) begun.count_down();
                                counted = true;
                              }});
    waiting = engine.Generate("Hello, world", {.max_new_tokens = 250, .ignore_end = true});
    begun.wait();
  }
  EXPECT_GE(running.get().ids.size(), 1u);
  EXPECT_EQ(waiting.get().reason, EndReason::kCancelled);
}

TEST_F(RequestEngineTest, AnyThreadMaySubmit) {
  LanguageModel model = Load({.threads = 2});
  RequestEngine engine(model, {.max_running = 3});
  const auto settings = [](size_t i) {
    return GenerationSettings{.temperature = 1, .max_new_tokens = 12, .seed = i, .ignore_end = true};
  };
  std::vector<Generation> got(8);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < got.size(); ++i) {
      threads.emplace_back([&, i] { got[i] = engine.Generate("Hello, world", settings(i)).get(); });
    }
  }
  for (size_t i = 0; i < got.size(); ++i) ExpectSame(got[i], model.Generate("Hello, world", settings(i)));
}

TEST(RequestEngine, ChecksItsSettings) {
  const LanguageModel model = LanguageModel::Load(kParallel.string());
  const auto refused = [&](const RequestEngineSettings& settings) {
    return PartsOf([&] { RequestEngine engine(model, settings); });
  };
  EXPECT_THAT(refused({.max_running = 0}), IsError(ErrorKind::kUsage, "RequestEngineSettings::max_running", "0"));
  EXPECT_THAT(refused({.context = 129}), IsError(ErrorKind::kUsage, "RequestEngineSettings::context", "129"));
  EXPECT_THAT(refused({.context = 100, .cache_tokens = 99}),
              IsError(ErrorKind::kUsage, "RequestEngineSettings::cache_tokens", "99"));
  EXPECT_EQ(refused({.cache_tokens = int64_t{1} << 40}).kind, ErrorKind::kOutOfMemory);
}

}  // namespace
}  // namespace stablelm
