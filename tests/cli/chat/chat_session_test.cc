// The conversation of a chat: what the model is asked, replies that go on, fail or do not fit.
#include "cli/chat/chat_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/chat/chat_testing.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(Chat, KeepsTheConversationAndAsksWithAllOfIt) {
  ChatSession session = Session();
  EXPECT_TRUE(session.Handle("Hi"));
  EXPECT_TRUE(session.Handle("More <|USER|>"));
  EXPECT_EQ(Texts(session), "S|Hi|A1|More <|USER|>|A2");
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].prompt, Prompt({System("S"), User("Hi")}));
  EXPECT_EQ(requests[1].prompt, Prompt({System("S"), User("Hi"), Assistant("A1"), User("More <|USER|>")}));
  EXPECT_EQ(screen.text, "A1A2");
  // All replies use the chat's seed and consecutive sample numbers, with the model card's settings and stop tokens.
  EXPECT_EQ(requests[1].seed, 7u);
  EXPECT_EQ(requests[0].sample, 0u);
  EXPECT_EQ(requests[1].sample, 1u);
  EXPECT_EQ(requests[1].sampling.temperature, 0.7);
  EXPECT_EQ(requests[1].sampling.top_k, 50);
  EXPECT_THAT(requests[1].stop_ids, ElementsAre(0, 1, 723, 724, 725));
  EXPECT_EQ(requests[1].known_ids, 726);
  EXPECT_FALSE(session.failed());
}

TEST_F(Chat, ContinuesAReplyThatWasCut) {
  ChatSession session = Session();
  session.Handle("/continue");
  EXPECT_THAT(screen.errors.back(), HasSubstr("there is no reply to continue"));
  session.Handle("one");
  session.Handle("/continue");
  EXPECT_THAT(screen.errors.back(), HasSubstr("the last reply is complete"));
  answers = {"A1", "half ", "a loaf", " of bread"};
  reason = FinishReason::kLength;
  session.Handle("two");
  EXPECT_THAT(screen.note, HasSubstr("/continue goes on"));
  session.Handle("/continue");
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a loaf");
  std::vector<int32_t> begun = requests[1].prompt;
  const std::vector<int32_t> half = TunedTokenizer().Encode("half ");
  begun.insert(begun.end(), half.begin(), half.end());
  EXPECT_EQ(requests[2].prompt, begun);
  EXPECT_EQ(requests[2].sample, requests[1].sample);  // what would have come without the cut
  reason = FinishReason::kCancelled;
  session.Handle("/continue");
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a loaf of bread");
  fails = true;
  session.Handle("/continue");
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a loaf of bread");
  fails = false;
  session.Handle("/undo");
  EXPECT_EQ(Texts(session), "S|one|A1");
}

// The reserve is for a new reply: one that was cut goes on as long as anything of the context is left.
TEST_F(Chat, ContinuesUntilTheContextIsFull) {
  const auto tokens = [](const std::string& text) { return TunedTokenizer().Encode(text).size(); };
  // An answer that leaves `left` tokens of the context after the question "Hi".
  const auto leaving = [&](size_t left) {
    const size_t want = 64 - left - Prompt({System("S"), User("Hi")}).size();
    std::string text;
    while (tokens(text) < want) text += text.empty() ? "x" : "\nx";
    while (tokens(text) > want) text.pop_back();
    return text;
  };
  ASSERT_EQ(tokens(leaving(3)) + Prompt({System("S"), User("Hi")}).size(), 61u);
  answers = {leaving(3), "yz", "w"};
  reason = FinishReason::kLength;
  {
    ChatSession session = Session();
    session.Handle("Hi");
    EXPECT_THAT(screen.note, HasSubstr("/continue goes on"));
    session.Handle("/continue");
    EXPECT_THAT(screen.errors, IsEmpty());
    ASSERT_EQ(requests.size(), 2u);
    EXPECT_EQ(requests[1].prompt.size(), 61u);
    EXPECT_TRUE(std::equal(requests[0].prompt.begin(), requests[0].prompt.end(), requests[1].prompt.begin()));
  }
  requests.clear();
  answers = {leaving(0), "yz", "w"};
  ChatSession session = Session();
  session.Handle("Hi");
  EXPECT_THAT(screen.note, AllOf(HasSubstr("the context is full"), testing::Not(HasSubstr("/continue"))));
  session.Handle("/continue");
  EXPECT_THAT(screen.errors.back(), AllOf(testing::StartsWith("/continue: the context is full"), HasSubstr("64 tokens"),
                                          HasSubstr("/set context_policy shift lets it go on")));
  ASSERT_EQ(requests.size(), 1u);
  session.Handle("/set context_policy shift");
  session.Handle("/continue");
  session.Handle("/continue");  // what shifts dropped stays dropped
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[1].prompt.size(), 64u);
  EXPECT_LE(requests[2].prompt.size(), 64u);
  EXPECT_TRUE(std::equal(requests[2].prompt.begin(), requests[2].prompt.begin() + 4, requests[0].prompt.begin()));
  EXPECT_EQ(requests[2].prompt.back(), TunedTokenizer().Encode("yz").back());
  EXPECT_THAT(screen.warnings, ElementsAre(HasSubstr("tokens behind the first 4 are dropped")));
}

TEST_F(Chat, OlderTurnsMakeRoomForAReplyToGoOn) {
  ChatSession session = Session();
  session.Handle("one");
  reason = FinishReason::kLength;
  answers = {"A1", "", "more"};
  while (Prompt({System("S"), User("one"), Assistant("A1"), User("two")}).size() +
             TunedTokenizer().Encode(answers[1]).size() <
         64) {
    answers[1] += answers[1].empty() ? "x" : "\nx";
  }
  session.Handle("two");
  EXPECT_TRUE(screen.warnings.empty());
  session.Handle("/continue");
  EXPECT_THAT(screen.errors, IsEmpty());
  ASSERT_EQ(requests.size(), 3u);
  std::vector<int32_t> begun = Prompt({System("S"), User("two")});
  const std::vector<int32_t> reply = TunedTokenizer().Encode(answers[1]);
  begun.insert(begun.end(), reply.begin(), reply.end());
  EXPECT_EQ(requests[2].prompt, begun);
  EXPECT_THAT(screen.warnings, ElementsAre(HasSubstr("no longer sees the oldest 2 messages")));
}

TEST_F(Chat, ShowsTheLastTurnsToAPerson) {
  const std::string file = (temp_.path() / "chat.json").string();
  ChatSession session = Session();
  for (const char* message : {"one", "two", "three"}) session.Handle(message);
  session.Handle("/save " + file);
  screen.text.clear();
  session.Handle("/load " + file);
  EXPECT_EQ(screen.text, "");  // through a pipe a program reads
  screen.input_line = true;
  session.Handle("/load " + file);
  EXPECT_EQ(screen.text, "/history:\nuser: two\nassistant: A2\nuser: three\nassistant: A3\n");
  EXPECT_THAT(screen.notes.back(), HasSubstr("the last 4 of 6 messages; /history shows all"));
  screen.text.clear();
  session.Handle("/history");
  EXPECT_THAT(screen.text, testing::StartsWith("/history:\nuser: one\nassistant: A1\n"));
}

TEST_F(Chat, KeepsWhatCameBeforeItWasStopped) {
  ChatSession session = Session();
  session.Handle("one");
  reason = FinishReason::kCancelled;
  answers = {"", "half a", "", ""};
  session.Handle("two");
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a");
  EXPECT_THAT(screen.note, HasSubstr("kept"));
  session.Handle("three");  // no reply: the question is removed
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a");
  EXPECT_THAT(screen.note, HasSubstr("taken back"));
  session.Handle("/regen");
  EXPECT_EQ(Texts(session), "S|one|A1|two|half a");
  reason = FinishReason::kStop;  // an empty reply counts as a reply
  answers.clear();
  answers.assign(9, "");
  session.Handle("four");
  EXPECT_EQ(session.WholeConversation().back(), Assistant(""));
  EXPECT_THAT(screen.note, HasSubstr("empty"));
}

TEST_F(Chat, AFailedReplyLeavesTheConversation) {
  ChatSession session = Session();
  session.Handle("one");
  fails = true;
  EXPECT_TRUE(session.Handle("two"));
  EXPECT_EQ(Texts(session), "S|one|A1");
  EXPECT_TRUE(session.Handle("\xFF"));  // not UTF-8
  EXPECT_EQ(Texts(session), "S|one|A1");
  EXPECT_THAT(screen.errors, ElementsAre(HasSubstr("broken"), HasSubstr("not UTF-8")));
  EXPECT_EQ(screen.abandoned, 1);
  fails = false;
  session.Handle("three");
  EXPECT_EQ(Texts(session), "S|one|A1|three|A3");
}

TEST_F(Chat, DropsOldTurnsAndSaysSo) {
  ChatSession session = Session();
  for (int i = 0; i < 8; ++i) session.Handle("a question of some length");
  EXPECT_GT(screen.dropped, 0u);
  ASSERT_FALSE(screen.warnings.empty());
  EXPECT_THAT(screen.warnings[0], HasSubstr("no longer sees the oldest 2 messages"));
  EXPECT_EQ(session.WholeConversation().size(), 17u);  // /save still has every message
  for (const GenerateRequest& request : requests) EXPECT_LE(request.prompt.size(), 56u);
  session.Handle(std::string(400, 'x'));
  EXPECT_THAT(screen.errors, ElementsAre(HasSubstr("the last turn alone is longer")));
  EXPECT_EQ(session.WholeConversation().size(), 17u);
  session.Handle("/set context-policy error");
  session.Handle("more");
  EXPECT_THAT(screen.errors.back(),
              AllOf(HasSubstr("longer than the model's context"), HasSubstr("/set context_policy drop-oldest-turns")));
}

TEST_F(Chat, SaysAtOnceThatASystemTextLeavesNoRoom) {
  ChatStart start = Start();
  start.model.load = [] {};
  ChatSession(start, screen).LoadModel();
  EXPECT_THAT(screen.warnings, IsEmpty());
  start.model.setup.system = std::string(400, 's');
  ChatSession session(start, screen);
  session.LoadModel();
  ASSERT_EQ(screen.warnings.size(), 1u);
  EXPECT_THAT(screen.warnings[0],
              AllOf(HasSubstr("tokens; the context has 64, and 8 of them are kept"), HasSubstr("/system TEXT")));
  session.Handle("/system Be kind.");
  EXPECT_EQ(screen.warnings.size(), 1u);
  session.Handle("/system " + std::string(400, 't'));
  EXPECT_EQ(screen.warnings.size(), 2u);
}

TEST_F(Chat, ShiftIsAskedForAndSaid) {
  ChatSession session = Session();
  session.Handle("one");
  EXPECT_EQ(requests[0].keep_on_shift, std::nullopt);
  session.Handle("/set context-policy shift");
  shifts = 1;
  session.Handle("two");
  EXPECT_EQ(requests[1].keep_on_shift, 4);  // <|SYSTEM|>S and two more tokens: attention sinks
  EXPECT_THAT(screen.warnings, ElementsAre(HasSubstr("approximate")));
}

}  // namespace
}  // namespace stablelm
