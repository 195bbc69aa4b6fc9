// Manual pages: every command has one, roff accepts them without warnings, and no text is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/app/man_page.h"
#include "program_error.h"
#include "run_program.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(ManPage, TextIsRoff) {
  const CommandText command = {
      .name = "two words",
      .summary = "Do it",
      .examples = ".first line\n  'x \\n --y\n'z",
      .notes = "One\nparagraph.\n\nTable:\n  .a\nEnd",
      .options = {{.names = {"-m", "--model"}, .value = "DIR", .help = "A folder", .choices = {}, .takes_file = true},
                  {.names = {"TEXT"}, .value = "TEXT", .help = "The input.", .choices = {}, .takes_file = false}}};
  const std::string page = CommandManPage(command, "1.2.3");
  EXPECT_THAT(page, testing::StartsWith(".TH \"STABLELM-TWO-WORDS\" 1 \"\" \"stablelm 1.2.3\""));
  EXPECT_THAT(page, HasSubstr("stablelm\\-two\\-words \\- Do it\n"));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fB\\-m\\fR, \\fB\\-\\-model\\fR \\fIDIR\\fR\nA folder.\n"));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fITEXT\\fR\nThe input.\n"));
  EXPECT_THAT(page, HasSubstr(".SH DESCRIPTION\nDo it.\n.PP\nOne\nparagraph.\n.PP\nTable:\n.nf\n  .a\n.fi\nEnd\n"));
  EXPECT_THAT(page, HasSubstr(".nf\n\\&.first line\n  'x \\en \\-\\-y\n\\&'z\n.fi\n"));
}

class ManPages : public testing::Test {
 protected:
  ManPages() {
    const ProgramResult result = RunProgramBinary({"man", "--folder", folder_.string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) files_.push_back(entry.path());
  }
  static std::string Read(const std::filesystem::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path() / "share/man1";
  std::vector<std::filesystem::path> files_;
};

TEST(ManCommand, KnowsGroupsAndTheNamesOfOthers) {
  const std::string group = RunProgramBinary({"man", "bench"}).out;
  EXPECT_THAT(group, HasSubstr(".TH \"STABLELM-BENCH\" 1"));
  EXPECT_THAT(group, HasSubstr(".BR stablelm\\-bench\\-memory (1)\n"));
  EXPECT_EQ(RunProgramBinary({"man", "show"}).out, RunProgramBinary({"man", "inspect"}).out);
  EXPECT_EQ(RunProgramBinary({"man", "perplexity"}).out, RunProgramBinary({"man", "score"}).out);
  EXPECT_EQ(RunProgramBinary({"man", "bench", "memory"}).out, RunProgramBinary({"man", "bench memory"}).out);
  EXPECT_THAT(RunProgramBinary({"man", "bench", "memry"}), Fails(2, "man", {"\"bench memry\"", "bench memory"}));
  EXPECT_THAT(RunProgramBinary({"man", "benc"}), Fails(2, "man", {"\"benc\""}));
  const std::string chat = RunProgramBinary({"man", "chat"}).out;
  EXPECT_THAT(chat, HasSubstr("HUGGINGFACE_HUB_CACHE"));
  EXPECT_THAT(chat, HasSubstr("~/.editrc"));
  EXPECT_THAT(chat, testing::Not(HasSubstr("cores, here")));  // nothing of the machine that printed it
}

TEST_F(ManPages, OneForEveryCommand) {
  EXPECT_GE(files_.size(), 13u);
  EXPECT_EQ(Read(folder_ / "stablelm-chat.1"), RunProgramBinary({"man", "chat"}).out);
  EXPECT_EQ(Read(folder_ / "stablelm-bench-memory.1"), RunProgramBinary({"man", "bench memory"}).out);
  EXPECT_EQ(Read(folder_ / "stablelm-bench.1"), RunProgramBinary({"man", "bench"}).out);
  EXPECT_THAT(Read(folder_ / "stablelm-bench-memory.1"), testing::EndsWith(".BR stablelm\\-bench (1)\n"));
  const std::string program = RunProgramBinary({"man"}).out;
  EXPECT_EQ(Read(folder_ / "stablelm.1"), program);
  for (const auto& file : files_) {
    const std::string name = file.stem().string();
    if (name == "stablelm") continue;
    std::string shown = name;
    for (size_t at = 0; (at = shown.find('-', at)) != std::string::npos; at += 2) shown.insert(at, "\\");
    EXPECT_THAT(program, HasSubstr(".BR " + shown + " (1)"));
  }
  EXPECT_THAT(RunProgramBinary({"man", "chta"}), Fails(2, "man", {"\"chta\"", "chat?"}));
  EXPECT_THAT(RunProgramBinary({"man", "chat", "--folder", "x"}), Fails(2, "--folder"));
}

TEST_F(ManPages, SayWhatIsReadBesidesTheArguments) {
  const std::string program = RunProgramBinary({"man"}).out, chat = RunProgramBinary({"man", "chat"}).out;
  for (const char* title : {".SH DESCRIPTION", ".SH ENVIRONMENT", ".SH FILES"}) {
    EXPECT_THAT(program, HasSubstr(title));
    EXPECT_THAT(chat, HasSubstr(title));
  }
  for (const char* name : {"STABLELM_MODEL", "STABLELM_SIMD", "HF_HUB_CACHE", "NO_COLOR", "VISUAL", "XDG_STATE_HOME"}) {
    EXPECT_THAT(program, HasSubstr(name));
  }
  const std::string memory = RunProgramBinary({"man", "bench memory"}).out;
  EXPECT_THAT(memory, HasSubstr("STABLELM_SIMD"));
  EXPECT_THAT(memory, testing::Not(HasSubstr("STABLELM_MODEL")));
}

TEST_F(ManPages, RoffHasNothingToComplainOf) {
  if (!std::filesystem::exists("/usr/bin/groff")) GTEST_SKIP() << "groff is not installed";
  for (const auto& file : files_) {
    const ProgramResult result =
        RunProgramBinary({"-man", "-ww", "-Tascii", "-P-c", file.string()}, {.program = "/usr/bin/groff"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "") << file;
    EXPECT_THAT(result.out, HasSubstr("0 done, 1 failed")) << file;
  }
}

}  // namespace
}  // namespace stablelm
