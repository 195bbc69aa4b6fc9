// The slash commands of a chat, their completion, and other words that people type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/chat/chat_testing.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  EXPECT_THAT(ChatSession::Complete("/SA").words, ElementsAre("/save "));  // commands may be in upper case
  EXPECT_THAT(ChatSession::Complete("/System n").words, ElementsAre("none "));
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

}  // namespace
}  // namespace stablelm
