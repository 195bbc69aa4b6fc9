// The program's frame: version, help, unknown names, exit codes, pipes. The commands have their own tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program_error.h"
#include "run_program.h"
#include "terminal_program.h"
#include "test_paths.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(Program, Version) {
  const ProgramResult text = RunProgramBinary({"--version"});
  EXPECT_EQ(text.exit_code, 0);
  for (const char* word : {"stablelm 0.", "commit", "compiler", "unicode", "GGUF", "Q4_K_M", "q8",
                           "decoded while loading: Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, IQ4_NL, IQ4_XS\n"}) {
    EXPECT_THAT(text.out, HasSubstr(word));
  }
  EXPECT_EQ(text.err, "");
  const ProgramResult json = RunProgramBinary({"--version", "--json"});
  EXPECT_EQ(json.exit_code, 0);
  const auto info = nlohmann::json::parse(json.out);
  EXPECT_THAT(info.at("weights"), testing::IsSupersetOf({"fp16", "Q8_0"}));
  EXPECT_THAT(info.at("decoded_on_load"), testing::Contains("IQ4_XS"));
  EXPECT_THAT(text.out, Not(HasSubstr("not built")));
  EXPECT_THAT(RunProgramBinary({"--version", "x"}), Fails(2, "--version", {"\"x\""}));
}

TEST(Program, SimdTargetCanBeForced) {
  const auto simd = nlohmann::json::parse(RunProgramBinary({"--version", "--json"}).out).at("simd");
  ASSERT_FALSE(simd.at("usable").empty());
  EXPECT_EQ(simd.at("in_use"), simd.at("usable").at(0));
  for (const std::string name : simd.at("usable")) {
    const ProgramResult forced = RunProgramBinary({"--version", "--json"}, {.environment = {{"STABLELM_SIMD", name}}});
    EXPECT_EQ(nlohmann::json::parse(forced.out).at("simd").at("in_use"), name);
  }
  const ProgramResult unknown = RunProgramBinary({"--version"}, {.environment = {{"STABLELM_SIMD", "mmx"}}});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_EQ(unknown.out, "");
  EXPECT_THAT(unknown.err, HasSubstr("STABLELM_SIMD"));
}

TEST(Program, Help) {
  const ProgramResult help = RunProgramBinary({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("Usage: stablelm COMMAND"));
  EXPECT_EQ(RunProgramBinary({"help"}).out, help.out);
  const ProgramResult nothing = RunProgramBinary({});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_EQ(nothing.out, "");
  EXPECT_EQ(nothing.err, help.out);
}

TEST(Program, UnknownNamesAreRefusedWithTheNearest) {
  const ProgramResult flag = RunProgramBinary({"--versoin"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_EQ(flag.out, "");
  EXPECT_EQ(flag.err, "error: unknown option \"--versoin\"\nhint:  did you mean --version?\n");
  EXPECT_THAT(RunProgramBinary({"bench", "m.gguf"}),
              Fails(2, "unknown command", {"bench m.gguf", "stablelm bench --help"}));
  EXPECT_THAT(RunProgramBinary({"m.gguf"}), Fails(2, "unknown command", {"stablelm run m.gguf"}));
  EXPECT_THAT(RunProgramBinary({"-m", "m.gguf"}), Fails(2, "unknown option", {"stablelm run -m"}));
  const ProgramResult command = RunProgramBinary({"xyzzy\xFF\x1B[31m"});
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_EQ(command.err, "error: unknown command \"xyzzy\\xFF\\x1B[31m\"\nhint:  stablelm --help lists the commands\n");
}

TEST(Program, OptionsOfOtherCommandsAreToldWhere) {
  EXPECT_THAT(RunProgramBinary({"run", "m", "--samples", "2", "x"}),
              Fails(2, "run", {"\"--samples\"", "stablelm generate"}));
  EXPECT_THAT(RunProgramBinary({"tokenize", "--max-shard-size", "1"}), Fails(2, "tokenize", {"stablelm convert"}));
  // A text where the model belongs, as with STABLELM_MODEL set.
  for (const char* model : {"", "m"}) {
    EXPECT_THAT(RunProgramBinary({"run", "Hi there"}, {.environment = {{"STABLELM_MODEL", model}}}),
                Fails(2, "run", {"\"Hi there\"", "the model comes first", "stablelm run MODEL TEXT"}));
  }
  EXPECT_THAT(RunProgramBinary({"chat", "m", "Hi"}), Fails(2, "chat", {"\"Hi\"", "stablelm run MODEL TEXT"}));
  EXPECT_THAT(RunProgramBinary({"chat", "-m", "nowhere"}), Fails(2, "chat", {"\"nowhere\"", "check the path"}));
  EXPECT_THAT(RunProgramBinary({"run", "no/model"}), Fails(1, "no/model", {"Hugging Face cache"}));
  const ProgramResult nowhere = RunProgramBinary({"run", "m", "--xyzzy"});
  EXPECT_THAT(nowhere, Fails(2, "run", {"stablelm run --help"}));
}

// On a terminal errors are wrapped by words, beside their label; in a pipe they are two lines whatever their length.
TEST(Program, ErrorsFitTheTerminal) {
  const std::string model = "/nowhere/a-long-name-of-a-model";
  TerminalProgram terminal({"inspect", model}, {.columns = 40});
  EXPECT_EQ(terminal.Exit(), 1);
  std::vector<std::string> rows;
  std::istringstream lines(terminal.all());
  for (std::string line; std::getline(lines, line);) rows.push_back(line.substr(0, line.find_last_not_of('\r') + 1));
  ASSERT_GE(rows.size(), 3u) << terminal.all();
  EXPECT_THAT(rows[0], testing::EndsWith(model + ":"));
  for (size_t i = 1; i < rows.size(); ++i) {
    EXPECT_LT(rows[i].size(), 40u);
    EXPECT_THAT(rows[i], testing::AnyOf(testing::StartsWith("       "), testing::StartsWith("hint:  "))) << i;
  }
  const std::string err = RunProgramBinary({"inspect", model}).err;
  EXPECT_EQ(std::ranges::count(err, '\n'), 2) << err;
}

// Tables too; files and pipes have each row on a line.
TEST(Program, TablesFitTheTerminal) {
  const std::string model = TestData("golden/parallel");
  for (const auto& words : std::vector<std::vector<std::string>>{{"fit", "--shape", "3b", "--context", "16"},
                                                                 {"inspect", model},
                                                                 {"score", "-m", model, "--ids-file", "-"}}) {
    for (const unsigned short columns : std::initializer_list<unsigned short>{40, 50}) {
      SCOPED_TRACE(words[0] + ", " + std::to_string(columns));
      TerminalProgram terminal(words, {.columns = columns, .environment = {{"NO_COLOR", "1"}}});
      if (words[0] == "score") terminal.Type("[[1, 2, 3]]\n\x04");
      terminal.Exit();
      std::istringstream lines(terminal.all());
      size_t rows = 0;
      for (std::string line; std::getline(lines, line); ++rows) {
        const std::string row = line.substr(0, line.find_last_not_of('\r') + 1);
        EXPECT_LT(row.size(), columns) << row;
      }
      EXPECT_GE(rows, 2u);
      if (words[0] == "fit" && columns == 50) {  // names and sizes stay beside each other
        EXPECT_THAT(terminal.all(), testing::ContainsRegex("\r\nweights \\(embedding, mapped file\\) +[0-9.]+ MB\r\n"));
      }
    }
  }
  const std::string piped = RunProgramBinary({"fit", "--shape", "3b", "--context", "16"}).out;
  EXPECT_THAT(piped, testing::ContainsRegex("weights \\(embedding, mapped file\\) +415 MB +415236096 bytes\n"));
}

TEST(Program, FullDiskIsAnError) {
  const ProgramResult result = RunProgramBinary({"--help"}, {.stdout_path = "/dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output: cannot write: No space left on device"));
}

TEST(Program, ClosedPipeEndsQuietly) {
  const ProgramResult result = RunProgramBinary({"--help"}, {.close_stdout = true});
  EXPECT_EQ(result.exit_code, 128 + SIGPIPE);
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace stablelm
