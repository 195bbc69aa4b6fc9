// stablelm chat on a terminal: the real program on a pseudo-terminal, and the raw bytes that it sends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/chat/chat_terminal.h"
#include "golden_command.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

const std::string kPrompt = "\033[1;32m>\033[0m ";  // only "> " is coloured

std::string Pasted(const std::string& text) { return "\033[200~" + text + "\033[201~"; }

class ChatOnTerminal : public testing::Test {
 protected:
  std::vector<std::string> Arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {
        "chat", "-m", model_, "--no-system", "--greedy", "--history", history_, "--context-policy", "shift"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // A chat with short replies.
  std::vector<std::string> Short() const { return Arguments({"--max-new-tokens", "2"}); }
  std::vector<std::string> Endless() const { return Arguments({"--ignore-eos"}); }
  TerminalSettings Settings() const {
    return {.environment = {{"HOME", temp_.path().string()}, {"XDG_STATE_HOME", temp_.path().string()}}};
  }
  // A pipe to load a conversation from. The chat stands still, as with large weights, until EndLoading.
  std::string MakeLoadPipe() const {
    const std::string path = (temp_.path() / "pipe").string();
    std::filesystem::remove(path);
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  // Waits until the chat reads the pipe. Returns a file descriptor to write to it.
  static int AwaitLoading(const std::string& pipe) {
    constexpr int kPatienceMs = 20000;
    for (int i = 0; i < kPatienceMs; ++i) {
      if (const int fd = open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC); fd >= 0) return fd;
      poll(nullptr, 0, 1);
    }
    ADD_FAILURE() << "the chat does not read " << pipe;
    return -1;
  }
  static void EndLoading(int fd, std::string_view conversation) {
    EXPECT_EQ(write(fd, conversation.data(), conversation.size()), static_cast<ssize_t>(conversation.size()));
    close(fd);
  }
  static constexpr std::string_view kLoaded =
      R"([{"role": "user", "content": "x"}, {"role": "assistant", "content": "The end."}])";
  // Saves the chat and leaves it. Returns the user's messages.
  std::vector<std::string> SaveAndLeave(TerminalProgram& chat) const {
    const std::string file = (temp_.path() / "saved.json").string();
    std::filesystem::remove(file);
    chat.Type("/save " + file + "\r");
    chat.Await("saved ");
    chat.Await(kPrompt);
    chat.Type("/exit\r");
    EXPECT_EQ(chat.Exit(), 0);
    std::vector<std::string> messages;
    const Json saved = Json::parse(std::ifstream(file));
    for (const Json& message : saved.at("messages")) {
      if (message.at("role") == "user") messages.push_back(message.at("content"));
    }
    return messages;
  }

  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
  const std::string history_ = (temp_.path() / "history").string();
};

bool Same(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag && a.c_lflag == b.c_lflag &&
         std::equal(std::begin(a.c_cc), std::end(a.c_cc), std::begin(b.c_cc));
}

// Settings and command line of a shell, which stops and continues jobs.
TerminalSettings ForShell(TerminalSettings settings) {
  settings.program = "/bin/sh";
  settings.environment["PS1"] = "sh: ";
  return settings;
}

std::string ShellCommand(const std::vector<std::string>& arguments) {
  std::string command = std::string(kEmulator) + " '" + kProgram + "'";
  for (const std::string& word : arguments) command += " '" + word + "'";
  return command + "\n";
}

TEST_F(ChatOnTerminal, OnlyThePromptIsColoured) {
  TerminalProgram chat(Short(), Settings());
  const std::string start = chat.Await(kPrompt);
  EXPECT_THAT(start, HasSubstr("with_tokenizer: "));
  EXPECT_THAT(start, HasSubstr("fp16"));
  EXPECT_THAT(start, HasSubstr("context 256"));
  EXPECT_THAT(start, HasSubstr("stablelm-tuned"));
  chat.Type("hello");
  EXPECT_EQ(chat.Await("hello"), "hello");
  chat.Type("\r");
  const std::string reply = chat.Await(kPrompt);
  EXPECT_THAT(reply, HasSubstr("\033[2mcontext "));  // a short dim status
  EXPECT_THAT(reply, HasSubstr(" of 256"));
  EXPECT_THAT(reply, HasSubstr("/continue goes on with it"));
  EXPECT_THAT(reply, testing::EndsWith("\r\n\r\n" + kPrompt));  // air between turns
  chat.Type("/exit\r");
  EXPECT_EQ(chat.Exit(), 0);
  EXPECT_THAT(chat.rest(), testing::EndsWith("\033[?2004l"));
}

// On every way out: modes as before, bracketed paste off, no colour left on.
TEST_F(ChatOnTerminal, LeavesTheTerminalAsItWas) {
  enum class State { kTyping, kReply };
  const struct {
    const char* what;
    State state;
    std::string keys;
    std::vector<int> signals;
    int code;
  } kWays[] = {{"/exit", State::kTyping, "/exit\r", {}, 0},
               {"Ctrl-D", State::kTyping, "\x04", {}, 0},
               {"Ctrl-C twice", State::kTyping, "\x03\x03", {}, 0},
               {"SIGTERM", State::kTyping, "half a li", {SIGTERM}, 130},
               {"SIGHUP", State::kTyping, "", {SIGHUP}, 130},
               {"Ctrl-\\", State::kTyping, "\x1c", {}, 128 + SIGQUIT},
               {"SIGTERM during a reply", State::kReply, "", {SIGTERM}, 130},
               {"Ctrl-\\ during a reply", State::kReply, "\x1c", {}, 128 + SIGQUIT}};
  for (const auto& way : kWays) {
    SCOPED_TRACE(way.what);
    TerminalProgram chat(Endless(), Settings());
    const termios before = chat.Modes();
    chat.Await(kPrompt);
    if (way.state == State::kReply) {
      chat.Type("Hi\r");
      chat.Await("...");
      chat.Await("\r");
    }
    if (std::string(way.what) == "Ctrl-C twice") {
      chat.Type("\x03");
      chat.Await("Ctrl-C again");
      chat.Await(kPrompt);
      chat.Type("\x03");
    } else {
      chat.Type(way.keys);
    }
    for (const int signal : way.signals) chat.Signal(signal);
    EXPECT_EQ(chat.Exit(), way.code);
    EXPECT_TRUE(Same(chat.Modes(), before));
    const std::string& all = chat.all();
    EXPECT_GT(all.rfind("\033[?2004l") + 1, all.rfind("\033[?2004h") + 1);
    EXPECT_EQ(all.rfind("\033[1;32m") + 9, all.rfind("\033[0m", all.rfind("\033[1;32m") + 9) + 1);
  }
}

TEST_F(ChatOnTerminal, ASignalThatEndsItDiscardsWhatWasTyped) {
  TerminalProgram shell({"-i"}, ForShell(Settings()));
  shell.Await("sh: ");
  shell.Type(ShellCommand(Endless()));
  shell.Await(kPrompt);
  shell.Type("Hi\r");
  shell.Await("...");
  shell.Await("\r");
  shell.Type("echo $((40 + 2))\r\x1c");  // Ctrl-\ is SIGQUIT
  shell.Await("sh: ");
  shell.Type("echo $((40 + 3))\n");
  EXPECT_EQ(shell.Await("43\r\n").find("42\r\n"), std::string::npos);
}

TEST_F(ChatOnTerminal, PastedTextAndBadBytesArriveAsTheyAre) {
  TerminalProgram chat(Short(), Settings());
  const auto send = [&](const std::string& bytes) {
    chat.Await(kPrompt);
    chat.Type(bytes);
    chat.Await("context ");
  };
  send(Pasted("a:\n\tb\tc") + "\r");
  send(Pasted("one\r\ntwo\rthree\r\n") + "\r");
  send("caf\xE9\r");  // Latin-1; Enter after it still sends
  send("next\r");
  send(Pasted("\033[31mred\x07") + "\r");
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat),
              testing::ElementsAre("a:\n\tb\tc", "one\ntwo\nthree", "caf\uFFFD", "next", " [31mred "));
}

TEST_F(ChatOnTerminal, AGraphemeIsOneStep) {
  TerminalProgram chat(Short(), Settings());
  chat.Await(kPrompt);
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467";
  // The accent comes as a key of its own. Left, Backspace: the letter goes with its accent.
  chat.Type("ae\u0301b\033[D\x7f");
  chat.Type("\r");
  chat.Await("context ");
  chat.Await(kPrompt);
  chat.Type("c" + family + "\U0001F1E9\U0001F1EA" + "d\033[D\x7f\x7f\r");
  chat.Await("context ");
  chat.Await(kPrompt);
  chat.Type("x" + family + "\r");
  chat.Await("x" + family);  // shown as it is
  chat.Await("context ");
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat), testing::ElementsAre("ab", "cd", "x" + family));
}

TEST_F(ChatOnTerminal, KeysOfNoMeaningLeaveNothingBehind) {
  TerminalProgram chat(Short(), Settings());
  chat.Await(kPrompt);
  chat.Type("one two\033[1;5D\033[15~\033[5;2~\033[200;3uX\033[HY\033[FZ\r");  // Ctrl-Left, F5, Shift-PageUp, Home, End
  chat.Await("context ");
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat), testing::ElementsAre("Yone XtwoZ"));
}

TEST_F(ChatOnTerminal, CompletesWordsInColumns) {
  TerminalProgram chat(Short(), Settings());
  chat.Await(kPrompt);
  chat.Type("/s\t");
  EXPECT_THAT(chat.Await(kPrompt), HasSubstr("/save    /set     /show    /stats   /system\r\n"));
  chat.Await("/s");
  chat.Type("h\t\r");
  chat.Await("temperature");
  chat.Await(kPrompt);
  WriteFile(temp_.path() / "only.json", R"([{"role": "user", "content": "x"}])");
  chat.Type("/load " + (temp_.path() / "onl").string() + "\t\r");
  chat.Await("going on with 1 message of");
}

TEST_F(ChatOnTerminal, WhatIsTypedDuringAReplyIsKept) {
  for (const bool stop : {true, false}) {
    TerminalProgram chat(stop ? Endless() : Arguments({"--ignore-eos", "--max-new-tokens", "300"}), Settings());
    chat.Await(kPrompt);
    chat.Type("Hi\r");
    chat.Await("...");
    chat.Await("\r");
    chat.Type("next wor");
    if (stop) chat.Type("\x03");
    if (stop) chat.Await("stopped; what has come is kept");
    chat.Await(kPrompt);
    EXPECT_EQ(chat.Await("next wor"), "next wor");
    chat.Type("\x15/exit\r");
    EXPECT_EQ(chat.Exit(), 0);
  }
}

TEST_F(ChatOnTerminal, WhatIsTypedWhileItLoadsWaitsForThePrompt) {
  const std::string pipe = MakeLoadPipe();
  for (const char* enter : {"", "\r"}) {
    TerminalProgram chat(Arguments({"--max-new-tokens", "2", "--load", pipe}), Settings());
    const termios before = chat.Modes();
    const int loading = AwaitLoading(pipe);
    chat.Type("next wor" + std::string(enter));
    EndLoading(loading, kLoaded);
    EXPECT_THAT(chat.Await("The end."), Not(HasSubstr("next")));
    chat.Await(kPrompt);
    EXPECT_EQ(chat.Await("next wor"), "next wor");
    if (*enter) {
      chat.Await("context ");
      chat.Await(kPrompt);
    } else {
      chat.Type("\x15");
    }
    EXPECT_EQ(SaveAndLeave(chat).size(), *enter ? 2u : 1u);
    EXPECT_TRUE(Same(chat.Modes(), before));
  }
}

TEST_F(ChatOnTerminal, LeavesTheTerminalAsItWasWhileItLoads) {
  const std::string pipe = MakeLoadPipe();
  const struct {
    const char* what;
    const char* keys;
    int signal;
    int code;
  } kWays[] = {{"Ctrl-C", "\x03", 0, 130},
               {"Ctrl-\\", "\x1c", 0, 128 + SIGQUIT},
               {"SIGTERM", "", SIGTERM, 130},
               {"SIGHUP", "", SIGHUP, 130},
               {"an error", "", 0, 1}};
  for (const auto& way : kWays) {
    SCOPED_TRACE(way.what);
    TerminalProgram chat(Arguments({"--load", pipe}), Settings());
    const termios before = chat.Modes();
    const int loading = AwaitLoading(pipe);
    EXPECT_FALSE(Same(chat.Modes(), before));
    chat.Type("half a li" + std::string(way.keys));
    if (way.signal != 0) chat.Signal(way.signal);
    if (way.code == 1) EndLoading(loading, "[");
    EXPECT_EQ(chat.Exit(), way.code);
    if (way.code != 1) close(loading);
    EXPECT_TRUE(Same(chat.Modes(), before));
    EXPECT_THAT(chat.all(), Not(HasSubstr("half")));
    EXPECT_GT(chat.all().rfind("\033[?2004l") + 1, chat.all().rfind("\033[?2004h") + 1);
  }
}

// A conversation that is typed for --load needs echo and Ctrl-D.
TEST_F(ChatOnTerminal, LoadsFromTheKeyboard) {
  TerminalProgram chat(Arguments({"--load", "-"}), Settings());
  chat.Await("\033[?2004l");
  chat.Type(std::string(kLoaded) + "\n\x04");
  EXPECT_THAT(chat.Await("going on with 2 messages"), HasSubstr(std::string(kLoaded)));
  chat.Await("The end.");
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat), testing::ElementsAre("x"));
}

TEST_F(ChatOnTerminal, CtrlZAndForegroundWhileItLoads) {
  const std::string pipe = MakeLoadPipe();
  TerminalProgram shell({"-i"}, ForShell(Settings()));
  shell.Await("sh: ");
  const std::string command = ShellCommand(Arguments({"--max-new-tokens", "2", "--load", pipe}));
  shell.Type(command);
  int loading = AwaitLoading(pipe);
  shell.Type("echo $((40 + 1))\x1a");
  shell.Await("sh: ");
  shell.Type("echo $((40 + 2))\n");
  EXPECT_THAT(shell.Await("42\r\n"), HasSubstr("echo $((40 + 2))"));  // the terminal echoes again
  shell.Await("sh: ");
  shell.Type("fg\n");
  shell.Await("\033[?2004h");
  EndLoading(loading, kLoaded);
  EXPECT_THAT(shell.Await("The end."), Not(HasSubstr("40 + 1")));
  shell.Await(kPrompt);
  shell.Await("echo $((40 + 1))");
  shell.Type("\x15/exit\r");
  shell.Await("sh: ");
  // What was typed for a chat that ends with an error is no command of the shell.
  shell.Type(command);
  loading = AwaitLoading(pipe);
  shell.Type("echo $((40 + 1))\r");
  EndLoading(loading, "[");
  shell.Await("error:");
  shell.Await("sh: ");
  shell.Type("echo $((40 + 3))\n");
  shell.Await("43\r\n");
  EXPECT_THAT(shell.all(), Not(HasSubstr("41\r\n")));
}

// It is the chat's next message, not the shell's next command.
TEST_F(ChatOnTerminal, WhatIsTypedBeforeCtrlZStaysWithTheChat) {
  TerminalProgram shell({"-i"}, ForShell(Settings()));
  shell.Await("sh: ");
  shell.Type(ShellCommand(Endless()));
  shell.Await(kPrompt);
  shell.Type("echo $((40 + 1))\x1a");  // at the prompt
  shell.Await("sh: ");
  shell.Type("fg\n");
  shell.Await(kPrompt);
  shell.Await("echo $((40 + 1))");
  shell.Type("\r");
  shell.Await("...");
  shell.Await("\r");
  shell.Type("echo $((40 + 2))\r\x1a");  // during a reply
  shell.Await("sh: ");
  shell.Type("echo $((40 + 3))\n");
  shell.Await("43\r\n");
  shell.Await("sh: ");
  shell.Type("fg\n");
  shell.Await("\033[?2004h");
  shell.Type("\x03");
  shell.Await("stopped");
  shell.Await("...");  // the answer to what was typed
  shell.Await("\r");
  shell.Type("\x03");
  shell.Await("stopped");
  shell.Await(kPrompt);
  const std::string file = (temp_.path() / "saved.json").string();
  shell.Type("/save " + file + "\r");
  shell.Await("saved ");
  const Json messages = Json::parse(std::ifstream(file)).at("messages");
  EXPECT_EQ(messages.at(0).at("content"), "echo $((40 + 1))");
  EXPECT_EQ(messages.at(2).at("content"), "echo $((40 + 2))");
  EXPECT_EQ(shell.all().find("42\r\n"), std::string::npos);
  EXPECT_EQ(shell.all().find("41\r\n"), std::string::npos);
}

TEST_F(ChatOnTerminal, CtrlZAndForeground) {
  TerminalProgram shell({"-i"}, ForShell(Settings()));
  shell.Await("sh: ");
  shell.Type(ShellCommand(Short()));
  shell.Await(kPrompt);
  shell.Type("half");
  shell.Await("half");
  shell.Type("\x1a");
  EXPECT_THAT(shell.Await("sh: "), HasSubstr("\033[?2004l"));
  shell.Type("echo $((40 + 2))\n");
  EXPECT_THAT(shell.Await("42\r\n"), HasSubstr("echo"));  // the terminal echoes again
  shell.Await("sh: ");
  shell.Type("fg\n");
  EXPECT_THAT(shell.Await(kPrompt), HasSubstr("\033[?2004h"));
  shell.Await("half");
  shell.Type(" whole\r");
  shell.Await("context ");
  shell.Await(kPrompt);
  const std::string file = (temp_.path() / "saved.json").string();
  shell.Type("/save " + file + "\r");
  shell.Await("saved ");
  EXPECT_EQ(Json::parse(std::ifstream(file)).at("messages").at(0).at("content"), "half whole");
}

TEST_F(ChatOnTerminal, TwoChatsAppendToOneHistory) {
  {
    TerminalProgram one(Short(), Settings()), two(Short(), Settings());
    for (TerminalProgram* chat : {&one, &two}) {
      chat->Await(kPrompt);
      chat->Type(chat == &one ? "/show\r" : "/tokens\r");
      chat->Await(kPrompt);
    }
    for (TerminalProgram* chat : {&one, &two}) {
      chat->Type(chat == &one ? "/exit\r" : "/bye\r");
      EXPECT_EQ(chat->Exit(), 0);
    }
  }
  struct stat status = {};
  ASSERT_EQ(stat(history_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  TerminalProgram chat(Short(), Settings());
  chat.Await(kPrompt);
  for (const char* entry : {"/bye", "/exit", "/tokens", "/show"}) {
    chat.Type("\033[A");
    chat.Await(std::string(entry).substr(1, 2));
  }
}

TEST_F(ChatOnTerminal, EditPutsTheMessageOnTheInputLine) {
  TerminalProgram chat(Short(), Settings());
  chat.Await(kPrompt);
  chat.Type("first\r");
  chat.Await("context ");
  chat.Await(kPrompt);
  chat.Type("/edit\r");
  chat.Await(kPrompt);
  chat.Await("/edit first");
  chat.Type(" and second\r");
  chat.Await("context ");
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat), testing::ElementsAre("first and second"));
}

TEST_F(ChatOnTerminal, AnEditorChangesTheMessage) {
  TerminalSettings settings = Settings();
  settings.environment["EDITOR"] = "sed -i s/first/second/";
  TerminalProgram chat(Short(), settings);
  chat.Await(kPrompt);
  chat.Type("the first\r");
  chat.Await("context ");
  chat.Await(kPrompt);
  chat.Type("/edit\r");
  EXPECT_THAT(chat.Await("context "), HasSubstr("\033[?2004l\033[?2004h"));  // the editor gets the terminal as it was
  chat.Await(kPrompt);
  EXPECT_THAT(SaveAndLeave(chat), testing::ElementsAre("the second"));
}

TEST_F(ChatOnTerminal, ALoadedChatShowsItsLastTurns) {
  WriteFile(temp_.path() / "old.json",
            R"([{"role": "user", "content": "early"}, {"role": "assistant", "content": "first"},
                {"role": "user", "content": "What?"}, {"role": "assistant", "content": "A **bold** word."},
                {"role": "user", "content": "And?"}, {"role": "assistant", "content": "\u001b[2Jno"}])");
  TerminalProgram chat(Arguments({"--load", (temp_.path() / "old.json").string()}), Settings());
  const std::string turns = chat.Await("/history shows all");
  EXPECT_THAT(turns, HasSubstr(kPrompt + "What?\r\n\r\nA \033[1mbold\033[0m word.\r\n"));
  EXPECT_THAT(turns, HasSubstr("\\x1B[2Jno"));
  EXPECT_THAT(turns, Not(HasSubstr("early")));
  chat.Await(kPrompt);
  chat.Type("/history\r");
  chat.Await("early");
}

TEST_F(ChatOnTerminal, PlainTextOfALoadedChatIsAsItCame) {
  const std::string code = "Long words " + std::string(90, 'x') + "\\n\\tif  (**x**)";
  WriteFile(temp_.path() / "old.json",
            R"([{"role": "user", "content": "a\tb"}, {"role": "assistant", "content": ")" + code + R"("}])");
  TerminalProgram chat(Arguments({"--plain", "--load", (temp_.path() / "old.json").string()}), Settings());
  const std::string turns = chat.Await("(**x**)");
  EXPECT_THAT(turns, HasSubstr(kPrompt + "a       b\r\n"));
  EXPECT_THAT(turns, HasSubstr("Long words " + std::string(90, 'x') + "\r\n\tif  (**x**)"));
}

// A reply that was taken back with its message takes nothing of the context.
TEST(TerminalScreen, AReplyWithoutAWordHasNoStatus) {
  GenerateResult result;
  result.reason = FinishReason::kCancelled;
  Output out(false, true);
  TerminalScreen screen(out, {.plain = true, .status = true});
  for (const bool kept : {false, true}) {
    testing::internal::CaptureStdout();
    screen.EndReply({.result = result, .prompt_tokens = 7, .context = 20}, kept);
    EXPECT_EQ(testing::internal::GetCapturedStdout(), kept ? "[context 7 of 20]\n" : "");
  }
}

TEST_F(ChatOnTerminal, EverythingIsWrappedToASmallWindow) {
  TerminalSettings settings = Settings();
  settings.columns = 40;
  settings.rows = 10;
  settings.environment["NO_COLOR"] = "1";
  TerminalProgram chat(Short(), settings);
  chat.Await("> ");
  for (const char* command : {"/help", "/show", "/stats", "/nothing", "/model"}) {
    chat.Type(std::string(command) + "\r");
    const std::string text = chat.Await("\r\n\r\n> ");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_TRUE(line.size() <= 41u || line.find('\033') != std::string::npos) << line;  // 41: with the \r
    }
  }
}

TEST_F(ChatOnTerminal, ATerminalWithoutEscapeSequencesGetsNone) {
  TerminalSettings settings = Settings();
  settings.environment["TERM"] = "dumb";
  TerminalProgram chat(Short(), settings);
  chat.Await("> ");
  chat.Type("Hi\r");
  chat.Await("[context ");
  chat.Await("> ");
  chat.Type("/exit\r");
  EXPECT_EQ(chat.Exit(), 0);
  EXPECT_EQ(chat.all().find('\033'), std::string::npos) << chat.all();
}

// chat | tee log: the prompt and the typed line are on the terminal, the replies in the file.
TEST_F(ChatOnTerminal, RepliesMayGoToAFile) {
  TerminalSettings settings = Settings();
  settings.stdout_path = (temp_.path() / "log").string();
  TerminalProgram chat(Short(), settings);
  chat.Await(kPrompt);
  chat.Type("hellx\x7fo\r");
  chat.Await(kPrompt);
  chat.Type("/exit\r");
  EXPECT_EQ(chat.Exit(), 0);
  std::ifstream file(settings.stdout_path, std::ios::binary);
  const std::string log((std::istreambuf_iterator<char>(file)), {});
  const ProgramResult piped = RunProgramBinary(Short(), {.standard_input = "hello\n"});
  EXPECT_EQ(log, piped.out);
}

TEST_F(ChatOnTerminal, SaysThatTheReaderOfItsRepliesHasEnded) {
  std::string command = ShellCommand(Endless());
  command.back() = ' ';
  TerminalSettings settings = Settings();
  settings.program = "/bin/sh";
  TerminalProgram shell({"-c", command + "| head -c 1"}, settings);
  shell.Await(kPrompt);
  shell.Type("Hi\r");
  EXPECT_THAT(shell.Await("tee -i FILE"), HasSubstr("\r\n\033[1;31merror:"));
  shell.Exit();
}

// What models, files and keys hold never acts on a terminal; files and pipes get the bytes.
class ControlCharacters : public testing::Test {
 protected:
  // Bytes that the program sends to its terminal.
  std::string Screen(const std::vector<std::string>& arguments, TerminalSettings settings = {}) const {
    settings.environment["NO_COLOR"] = "1";
    TerminalProgram program(arguments, settings);
    program.Exit();
    return program.all();
  }
  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
};

TEST_F(ControlCharacters, AreShownOnATerminalByEveryCommand) {
  const std::string escape = Joined(Tokenizer::FromFile(kTokenizer, {.model_vocab_size = 1000}).Encode("\x1B"));
  const std::vector<std::string> force = {"--greedy", "--max-new-tokens", "3",
                                          "--quiet",  "--logit-bias",     escape + "=1000"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), force.begin(), force.end());
    return arguments;
  };
  WriteFile(temp_.path() / "in", "hello\n");
  const std::string three = "\\x1B\\x1B\\x1B\r\n";
  EXPECT_EQ(Screen(with({"generate", "-m", model_, "Hello"})), three);
  EXPECT_EQ(Screen(with({"generate", "-m", model_, "--no-system", "--user", "Hello"})), three);
  EXPECT_EQ(Screen(with({"chat", "-m", model_, "--no-system"}), {.stdin_path = (temp_.path() / "in").string()}), three);
  EXPECT_EQ(Screen({"detokenize", "-m", model_, escape}), "\\x1B\r\n");
  EXPECT_EQ(RunProgramBinary(with({"generate", "-m", model_, "Hello"})).out, "\x1B\x1B\x1B\n");
  const std::string json = Screen(with({"generate", "-m", model_, "\u009B1m\x7F", "--json", "--echo"}));
  EXPECT_THAT(json, HasSubstr("\\u009B1m\\u007F"));
  EXPECT_THAT(Screen({"inspect", "/nowhere/\x1B]0;x\x07"}), HasSubstr("/nowhere/\\x1B]0;x\\x07"));
  for (const std::string& screen : {json, Screen({"prompt", "-m", model_, "--user", "\x1B[2J"})}) {
    EXPECT_EQ(screen.find('\x1B'), std::string::npos) << screen;
  }
  EXPECT_THAT(RunProgramBinary({"inspect", "/nowhere/\x1B]0;x\x07"}).err, HasSubstr("/nowhere/\x1B]0;x\x07"));
}

// The shell's prompt begins a row of its own: below a progress bar, "^C", and text without a line end.
TEST_F(ControlCharacters, TheShellsPromptAndNotesStandOnRowsOfTheirOwn) {
  TerminalProgram waiting({"tokenize", "-m", model_});
  waiting.Await("Ctrl-D");
  waiting.Type("x\x03");
  EXPECT_EQ(waiting.Exit(), 130);
  EXPECT_THAT(waiting.all(), testing::EndsWith("^C\r\n"));
  const std::string escape = Joined(Tokenizer::FromFile(kTokenizer, {.model_vocab_size = 1000}).Encode("\x1B"));
  const std::string bias = escape + "=1000";
  EXPECT_THAT(Screen({"generate", "-m", model_, "Hello", "-n", "2", "--greedy", "--no-newline", "--logit-bias", bias}),
              testing::AnyOf(HasSubstr("\\x1B\\x1B\r\n\033[36mnote:"), HasSubstr("\\x1B\\x1B\r\nnote:")));
}

}  // namespace
}  // namespace stablelm
