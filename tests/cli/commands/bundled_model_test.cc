// The model that comes with the program answers when none is named. An installed program is imitated: bin/stablelm and
// share/stablelm/stablelm-demo.gguf in a folder of the test.
#include "cli/app/bundled_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "golden_command.h"
#include "program_error.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

class BundledModel : public testing::Test {
 protected:
  void SetUp() override {
    if (*kEmulator) GTEST_SKIP() << "the copy of the program would not run in the emulator";
    fs::create_directories(prefix_ / "bin");
    fs::create_directories(prefix_ / "share/stablelm");
    std::error_code other_disk;
    fs::create_hard_link(kProgram, program_, other_disk);
    if (other_disk) fs::copy_file(kProgram, program_);
    fs::copy_file(TestData("../../demo/stablelm-demo.gguf"), model_);
  }
  ProgramResult Run(const Words& words, ProgramInput input = {}) const {
    if (input.program == kProgram) input.program = program_;
    input.environment.emplace("STABLELM_MODEL", "");
    return RunProgramBinary(words, input);
  }
  Json RunJson(Words words, const ProgramInput& input = {}) const {
    words.insert(words.end(), {"--json", "--max-new-tokens", "8"});
    const ProgramResult result = Run(words, input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }

  const TempFolder temp_;
  const fs::path prefix_ = temp_.path() / "prefix";
  const std::string program_ = prefix_ / "bin/stablelm";
  const std::string model_ = prefix_ / "share/stablelm" / kBundledModel;
};

TEST_F(BundledModel, ChatsThroughAPipe) {
  const ProgramResult named = Run({"chat", "-m", model_}, {.standard_input = "Hello!\n"});
  EXPECT_THAT(named.err, Not(HasSubstr("no model was named")));
  const ProgramResult chat = Run({"chat"}, {.standard_input = "Hello!\n"});
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out, named.out);
  EXPECT_NE(chat.out, "");
  EXPECT_THAT(chat.err, testing::StartsWith("note: no model was named: the small demonstration"));
  const ProgramResult empty = Run({"chat"});
  EXPECT_EQ(empty.exit_code, 0) << empty.err;
  EXPECT_EQ(empty.out, "");
  EXPECT_EQ(Run({"chat", "--quiet"}).err, "");
}

TEST_F(BundledModel, IsFoundFromTheProgramsOwnPlace) {
  const Words words = {"chat", "--quiet"};
  const ProgramInput hello = {.standard_input = "Hello!\n"};
  const auto answers = [&](const fs::path& program) {
    ProgramInput input = hello;
    input.program = program;
    const ProgramResult result = Run(words, input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string answer = answers(program_);
  fs::create_symlink("prefix/bin/stablelm", temp_.path() / "link");
  fs::create_symlink("link", temp_.path() / "link_to_link");
  EXPECT_EQ(answers(temp_.path() / "link_to_link"), answer);
  const fs::path moved = temp_.path() / "moved";
  fs::rename(prefix_, moved);
  EXPECT_EQ(answers(moved / "bin/stablelm"), answer);
  // Beside the program, where a build folder has a link.
  fs::rename(moved / "share/stablelm" / kBundledModel, temp_.path() / "model");
  fs::create_symlink("../../model", moved / "bin" / kBundledModel);
  EXPECT_EQ(answers(moved / "bin/stablelm"), answer);
}

TEST_F(BundledModel, IsAskedWhatGenerateGetsAsAPrompt) {
  const Json user = RunJson({"generate", "-m", model_, "--user", "Hello"});
  const auto ids = [&](const Words& words, const std::string& standard_input = {}) {
    return RunJson(words, {.standard_input = standard_input}).at("ids");
  };
  EXPECT_EQ(ids({"generate", "Hello"}), user.at("ids"));
  EXPECT_EQ(ids({"generate", "-p", "Hello"}), user.at("ids"));
  EXPECT_EQ(ids({"generate"}, "Hello\n"), user.at("ids"));
  EXPECT_EQ(ids({"generate", "-"}, "Hello\r\n"), user.at("ids"));
  EXPECT_EQ(ids({"generate", "--user", "", "-"}, "Hello\r\n"), user.at("ids"));
  WriteFile(temp_.path() / "hello", "Hello\n");
  EXPECT_EQ(ids({"generate", "--file", temp_.path() / "hello"}), user.at("ids"));
  EXPECT_EQ(RunJson({"generate", "Hello", "--system", "S"}).at("prompt_ids"),
            RunJson({"generate", "-m", model_, "--user", "Hello", "--system", "S"}).at("prompt_ids"));
  // What says how it is to be read is read so.
  EXPECT_EQ(RunJson({"generate", "<|USER|>Hello", "--parse-special"}).at("prompt_ids"),
            RunJson({"generate", "-m", model_, "<|USER|>Hello", "--parse-special"}).at("prompt_ids"));
  EXPECT_THAT(Run({"generate", "--ids", "5 6 7"}), Fails(2, "--ids", {"tokenizer", "-m MODEL"}));
  for (const Words& words : {Words{"generate", ""}, Words{"generate"}, Words{"generate", "-p", ""}}) {
    EXPECT_THAT(Run(words), Fails(1, "the prompt", {"empty"}));
  }
  EXPECT_EQ(RunJson({"generate", "--user", "Hello"}).at("ids"), user.at("ids"));
  WriteFile(temp_.path() / "in", R"({"prompt": "Hello"})");
  EXPECT_EQ(RunJson({"generate", "--input", temp_.path() / "in"}).at("ids"),
            RunJson({"generate", "-m", model_, "--input", temp_.path() / "in"}).at("ids"));

  const ProgramResult asked = Run({"generate", "Hello"});
  EXPECT_THAT(asked.err, testing::StartsWith("note: no model was named"));
  EXPECT_THAT(asked.err, HasSubstr("as with --user"));
  EXPECT_THAT(Run({"generate", "--user", "Hello"}).err,
              AllOf(HasSubstr("no model was named"), Not(HasSubstr("--user"))));
  // With a name nothing changes.
  EXPECT_EQ(RunJson({"generate", "-m", model_, "Hello"}).at("prompt_ids"),
            RunJson({"generate", "Hello"}, {.environment = {{"STABLELM_MODEL", model_}}}).at("prompt_ids"));
}

TEST_F(BundledModel, IsTakenByRun) {
  const std::string answer = Run({"chat"}, {.standard_input = "Hello\n"}).out;
  EXPECT_EQ(Run({"run"}, {.standard_input = "Hello\n"}).out, answer);
  EXPECT_EQ(RunJson({"run", "-p", "Hello"}).at("ids"), RunJson({"generate", "Hello"}).at("ids"));
  const ProgramInput notes = {.standard_input = "Hello\n"};
  const auto prompt = [&](const Words& words) { return RunJson(words, notes).at("prompt_ids"); };
  EXPECT_EQ(prompt({"run", "-p", "Say:", "-"}), prompt({"run", model_, "Say:", "-"}));
  EXPECT_EQ(prompt({"run", model_, "-p", "Say:", "-"}), prompt({"run", model_, "Say:", "-"}));
  for (const Words& words : {Words{"run", "-"}, Words{"run", model_, "-"}}) {
    EXPECT_EQ(prompt(words), prompt({"run", "-p", "Hello"}));
    EXPECT_THAT(Run(words), Fails(1, "standard input", {"empty"}));
  }
  // A word may be a model that is missing.
  for (const char* command : {"run", "chat"}) {
    EXPECT_THAT(Run({command, "Hello!"}), Fails(2, command, {"\"Hello!\"", "stablelm run -p TEXT"}));
  }
}

TEST_F(BundledModel, IsNamedByShowConfig) {
  EXPECT_THAT(Run({"generate", "--show-config"}).out,
              AllOf(testing::StartsWith("model "), HasSubstr(kBundledModel), HasSubstr("demonstration")));
  EXPECT_EQ(Json::parse(Run({"generate", "--show-config", "--json"}).out).at("bundled_model"), model_);
  const std::string named = Run({"generate", "-m", model_, "--user", "a", "--show-config"}).out;
  EXPECT_THAT(named, Not(HasSubstr("demonstration")));
  EXPECT_THAT(Run({"generate", "--show-config"}).out, testing::EndsWith(named));
  // Its own record holds, and options go before it.
  EXPECT_THAT(named, testing::ContainsRegex("do_sample +false +stablelm.chat\n"));
  EXPECT_THAT(Run({"generate", "--show-config", "--temperature", "0.5"}).out,
              AllOf(testing::ContainsRegex("temperature +0.5 +option\n"), Not(HasSubstr("unused"))));
}

TEST_F(BundledModel, NeverTakesThePlaceOfANamedOne) {
  const std::string missing = (temp_.path() / "missing").string();
  for (const Words& words :
       {Words{"chat", "-m", missing}, Words{"chat", missing}, Words{"generate", "-m", missing, "a"},
        Words{"run", missing}, Words{"run", "-m", missing, "-p", "a"}}) {
    EXPECT_THAT(Run(words), Fails(1, missing)) << words[0];
  }
  for (const Words& words : {Words{"chat"}, Words{"generate", "a"}, Words{"run", "-p", "a"}}) {
    EXPECT_THAT(Run(words, {.environment = {{"STABLELM_MODEL", missing}}}), Fails(1, missing)) << words[0];
    EXPECT_THAT(Run(words, {.environment = {{"STABLELM_MODEL", missing}}}).err, HasSubstr("from STABLELM_MODEL"));
  }
  for (const std::string& model : {model_, missing + ".gguf"}) {  // in the place of the prompt
    EXPECT_THAT(Run({"generate", model}), Fails(2, "--model", {"-m " + model}));
  }
  EXPECT_EQ(Run({"generate", prefix_.string()}).exit_code, 0);  // no model: a text
  EXPECT_THAT(Run({"score", "a"}), Fails(2, "--model", {"STABLELM_MODEL", model_}));
  EXPECT_THAT(Run({"prompt", "--user", "a"}), Fails(2, "--model", {model_}));
  EXPECT_THAT(Run({"tokenize", "a"}), Fails(2, "-m, --tokenizer", {model_}));
  EXPECT_THAT(Run({"inspect"}), Fails(2, "MODEL", {model_}));
}

TEST_F(BundledModel, MissingIsAClearError) {
  fs::remove(model_);
  for (const Words& words : {Words{"chat"}, Words{"generate", "a"}, Words{"run"}, Words{"generate", "--show-config"}}) {
    EXPECT_THAT(Run(words), Fails(2, "--model", {prefix_ / "bin" / kBundledModel, model_, "-m MODEL"})) << words[0];
  }
  // Wrong usage comes first.
  EXPECT_THAT(Run({"generate", "--ids", "1", "a"}), Fails(2, "--ids"));
}

TEST_F(BundledModel, DamagedIsAClearError) {
  const auto size = fs::file_size(model_);
  fs::resize_file(model_, size / 2);
  for (const Words& words : {Words{"chat"}, Words{"generate", "a"}}) EXPECT_THAT(Run(words), Fails(1, model_));
  fs::resize_file(model_, 0);
  EXPECT_THAT(Run({"chat"}), Fails(1, model_));
  fs::remove(model_);
  fs::create_directory(model_);
  EXPECT_EQ(Run({"chat"}).exit_code, 1);
}

TEST_F(BundledModel, OneBitOrAnotherModelIsFound) {
  std::fstream file(model_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(fs::file_size(model_)) - 100);
  const char byte = static_cast<char>(file.peek() ^ 1);
  file.put(byte);
  file.close();
  EXPECT_THAT(Run({"chat"}), Fails(1, model_, {"SHA-256", "-m " + model_}));
  EXPECT_EQ(Run({"chat", "-m", model_}).exit_code, 0);
  fs::remove(model_);
  ASSERT_EQ(Run({"convert", ModelWithTokenizer(temp_), model_}).exit_code, 0);
  EXPECT_THAT(Run({"generate", "a"}), Fails(1, model_, {"SHA-256", "-m " + model_}));
}

// A narrow terminal, the C locale and a home that cannot be written change nothing.
TEST_F(BundledModel, GreetsAPerson) {
  fs::create_directory(temp_.path() / "home");
  fs::permissions(temp_.path() / "home", fs::perms::owner_read | fs::perms::owner_exec);
  for (const std::string& home : {(temp_.path() / "home").string(), std::string("/proc/no/home")}) {
    TerminalProgram chat({"chat", "--max-new-tokens", "3"}, {.columns = 20,
                                                             .environment = {{"STABLELM_MODEL", ""},
                                                                             {"HOME", home},
                                                                             {"XDG_STATE_HOME", ""},
                                                                             {"LC_ALL", "C"},
                                                                             {"LANG", "C"},
                                                                             {"NO_COLOR", "1"}},
                                                             .program = program_});
    const std::string start = chat.Await("> ");
    EXPECT_THAT(start, testing::StartsWith("\033[?2004hA small\r\ndemonstration model"));
    EXPECT_THAT(start, Not(HasSubstr("note:")));
    std::istringstream rows(start);
    for (std::string row; std::getline(rows, row);) EXPECT_LE(row.size(), 21u) << row;
    chat.Type("Hello\r");
    chat.Await("[context ");
    chat.Await("> ");
    chat.Type("/help\r");
    chat.Await("commercial use.");
    EXPECT_THAT(chat.Await("> "), HasSubstr("\r\n  stablelm fit \\\r\n      --shape 3b \\\r\n"));
    chat.Type("/exit\r");
    EXPECT_EQ(chat.Exit(), 0);
    EXPECT_THAT(chat.all(), Not(HasSubstr("warning")));
  }
}

TEST_F(BundledModel, IsToldOfInHelp) {
  for (const char* command : {"chat", "generate", "run"}) {
    EXPECT_THAT(Run({command, "--help"}).out, HasSubstr("comes with stablelm")) << command;
  }
  EXPECT_THAT(Run({"--help"}).out, HasSubstr("  stablelm chat "));
  EXPECT_THAT(Run({"chat", "--help"}).out, AllOf(HasSubstr("StableLM-Tuned-Alpha"), HasSubstr("commercial")));
  const std::string help = Run({"chat"}, {.standard_input = "/help\n"}).out;
  EXPECT_THAT(help, HasSubstr("StableLM-Tuned-Alpha"));
  EXPECT_THAT(Run({"chat", "-m", model_}, {.standard_input = "/help\n"}).out, Not(HasSubstr("StableLM-Tuned-Alpha")));
  EXPECT_THAT(Run({"chat"}, {.standard_input = "/model\n"}).out, HasSubstr("comes with stablelm"));
  for (const char* command : {"chat", "generate", "run"}) {
    EXPECT_THAT(Run({"man", command}).out, HasSubstr("share/stablelm/stablelm\\-demo.gguf")) << command;
  }
  EXPECT_THAT(Run({"man", "score"}).out, Not(HasSubstr("stablelm\\-demo")));
}

}  // namespace
}  // namespace stablelm
