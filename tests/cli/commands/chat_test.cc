// stablelm chat through a pipe: the real program with a small tuned model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include "golden_command.h"
#include "program_error.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class ChatProgram : public testing::Test {
 protected:
  ProgramResult Chat(const std::string& lines, std::vector<std::string> more = {}, ProgramInput input = {}) const {
    std::vector<std::string> arguments = {"chat", "-m", model_, "--system", "Be brief.", "--seed", "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    input.standard_input = lines;
    return RunProgramBinary(arguments, input);
  }

  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);  // tuned, context of 256 tokens
};

TEST_F(ChatProgram, OneLineInOneReplyOut) {
  const ProgramResult text = Chat("Hi\nAgain\n", {"--max-new-tokens", "12"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  const ProgramResult objects = Chat("Hi\nAgain\n", {"--max-new-tokens", "12", "--json"});
  EXPECT_EQ(objects.exit_code, 0) << objects.err;
  const std::vector<Json> replies = JsonLines(objects.out);
  ASSERT_EQ(replies.size(), 2u);
  std::string joined;
  for (const Json& reply : replies) joined += reply.at("content").get<std::string>() + "\n";
  EXPECT_EQ(text.out, joined);  // the same seed: the same text, streamed or not
  EXPECT_EQ(replies[0].at("finish_reason"), "length");
  EXPECT_EQ(replies[1].at("seed"), 3);
  EXPECT_EQ(replies[1].at("sample"), 1);
  EXPECT_GT(replies[1].at("counts").at("known"), replies[0].at("counts").at("prompt").get<int>() - 2);
}

// A reply does not depend on the cached prefix of earlier turns: the whole conversation as one prompt gives the same
// reply.
TEST_F(ChatProgram, GoesOnAsFromScratch) {
  const std::string saved = (temp_.path() / "chat.json").string();
  const ProgramResult first = Chat("Hi\nAgain\n/save " + saved + "\nMore\n", {"--max-new-tokens", "9", "--greedy"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  Json messages = Json::parse(std::ifstream(saved)).at("messages");
  ASSERT_EQ(messages.size(), 5u);
  messages.push_back({{"role", "user"}, {"content", "More"}});
  WriteFile(temp_.path() / "m.json", messages.dump());
  const ProgramResult fresh =
      RunProgramBinary({"generate", "-m", model_, "--messages", (temp_.path() / "m.json").string(), "--max-new-tokens",
                        "9", "--greedy", "--quiet", "--no-newline"});
  ASSERT_EQ(fresh.exit_code, 0) << fresh.err;
  EXPECT_TRUE(first.out.ends_with(fresh.out + "\n")) << first.out << "\n---\n" << fresh.out;
  const ProgramResult loaded =
      RunProgramBinary({"chat", "-m", model_, "--load", saved, "--max-new-tokens", "9", "--greedy", "--quiet"},
                       {.standard_input = "More\n"});
  EXPECT_EQ(loaded.out, fresh.out + "\n") << loaded.err;
}

TEST_F(ChatProgram, QuietHidesNotesAndKeepsAnswers) {
  const std::string saved = (temp_.path() / "quiet.json").string();
  const ProgramResult quiet = Chat("/system Be brief\nHi\n/save " + saved + "\n/undo\n/reset\n",
                                   {"--max-new-tokens", "2", "--greedy", "--quiet"});
  EXPECT_EQ(quiet.exit_code, 0);
  for (const char* answer : {"system text", "saved ", "taken back", "forgotten"}) {
    EXPECT_THAT(quiet.err, testing::HasSubstr(answer));
  }
  EXPECT_THAT(quiet.err, testing::Not(testing::HasSubstr("max_new_tokens")));  // the note about the reply's end
}

// What /continue adds to a reply that was cut is what would have come without the cut, also when a token is drawn and
// when the cut is within a character.
TEST_F(ChatProgram, ContinueGivesWhatWouldHaveCome) {
  const auto answer = [&](const std::string& length, int times) {
    const std::string saved = (temp_.path() / ("cut_at_" + length)).string();
    std::string lines = "Hi\n";
    for (int i = 0; i < times; ++i) lines += "/continue\n";
    const ProgramResult result =
        Chat(lines + "/save " + saved + "\n", {"--max-new-tokens", length, "--temperature", "1", "--ignore-eos"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(std::ifstream(saved)).at("messages").back().at("content").get<std::string>();
  };
  const std::string whole = answer("60", 0);
  EXPECT_EQ(answer("20", 2), whole);
  EXPECT_EQ(answer("1", 59), whole);
  const ProgramResult mirostat = Chat("Hi\n/continue\n", {"--max-new-tokens", "9", "--mirostat", "2"});
  EXPECT_EQ(mirostat.exit_code, 0) << mirostat.err;
}

TEST_F(ChatProgram, BadLinesFailAloneAndAreSeenInTheExitCode) {
  const ProgramResult result =
      Chat("Hi\n\xFF\n/nosuch\n\r\nBye\r\n/exit\nnever\n", {"--max-new-tokens", "3", "--json"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(JsonLines(result.out).size(), 2u) << result.out;
  EXPECT_THAT(result.err, HasSubstr("standard input, line 2"));
  EXPECT_THAT(result.err, HasSubstr("/nosuch: unknown command"));
  EXPECT_EQ(Chat("a \xFF b\n", {"--max-new-tokens", "3", "--invalid-utf8", "replace"}).exit_code, 0);
  EXPECT_EQ(Chat("").exit_code, 0);
}

TEST_F(ChatProgram, DropsOldTurnsWhenTheContextIsFull) {
  std::string lines;
  for (int i = 0; i < 12; ++i) lines += "a question of some length, number " + std::to_string(i) + "\n";
  const ProgramResult result = Chat(lines, {"--max-new-tokens", "16", "--ignore-eos", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<Json> replies = JsonLines(result.out);
  ASSERT_EQ(replies.size(), 12u);
  EXPECT_GT(replies.back().at("dropped").at("messages"), 0);
  EXPECT_LE(replies.back().at("counts").at("prompt"), 128);
  EXPECT_THAT(result.err, HasSubstr("warning: the context is full"));
  const ProgramResult refused = Chat(lines, {"--max-new-tokens", "16", "--ignore-eos", "--context-policy", "error"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("longer than the model's context"));
}

TEST_F(ChatProgram, ShiftLetsAReplyOutgrowTheContext) {
  const std::vector<std::string> shift = {"--context-policy", "shift", "--ignore-eos", "--max-new-tokens", "400"};
  std::vector<std::string> json = shift;
  json.emplace_back("--json");
  const ProgramResult result = Chat("Hi\nAgain\n", json);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<Json> replies = JsonLines(result.out);
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].at("counts").at("generated"), 400);
  EXPECT_EQ(replies[0].at("shift").at("approximate"), true);
  // The first reply alone exceeds the context, so the second prompt omits it.
  EXPECT_EQ(replies[1].at("dropped").at("messages"), 2);
  EXPECT_THAT(result.err, HasSubstr("warning: the context was full"));
  EXPECT_THAT(Chat("Hi\n", shift).err, HasSubstr("approximate"));
}

TEST_F(ChatProgram, ContextBoundsPromptAndReply) {
  const ProgramResult result = Chat("Hi\n/model\n", {"--context", "50", "--ignore-eos", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<Json> lines = JsonLines(result.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("finish_reason"), "context");
  const auto& counts = lines[0].at("counts");
  EXPECT_EQ(counts.at("prompt").get<int>() + counts.at("generated").get<int>(), 50);
  EXPECT_THAT(lines[1].at("text").get<std::string>(), HasSubstr("50 of 256 positions"));
  const ProgramResult refused = Chat("Hi\n", {"--context", "257"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--context: more positions than the model has: found 257, expected at most 256"));
}

TEST_F(ChatProgram, AnotherModelGoesOnWithTheConversation) {
  const std::string other = (temp_.path() / "other").string();
  ASSERT_EQ(RunProgramBinary({"init", "--shape", model_ + "/config.json", "--seed", "2", other}).exit_code, 0);
  std::filesystem::copy_file(kTokenizer, other + "/tokenizer.json");
  const std::string saved = (temp_.path() / "chat.json").string();
  const std::vector<std::string> few = {"--max-new-tokens", "5", "--greedy", "--ignore-eos"};
  const ProgramResult both = Chat("Hi\n/model no/such/folder\n/model " + other + "\nAgain\n/save " + saved + "\n", few);
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_THAT(both.err, HasSubstr("no/such/folder"));
  EXPECT_THAT(both.err, HasSubstr("the conversation goes on with " + other));
  Json messages = Json::parse(std::ifstream(saved)).at("messages");
  ASSERT_EQ(messages.size(), 5u);
  const std::string answer = messages.back().at("content");
  messages.erase(4);
  WriteFile(temp_.path() / "m.json", messages.dump());
  const ProgramResult alone =
      RunProgramBinary({"generate", "-m", other, "--messages", (temp_.path() / "m.json").string(), "--max-new-tokens",
                        "5", "--greedy", "--ignore-eos", "--quiet", "--no-newline"});
  EXPECT_EQ(alone.out, answer) << alone.err;
}

// After kill -9 at any time during /save, the file is complete: the old one or the new one.
TEST_F(ChatProgram, AKillLosesNothingThatWasSaved) {
  const std::string saved = (temp_.path() / "chat.json").string();
  for (int attempt = 0; attempt < 12; ++attempt) {
    std::string lines = "Hi\n/save " + saved + "\n";
    for (int i = 0; i < 2000; ++i) lines += "/regen\n/save " + saved + "\n";
    bool sent = false;
    ProgramInput input;
    input.while_running = [&](pid_t child) {
      if (sent || !std::filesystem::exists(saved)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(2 * attempt));
      kill(child, SIGKILL);
      sent = true;
    };
    const ProgramResult result = Chat(lines, {"--ignore-eos", "--max-new-tokens", "20"}, input);
    EXPECT_TRUE(sent);
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    const Json messages = Json::parse(std::ifstream(saved)).at("messages");
    EXPECT_EQ(messages.size(), 3u);
    EXPECT_EQ(messages.at(1).at("content"), "Hi");
    std::filesystem::remove(saved);
  }
}

TEST_F(ChatProgram, RefusesWithAClearError) {
  std::filesystem::copy(TestData("golden/head128_fp16"), temp_.path() / "bare");
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"chat", "-m"});
    return RunProgramBinary(arguments);
  };
  const ProgramResult bare = run({(temp_.path() / "bare").string()});
  EXPECT_EQ(bare.exit_code, 1);
  EXPECT_THAT(bare.err, HasSubstr("tokenizer.json is missing"));
  // A base model, whose tokenizer has no role tokens.
  std::ifstream file(kTokenizer);
  std::string tokenizer((std::istreambuf_iterator<char>(file)), {});
  for (const std::string name : {"<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>"}) {
    for (size_t at = 0; (at = tokenizer.find(name)) != std::string::npos;) {
      tokenizer.replace(at, name.size(), "<|" + std::string(1, name[2]) + "|>");
    }
  }
  WriteFile(temp_.path() / "bare/tokenizer.json", tokenizer);
  const ProgramResult base = run({(temp_.path() / "bare").string()});
  EXPECT_EQ(base.exit_code, 1);
  EXPECT_THAT(base.err, HasSubstr("does not say how to talk to it"));
  EXPECT_THAT(base.err, HasSubstr("--template alpaca"));
  EXPECT_EQ(RunProgramBinary({"chat", "-m", (temp_.path() / "bare").string(), "--template", "alpaca", "--no-system",
                              "--max-new-tokens", "2"},
                             {.standard_input = "Hi\n"})
                .exit_code,
            0);
  EXPECT_THAT(run({model_, "--system", "a", "--no-system"}), Fails(2, "--no-system", {"--system"}));
  EXPECT_THAT(run({model_, "--temperature", "-1"}), Fails(2, "--temperature", {"\"-1\""}));
  const std::string none = (temp_.path() / "none.json").string();
  EXPECT_THAT(run({model_, "--load", none}), Fails(1, none));
}

// docs/chat.md lists every command, with all its names.
TEST_F(ChatProgram, ThePageListsEveryCommand) {
  std::ifstream file(TestData("../../docs/chat.md"));
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  const ProgramResult help = Chat("/help\n");
  size_t commands = 0;
  std::istringstream words(help.out.substr(0, help.out.find("\n\n")));
  for (std::string line; std::getline(words, line);) {
    std::istringstream names(line.substr(0, line.find("  ")));
    for (std::string name; names >> name;) {
      if (!name.starts_with('/')) continue;
      if (name.ends_with(',')) name.pop_back();
      EXPECT_TRUE(page.find("`" + name + "`") != page.npos || page.find("`" + name + " ") != page.npos) << name;
      ++commands;
    }
  }
  EXPECT_GT(commands, 15u);
}

// A signal ends a chat in a pipe and keeps the partial reply. The test sends it during an endless reply, well after the
// preceding /save has written its file: a signal between two replies would end the program at once.
TEST_F(ChatProgram, AnInterruptEndsAPipe) {
  const std::string marker = (temp_.path() / "started").string();
  bool sent = false;
  std::chrono::steady_clock::time_point seen;
  ProgramInput input;
  input.while_running = [&](pid_t child) {
    if (sent || !std::filesystem::exists(marker)) return;
    const auto now = std::chrono::steady_clock::now();
    if (seen == std::chrono::steady_clock::time_point()) seen = now;
    if (now - seen < std::chrono::milliseconds(300)) return;
    kill(child, SIGINT);
    sent = true;
  };
  const ProgramResult result = Chat("Hi\n/save " + marker + "\n/set max_new_tokens default\nGo on\nnever\n",
                                    {"--ignore-eos", "--max-new-tokens", "3", "--context-policy", "shift"}, input);
  EXPECT_TRUE(sent);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("stopped; what has come is kept"));
  EXPECT_TRUE(result.out.ends_with("\n"));
}

}  // namespace
}  // namespace stablelm
