// A chat's conversation and slash commands, with a fake model that returns strings.
#include "cli/chat/chat_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/app/visible_text.h"
#include "cli/chat/chat_pipe.h"
#include "cli/terminal/message_lines.h"
#include "prompt/prompt_testing.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Records everything that a session shows.
class TestScreen : public ChatScreen {
 public:
  void ReplyText(std::string_view piece) override { text += piece; }
  void EndReply(const ChatReply& reply, bool kept) override {
    dropped = reply.dropped_messages;
    note = EndNote(reply, kept);
  }
  void AbandonReply() override { ++abandoned; }
  void Show(const std::string& command, const std::string& shown) override { text += command + ":\n" + shown; }
  void Note(const std::string& line) override { notes.push_back(line); }
  void Warning(const std::string& line) override { warnings.push_back(line); }
  void Error(const std::string& line) override { errors.push_back(line); }
  std::optional<std::string> Edit(const std::string& given) override {
    edited = given;
    return edit;
  }

  bool has_input_line() const override { return input_line; }
  bool has_editor() const override { return !input_line; }

  bool input_line = false;
  std::string text, note, edited;
  std::vector<std::string> notes, warnings, errors;
  std::optional<std::string> edit;
  size_t dropped = 0;
  int abandoned = 0;
};

class Chat : public testing::Test {
 protected:
  ChatStart Start() const {
    ModelConfig config;
    config.max_positions = 64;
    config.vocab_size = 1000;
    const Tokenizer tokenizer = TunedTokenizer();
    ChatModel model = {.name = "m", .config = config, .tokenizer = tokenizer, .context = 64};
    model.defaults.tuned = true;
    model.defaults.record = CardChatRecord();
    model.defaults.record_from = "the model card";
    model.setup = {.prompt_template = PromptTemplate::kStableLmTuned,
                   .template_from = "the model card",
                   .system = "S",
                   .system_from = "--system"};
    return {.model = std::move(model), .policy = ContextPolicy::kDropOldestTurns, .reserve = 8, .seed = 7};
  }
  ChatSession Session() { return Session(Start()); }
  ChatSession Session(ChatStart start) {
    start.model.reply = [this](const GenerateRequest& request, const std::function<void(std::string_view)>& on_text) {
      requests.push_back(request);
      if (fails) throw Error({.where = "model", .what = "broken"});
      GenerateResult result;
      result.text = answers.empty() ? "A" + std::to_string(requests.size()) : answers.at(requests.size() - 1);
      result.reason = reason;
      result.shifts = shifts;
      result.ids = TunedTokenizer().Encode(result.text);
      on_text(result.text);
      return result;
    };
    return ChatSession(std::move(start), screen);
  }
  // "S|Hi|A1": the texts of the conversation.
  static std::string Texts(const ChatSession& session) {
    std::string all;
    for (const Message& message : session.WholeConversation()) all += (all.empty() ? "" : "|") + message.text;
    return all;
  }
  std::vector<int32_t> Prompt(const Conversation& conversation) const {
    return PromptBuilder(TunedTokenizer(), PromptTemplate::kStableLmTuned).BuildPrompt(conversation).ids;
  }

  TestScreen screen;
  std::vector<GenerateRequest> requests;
  std::vector<std::string> answers;
  FinishReason reason = FinishReason::kStop;
  bool fails = false;
  int64_t shifts = 0;
  const TempFolder temp_;
};

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

TEST_F(Chat, KnowsCommandsFromMessages) {
  ChatSession session = Session();
  for (const char* message : {"/usr/bin", "/ x", "/", "//help", "/2", "exit"}) session.Handle(message);
  EXPECT_EQ(Texts(session), "S|/usr/bin|A1|/ x|A2|/|A3|/help|A4|/2|A5|exit|A6");
  EXPECT_THAT(screen.notes, ElementsAre(HasSubstr("\"exit\" goes to the model as a message; /exit leaves")));
  EXPECT_THAT(screen.errors, IsEmpty());
  for (const char* nothing : {"", "   ", "\t"}) session.Handle(nothing);
  EXPECT_EQ(requests.size(), 6u);
  session.Handle("/rest");
  session.Handle("/reset now");
  ASSERT_EQ(screen.errors.size(), 2u);
  EXPECT_THAT(screen.errors[0], HasSubstr("did you mean /reset?"));
  EXPECT_THAT(screen.errors[1], HasSubstr("//reset"));
  EXPECT_TRUE(session.failed());
  session.Handle("/Regenerate");
  EXPECT_THAT(screen.errors.back(), AllOf(HasSubstr("/Regenerate"), HasSubstr("did you mean /regen?")));
  session.Handle("/new");
  EXPECT_THAT(screen.errors.back(), HasSubstr("did you mean /reset?"));
  // Whatever looks like a command does not reach the model.
  for (const char* word : {"/think_hard", "/save,", "/notes.txt please", "/Rest"}) {
    session.Handle(word);
    EXPECT_THAT(screen.errors.back(), HasSubstr("unknown command")) << word;
  }
  EXPECT_THAT(screen.errors.back(), testing::StartsWith("/Rest: "));  // as it was typed
  EXPECT_EQ(requests.size(), 6u);
  EXPECT_FALSE(session.Handle("/exit"));
}

TEST_F(Chat, WarnsOfWordsThatAreCommandsElsewhere) {
  for (const char* word : {"EXIT", "Quit", "bye", "q", ":q", " clear ", "Help"}) {
    screen.notes.clear();
    ChatSession session = Session();
    session.Handle(word);
    ASSERT_EQ(screen.notes.size(), 1u) << word;
    EXPECT_THAT(screen.notes[0], HasSubstr("goes to the model as a message; /")) << word;
  }
  screen.notes.clear();
  Session().Handle("bye now");
  EXPECT_THAT(screen.notes, IsEmpty());
}

TEST_F(Chat, CommandsHaveOtherNamesAndAnyCase) {
  ChatSession session = Session();
  for (const char* help : {"/?", "/HELP", "  /help ", "/Help\n"}) {
    screen.text.clear();
    session.Handle(help);
    EXPECT_THAT(screen.text, HasSubstr("/exit, /quit, /bye")) << help;
  }
  session.Handle("one");
  session.Handle("/clear");
  EXPECT_EQ(Texts(session), "S");
  EXPECT_THAT(screen.errors, IsEmpty());
  for (const char* leave : {"/bye", "/QUIT", "/exit"}) EXPECT_FALSE(Session().Handle(leave)) << leave;
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

TEST_F(Chat, SaysWhereASettingComesFrom) {
  ChatStart start = Start();
  start.options.settings.values["top_p"] = 0.5;
  ChatSession session = Session(std::move(start));
  session.Handle("/set temperature 0.2");
  session.Handle("/set seed 5");
  screen.text.clear();
  session.Handle("/show");
  const auto line = [&](const std::string& name) {
    const size_t begin = screen.text.find("\n" + name + " ") + 1;
    return screen.text.substr(begin, screen.text.find('\n', begin) - begin);
  };
  EXPECT_THAT(line("temperature"), testing::EndsWith(" /set"));
  EXPECT_THAT(line("top_p"), testing::EndsWith(" --top-p"));
  EXPECT_THAT(line("seed"), HasSubstr("/set; reply 0 is next"));
  session.Handle("/set preset greedy");
  screen.text.clear();
  session.Handle("/show");
  EXPECT_THAT(screen.text, HasSubstr("/set preset greedy"));
  EXPECT_EQ(screen.text.find("--preset"), std::string::npos);
}

TEST_F(Chat, EditWithoutAnEditorLeavesADraft) {
  screen.input_line = true;
  ChatSession session = Session();
  session.Handle("one\nline");
  session.Handle("/edit");
  EXPECT_EQ(session.TakeDraft(), "/edit one\nline");
  EXPECT_EQ(session.TakeDraft(), "");
  EXPECT_EQ(requests.size(), 1u);
  session.Handle("/edit two\nlines");
  EXPECT_EQ(Texts(session), "S|two\nlines|A2");
}

TEST_F(Chat, PathsMayBeginWithTheHomeFolder) {
  const char* home = std::getenv("HOME");
  const std::string before = home ? home : "";
  setenv("HOME", temp_.path().c_str(), 1);
  std::ofstream(temp_.path() / "s.txt") << "From home.";
  ChatSession session = Session();
  session.Handle("one");
  session.Handle("/save ~/chat.json");
  session.Handle("/system @~/s.txt");
  session.Handle("/reset");
  session.Handle("/load ~/chat.json");
  EXPECT_THAT(ChatSession::Complete("/load ~/ch").words, ElementsAre("~/chat.json"));
  setenv("HOME", before.c_str(), 1);
  EXPECT_THAT(screen.errors, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(temp_.path() / "chat.json"));
  EXPECT_EQ(Texts(session), "S|one|A1");
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

TEST_F(Chat, RegenUndoEditAndReset) {
  ChatSession session = Session();
  for (const char* early : {"/regen", "/undo", "/edit x", "/prompt", "/save f"}) session.Handle(early);
  EXPECT_EQ(screen.errors.size(), 5u);
  session.Handle("one");
  session.Handle("two");
  session.Handle("/regen");
  EXPECT_EQ(Texts(session), "S|one|A1|two|A3");
  EXPECT_EQ(requests[2].prompt, requests[1].prompt);
  EXPECT_NE(requests[2].sample, requests[1].sample);  // otherwise the reply would be the same
  session.Handle("/edit three");
  EXPECT_EQ(Texts(session), "S|one|A1|three|A4");
  screen.edit = "four\nlines";
  session.Handle("/edit");
  EXPECT_EQ(screen.edited, "three");
  EXPECT_EQ(Texts(session), "S|one|A1|four\nlines|A5");
  screen.edit = std::nullopt;
  session.Handle("/edit");
  EXPECT_EQ(Texts(session), "S|one|A1|four\nlines|A5");
  session.Handle("/undo");
  EXPECT_EQ(Texts(session), "S|one|A1");
  session.Handle("/reset");
  EXPECT_EQ(Texts(session), "S");
  EXPECT_EQ(screen.errors.size(), 6u);
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

TEST_F(Chat, SystemTextChanges) {
  ChatSession session = Session();
  session.Handle("one");
  session.Handle("/system Be kind.");
  EXPECT_EQ(Texts(session), "Be kind.|one|A1");
  std::ofstream(temp_.path() / "s.txt") << "From a file.\n";
  session.Handle("/system @" + (temp_.path() / "s.txt").string());
  EXPECT_EQ(Texts(session), "From a file.\n|one|A1");
  session.Handle("/system");
  EXPECT_THAT(screen.text, HasSubstr("/system:\nFrom a file.\n"));
  session.Handle("/system none");
  EXPECT_EQ(Texts(session), "one|A1");
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

TEST_F(Chat, SettingsChange) {
  ChatSession session = Session();
  session.Handle("/set temperature 0.2");
  session.Handle("/set top-p 0.5");
  session.Handle("/set max_new_tokens=9");
  session.Handle("/set seed 12");
  session.Handle("Hi");
  EXPECT_EQ(requests[0].sampling.temperature, 0.2);
  EXPECT_EQ(requests[0].sampling.top_p, 0.5);
  EXPECT_EQ(requests[0].max_new_tokens, 9);
  EXPECT_EQ(requests[0].seed, 12u);
  session.Handle("/set temperature default");
  session.Handle("/set preset greedy");
  session.Handle("Hi");
  EXPECT_TRUE(requests[1].sampling.Greedy());
  EXPECT_EQ(requests[1].max_new_tokens, 9);  // presets do not set the length
  EXPECT_THAT(screen.errors, IsEmpty());
  for (const char* bad : {"/set temperature -1", "/set top_p 2", "/set temprature 1", "/set seed x", "/set preset y",
                          "/set context_policy z", "/set reserve 64"}) {
    session.Handle(bad);
  }
  ASSERT_EQ(screen.errors.size(), 7u);
  EXPECT_THAT(screen.errors[0], HasSubstr("/set temperature"));
  EXPECT_THAT(screen.errors[2], HasSubstr("did you mean temperature?"));
  session.Handle("Hi");
  EXPECT_TRUE(requests[2].sampling.Greedy());  // a refused command changes nothing
  session.Handle("/set preset default");
  session.Handle("Hi");
  EXPECT_EQ(requests[3].sampling.temperature, 0.7);
  screen.text.clear();
  session.Handle("/set reserve 20");
  session.Handle("/set reserve default");
  EXPECT_THAT(screen.text, HasSubstr("reserve             20\n"));
  EXPECT_THAT(screen.text, testing::EndsWith("reserve             32\n"));  // half of 64
}

// As the options do.
TEST_F(Chat, SetTakesNamesAndValuesOfOtherPrograms) {
  ChatSession session = Session();
  for (const char* line : {"/set repeat_penalty 1.5", "/set num-predict 5", "/set parameter temp 0.25",
                           "/set --top-k 7", "/set seed random"}) {
    session.Handle(line);
  }
  EXPECT_THAT(screen.errors, IsEmpty());
  EXPECT_THAT(screen.text, HasSubstr("repetition_penalty  1.5"));
  session.Handle("Hi");
  EXPECT_EQ(requests[0].sampling.temperature, 0.25);
  EXPECT_EQ(requests[0].sampling.top_k, 7);
  EXPECT_EQ(requests[0].max_new_tokens, 5);
  EXPECT_NE(requests[0].seed, 7u);
  session.Handle("/set seed 7");
  session.Handle("/set seed -1");
  session.Handle("/set max-new-tokens -1");
  session.Handle("Hi");
  EXPECT_THAT(screen.errors, IsEmpty());
  EXPECT_NE(requests[1].seed, 7u);
  EXPECT_EQ(requests[1].max_new_tokens, int64_t{1} << 31);
  const std::pair<const char*, const char*> hints[] = {
      {"/set num_ctx 64", "stablelm chat --context sets it at the start"},
      {"/set parameter stop x", "stablelm chat --stop sets it at the start"},
      {"/set system You are", "/system TEXT changes it"},
      {"/set num_gpu 99", "this build runs on CPUs"},
      {"/set -", "/show lists them"},
      {"/set temprature 1", "did you mean temperature?"}};
  for (const auto& [line, hint] : hints) {
    session.Handle(line);
    EXPECT_THAT(screen.errors.back(), HasSubstr(hint)) << line;
  }
}

TEST_F(Chat, SavesAndLoads) {
  const std::string file = (temp_.path() / "chat.json").string();
  ChatSession session = Session();
  session.Handle("one \"quoted\" \xE4\xBD\xA0");
  session.Handle("/save " + file);
  session.Handle("two");
  session.Handle("/save " + file);  // overwrites its own file
  EXPECT_THAT(screen.errors, IsEmpty());
  ChatSession other = Session();
  other.Handle("x");
  other.Handle("/save " + file);  // but no other file
  EXPECT_THAT(screen.errors, ElementsAre(HasSubstr("exists already")));
  other.Handle("/load " + file);
  EXPECT_EQ(other.WholeConversation(), session.WholeConversation());
  other.Handle("three");
  EXPECT_EQ(other.WholeConversation().size(), 7u);
  // A final question waits for its answer.
  std::ofstream(file) << R"([{"role": "system", "content": "T"}, {"role": "user", "content": "last"}])";
  other.Handle("/load " + file);
  EXPECT_EQ(Texts(other), "T|last");
  other.Handle("two in a row");
  EXPECT_THAT(screen.errors.back(), HasSubstr("/regen answers it"));
  other.Handle("/regen");
  EXPECT_EQ(other.WholeConversation().size(), 3u);
  std::ofstream(file) << "[]";
  other.Handle("/load " + file);
  EXPECT_EQ(other.WholeConversation().size(), 3u);
  EXPECT_EQ(screen.errors.size(), 3u);
  // A system text given by a flag stays.
  ChatStart start = Start();
  start.model.setup.system_forced = true;
  std::ofstream(file) << R"([{"role": "system", "content": "T"}, {"role": "user", "content": "last"}])";
  ChatSession forced = Session(std::move(start));
  forced.Handle("/load " + file);
  EXPECT_EQ(Texts(forced), "S|last");
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

class ChatWithTwoModels : public Chat {
 protected:
  // "other" is a model with a context of 40 tokens and another system text. Opening
  // "nowhere" and loading "heavy" fail; the prompt does not fit the vocabulary of "small words".
  ChatStart StartWithTwo() {
    ChatStart start = Start();
    start.model.setup.system_from = "the model card";
    start.open = [this](const std::string& path) {
      if (path == "nowhere") throw Error({.where = path, .what = "no such folder"});
      ChatModel next = Start().model;
      next.name = path;
      next.context = next.config.max_positions = 40;
      next.setup.system = "T";
      next.setup.system_from = "stablelm_chat.json";
      if (path == "small words") next.config.vocab_size = 3;
      next.load = [this, path] {
        if (path == "heavy") throw Error({.where = path, .what = "does not fit"});
        ++loads;
      };
      next.reply = [this, path](const GenerateRequest& request, const std::function<void(std::string_view)>& on_text) {
        requests.push_back(request);
        GenerateResult result;
        result.text = path + "'s";
        on_text(result.text);
        return result;
      };
      return next;
    };
    return start;
  }
  int loads = 0;
};

TEST_F(ChatWithTwoModels, TheConversationGoesOnWithAnother) {
  ChatSession session = Session(StartWithTwo());
  session.Handle("/set temperature 0.2");
  session.Handle("one");
  session.Handle("/model other");
  session.Handle("two");
  EXPECT_EQ(Texts(session), "T|one|A1|two|other's");
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(requests[1].prompt, Prompt({System("T"), User("one"), Assistant("A1"), User("two")}));
  EXPECT_EQ(requests[1].sampling.temperature, 0.2);
  screen.text.clear();
  session.Handle("/model");
  EXPECT_THAT(screen.text, HasSubstr("other"));
  EXPECT_THAT(screen.text, HasSubstr("40 positions"));
  // The user's own system text stays.
  session.Handle("/system Mine.");
  session.Handle("/model third");
  EXPECT_EQ(session.WholeConversation().front(), System("Mine."));
  // The context length is the new model's.
  for (int i = 0; i < 6; ++i) session.Handle("a question of some length");
  for (size_t i = 2; i < requests.size(); ++i) EXPECT_LE(requests[i].prompt.size(), 32u);
}

TEST_F(ChatWithTwoModels, WhatFailsLeavesTheOldOne) {
  ChatStart start = StartWithTwo();
  start.options.stop_ids = {12};
  ChatSession session = Session(std::move(start));
  session.Handle("one");
  for (const char* bad : {"nowhere", "heavy", "small words"}) session.Handle("/model " + std::string(bad));
  EXPECT_THAT(screen.errors,
              ElementsAre(HasSubstr("no such folder"), HasSubstr("does not fit"), HasSubstr("token id out of range")));
  EXPECT_EQ(loads, 0);
  session.Handle("two");
  EXPECT_EQ(Texts(session), "S|one|A1|two|A2");
}

TEST_F(Chat, ShowsWhatItIsAskedFor) {
  ChatSession session = Session();
  session.Handle("Hi \x1B[31m");
  for (const char* command : {"/help", "/show", "/tokens", "/prompt", "/stats"}) {
    screen.text.clear();
    session.Handle(command);
    EXPECT_THAT(screen.text, testing::StartsWith(std::string(command) + ":\n")) << command;
    EXPECT_EQ(screen.text.find('\x1B'), std::string::npos) << command;
  }
  EXPECT_THAT(screen.errors, IsEmpty());
  screen.text.clear();
  session.Handle("/tokens");
  EXPECT_THAT(screen.text, HasSubstr("assistant           3\n"));  // the role token, "A", "1"
  screen.text.clear();
  session.Handle("/prompt");
  EXPECT_THAT(screen.text, HasSubstr("<|SYSTEM|>S<|USER|>Hi \\x1B[31m<|ASSISTANT|>A1"));
}

TEST(ChatCompletion, CompletesTheLastWord) {
  EXPECT_THAT(ChatSession::Complete("/s").words, ElementsAre("/save ", "/set ", "/show ", "/stats ", "/system "));
  const Completion setting = ChatSession::Complete("/set top-");
  EXPECT_EQ(setting.from, 5u);
  EXPECT_THAT(setting.words, ElementsAre("top_k ", "top_n_sigma ", "top_p "));
  const Completion value = ChatSession::Complete("/set preset gr");
  EXPECT_EQ(value.from, 12u);
  EXPECT_THAT(value.words, ElementsAre("greedy "));
  EXPECT_THAT(ChatSession::Complete("/set context-policy s").words, ElementsAre("shift ", "stop "));
  EXPECT_THAT(ChatSession::Complete("/system n").words, ElementsAre("none "));
  EXPECT_THAT(ChatSession::Complete("/xyz").words, IsEmpty());
  EXPECT_THAT(ChatSession::Complete("/stats ").words, IsEmpty());
}

TEST(ChatCompletion, NamesFilesWhereFilesAreMeant) {
  const TempFolder temp;
  for (const char* name : {"one.json", "only.json", ".hidden"}) std::ofstream(temp.path() / name) << "x";
  std::filesystem::create_directory(temp.path() / "other dir");
  const std::string folder = temp.path().string() + "/";
  const Completion load = ChatSession::Complete("/load " + folder + "o");
  EXPECT_EQ(load.from, 6u);
  EXPECT_THAT(load.words, ElementsAre(folder + "one.json", folder + "only.json", folder + "other dir/"));
  EXPECT_THAT(ChatSession::Complete("/system @" + folder + "on").words,
              ElementsAre(folder + "one.json", folder + "only.json"));
  EXPECT_THAT(ChatSession::Complete("/model " + folder + ".").words, ElementsAre(folder + ".hidden"));
  EXPECT_THAT(ChatSession::Complete("/save " + folder + "nothing").words, IsEmpty());
}

TEST(MessageLines, QuotesAndContinuations) {
  const auto read = [](std::vector<std::string> lines) {
    MessageLines message;
    for (size_t i = 0; i < lines.size(); ++i) {
      const bool complete = message.Add(lines[i]);
      EXPECT_EQ(complete, i + 1 == lines.size()) << lines[i];
      EXPECT_TRUE(complete || message.open());
    }
    const std::string text = message.Take();
    EXPECT_FALSE(message.open());
    return text;
  };
  EXPECT_EQ(read({"plain"}), "plain");
  EXPECT_EQ(read({"one \\", "two\\", "three"}), "one \ntwo\nthree");
  EXPECT_EQ(read({"\"\"\"", "a", "", "b \\", "\"\"\""}), "a\n\nb \\");
  EXPECT_EQ(read({"\"\"\"a", "b\"\"\""}), "a\nb");
  EXPECT_EQ(read({"\"\"\"on one line\"\"\""}), "on one line");
  EXPECT_EQ(read({"\"\"\"", "\"\"\""}), "");
  EXPECT_EQ(read({"not \"\"\" at the beginning"}), "not \"\"\" at the beginning");
}

TEST(VisibleText, NoTextActsOnATerminal) {
  EXPECT_EQ(Visible("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(Visible("\x1B]0;x\x07\r\x7F\xC2\x9B\xFF"), "\\x1B]0;x\\x07\\x0D\\x7F\\x9B\xEF\xBF\xBD");
  EXPECT_EQ(Visible("\xF0\x9F\x98\x80\xE4\xBD\xA0"), "\xF0\x9F\x98\x80\xE4\xBD\xA0");
}

}  // namespace
}  // namespace stablelm
