// stablelm prepare, as a user runs it: what it writes and prints, what it refuses, and what a run that does not end
// well leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "dataset/recipe.h"
#include "golden_command.h"
#include "program_error.h"
#include "terminal_program.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class PrepareCommand : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() / name; }
  std::string Write(const std::string& name, const std::string& text) const {
    WriteFile(Path(name), text);
    return Path(name);
  }
  // `n` conversations of OpenAI's format, from number `from` on.
  static std::string Chats(size_t n, size_t from = 0) {
    std::string lines;
    for (size_t i = from; i < from + n; ++i) {
      const std::string number = std::to_string(i);
      lines += R"({"messages": [{"role": "user", "content": "question )" + number +
               R"("}, {"role": "assistant", "content": "answer )" + number + "\"}]}\n";
    }
    return lines;
  }
  static ProgramResult Run(std::vector<std::string> arguments, const ProgramInput& input = {}) {
    arguments.insert(arguments.begin(), "prepare");
    return RunProgramBinary(arguments, input);
  }
  // Arguments with the test tokenizer and a system text of one letter, to keep samples short.
  std::vector<std::string> Plain(const std::string& what, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {what, "--set", "tokenizer=" + kTokenizer, "--set", "sources.0.system=\"S\""};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static nlohmann::json Json(const ProgramResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  }
  std::set<std::string> Names(const std::string& below = "") const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path() / below)) names.insert(entry.path().filename());
    return names;
  }
  bool HasUnfinished() const {
    for (const std::string& name : Names()) {
      if (name.find(".stablelm.tmp.") != std::string::npos) return true;
    }
    return false;
  }

  const TempFolder folder_;
};

TEST_F(PrepareCommand, AFileBecomesAFolder) {
  const std::string model = ModelWithTokenizer(folder_), chats = Write("chats.jsonl", Chats(40) + Chats(1) + "{x\n");
  const std::vector<std::string> arguments = {
      chats, "-m", model, "-o", Path("out"), "--set", "sequence_length=512", "--set", "validation=0.2"};
  const ProgramResult first = Run(arguments);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, AllOf(HasSubstr("chats (messages)    42    40        2"),
                               HasSubstr("chats: read as messages, because the rows have a list \"messages\""),
                               HasSubstr("1  exact-duplicate"), HasSubstr("(first: chats.jsonl:41)"),
                               HasSubstr("1  not-json"), HasSubstr("(first: chats.jsonl:42)")));
  EXPECT_THAT(Names("out"), ElementsAre("manifest.json", "report.html", "run.json", "train-00000.tokens", "train.index",
                                        "validation-00000.tokens", "validation.index"));
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(static_cast<unsigned>(fs::status(Path("out")).permissions()), 0777U & ~mask);
  EXPECT_FALSE(HasUnfinished());

  const auto time = fs::last_write_time(Path("out/manifest.json"));
  const ProgramResult second = Run(arguments);
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_EQ(second.out, "");
  EXPECT_THAT(second.err, HasSubstr("holds these data already"));
  EXPECT_EQ(fs::last_write_time(Path("out/manifest.json")), time);
}

TEST_F(PrepareCommand, TheModelGivesTheSequenceLength) {
  const std::string model = ModelWithTokenizer(folder_), chats = Write("chats.jsonl", Chats(3));
  const ProgramResult dry = Run({chats, "-m", model, "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("sequence_length: 256  # default"));
  EXPECT_THAT(dry.err, Not(HasSubstr("warning:")));
  EXPECT_THAT(Run({chats, "-m", model, "--dry-run", "--set", "sequence_length=257"}).err,
              HasSubstr("warning: sequence_length 257 is more than the context of with_tokenizer, 256"));
  // The card's system text alone is longer.
  EXPECT_THAT(Run({chats, "-m", model, "-o", Path("out")}),
              Fails(1, "chats", {"3 conversations", "3 dropped as too-long", "`sequence_length` is 256"}));
  EXPECT_FALSE(fs::exists(Path("out")));
}

TEST_F(PrepareCommand, RunsARecipeFromAnywhere) {
  fs::create_directory(Path("data"));
  Write("data/a.jsonl", Chats(30));
  Write("data/b.jsonl", Chats(30, 100));
  const std::string recipe = Write("recipe.yaml", "tokenizer: " + kTokenizer +
                                                      "\nvalidation: 0\nsources:\n"
                                                      "  - {name: a, path: data/a.jsonl, system: S, limit: 20}\n"
                                                      "  - {name: b, path: data/b.jsonl, system: S, weight: 2}\n");
  const nlohmann::json all = Json(Run({recipe, "-o", Path("out"), "--json"}));
  EXPECT_EQ(all["sources"][0]["rows"], 20);
  EXPECT_EQ(all["sources"][1]["rows"], 30);
  EXPECT_EQ(all["splits"]["train"]["documents"], 80);
  EXPECT_EQ(all["out"], Path("out"));
  const nlohmann::json manifest = nlohmann::json::parse(std::ifstream(Path("out/manifest.json")));
  EXPECT_EQ(manifest["chat_record"]["system"], "S");  // of both sources
  // A slash after the folder's name changes nothing, nor does another number of threads.
  EXPECT_EQ(Json(Run({recipe, "-o", Path("out/"), "--json", "--threads", "1"}))["unchanged"], true);
  EXPECT_EQ(Json(Run({recipe, "-o", Path("new/"), "--json"}))["unchanged"], false);

  const nlohmann::json some = Json(
      Run({recipe, "-o", Path("some"), "--json", "--limit", "10", "--set", "sources.b.limit=5", "--set", "seed=7"}));
  EXPECT_EQ(some["sources"][0]["rows"], 10);
  EXPECT_EQ(some["sources"][1]["rows"], 5);
}

TEST_F(PrepareCommand, TakesAPatternOnTheCommandLine) {
  Write("a.jsonl", Chats(3));
  Write("b.jsonl", Chats(3, 10));
  const nlohmann::json account = Json(Run(Plain(Path("*.jsonl"), {"--dry-run", "--json"})));
  EXPECT_EQ(account["sources"][0]["files"].size(), 2U);
  EXPECT_EQ(account["sources"][0]["kept"], 6);
}

TEST_F(PrepareCommand, TakesADataSetOfTheHubOnTheCommandLine) {
  fs::create_directories(Path("hub/datasets--org--chats/snapshots/abc"));
  fs::create_directories(Path("hub/datasets--org--chats/refs"));
  Write("hub/datasets--org--chats/refs/main", "abc");
  Write("hub/datasets--org--chats/snapshots/abc/train.jsonl", Chats(3));
  ProgramInput input;
  input.environment["HF_HUB_CACHE"] = Path("hub");
  EXPECT_EQ(Json(Run(Plain("org/chats", {"--dry-run", "--json"}), input))["sources"][0]["kept"], 3);
  const ProgramResult guess = Run({"--guess", "org/chats"}, input);
  EXPECT_THAT(guess.out, AllOf(HasSubstr("name: chats\n"), HasSubstr("path: org/chats\n"))) << guess.err;
  const std::string recipe = Write("chats.yaml", guess.out);
  EXPECT_EQ(Json(Run(Plain(recipe, {"--dry-run", "--json"}), input))["sources"][0]["kept"], 3);
}

TEST_F(PrepareCommand, ADryRunShowsEverythingAndWritesNothing) {
  const std::string chats = Write("chats.jsonl", Chats(3));
  const ProgramResult text = Run(Plain(chats, {"--dry-run", "--preview", "2"}));
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out,
              AllOf(HasSubstr("seed: 1  # default\n"), HasSubstr("tokenizer: " + kTokenizer + "  # command line\n"),
                    HasSubstr("chats, chats.jsonl, row 1:\n<|SYSTEM|>S<|USER|>question "
                              "1<|ASSISTANT|>\xE2\x9F\xA6"
                              "answer 1<|endoftext|>\xE2\x9F\xA7\n"),
                    Not(HasSubstr("question 2")), HasSubstr("train                   3")));
  const nlohmann::json json = Json(Run(Plain(chats, {"--dry-run", "--preview", "1", "--json"})));
  EXPECT_TRUE(json["out"].is_null());
  ASSERT_EQ(json["preview"].size(), 1U);
  const nlohmann::json& sample = json["preview"][0];
  EXPECT_EQ(sample["text"], "<|SYSTEM|>S<|USER|>question 0<|ASSISTANT|>answer 0<|endoftext|>");
  EXPECT_EQ(sample["ids"].size(), sample["targets"].size());
  EXPECT_EQ(sample["targets"].front(), 0);
  EXPECT_EQ(sample["targets"].back(), 1);
  EXPECT_THAT(Names(), ElementsAre("chats.jsonl"));
}

TEST_F(PrepareCommand, GuessPrintsARecipeThatRuns) {
  const std::string csv = Write("table.csv", "id,question,answer\n1,\"What, then?\",This.\n2,Who?,She.\n");
  const ProgramResult guess = Run({"--guess", csv});
  ASSERT_EQ(guess.exit_code, 0) << guess.err;
  EXPECT_THAT(guess.out, AllOf(HasSubstr("kind: columns"), HasSubstr("user: question\n")));
  const std::string recipe = Write("table.yaml", guess.out);
  EXPECT_EQ(Json(Run({recipe, "--set", "tokenizer=" + kTokenizer, "--dry-run", "--json"}))["sources"][0]["kept"], 2);
}

TEST_F(PrepareCommand, UnknownColumnsCanBeNamedOnTheCommandLine) {
  const std::string csv = Write("table.csv", "frage,antwort\nWas?,Das.\n");
  EXPECT_THAT(Run(Plain(csv, {"--dry-run"})),
              Fails(1, "table.csv", {"columns frage, antwort", "--set sources.0.kind=columns"}));
  EXPECT_EQ(Run({"--guess", csv}).exit_code, 1);
  const std::vector<std::string> named = {"--dry-run", "--json",
                                          "--set",     "sources.0.kind=columns",
                                          "--set",     "sources.0.columns.user=frage",
                                          "--set",     "sources.0.columns.assistant=antwort"};
  EXPECT_EQ(Json(Run(Plain(csv, named)))["sources"][0]["kept"], 1);
  std::vector<std::string> wrong = named;
  wrong.back() = "sources.0.columns.assistant=antwrot";
  EXPECT_THAT(Run(Plain(csv, wrong)), Fails(1, "table.csv", {"\"antwrot\"", "did you mean \"antwort\"?"}));
}

TEST_F(PrepareCommand, ASourceThatLosesMuchIsNamedWithItsKey) {
  const std::string chats = Write("chats.jsonl", Chats(4) + Chats(2));
  const ProgramResult result = Run(Plain(chats, {"--dry-run"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("chats loses 33.3 %"));
  EXPECT_TRUE(result.out.ends_with("`clean.exact_duplicates` in the recipe decides it\n")) << result.out;
}

TEST_F(PrepareCommand, ErrorsOfARecipeHaveALineAndAColumn) {
  Write("chats.jsonl", Chats(3));
  struct Case {
    std::string yaml, place;
    std::vector<std::string> named;
  };
  const Case cases[] = {
      {"sources:\n  - path: chats.jsonl\n    los: all\n", "line 3, column 5", {"\"los\"", "loss"}},
      {"sources:\n  - path: chats.jsonl\n    loss: everything\n", "line 3, column 11", {"\"everything\"", "assistant"}},
      {"sources:\n  - path: chats.jsonl\n  - path: chats.jsonl\n", "line 3, column 5", {"\"chats\"", "`name`"}},
      {"sources: [{path: chats.jsonl}]\nseed: ten\n", "line 2, column 7", {"\"ten\""}},
      {"sources: [{path: chats.jsonl\n", "line 1, column 11", {"not closed"}},
      {"seed: 1\n", "", {"sources"}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.yaml);
    const std::string recipe = Write("recipe.yaml", one.yaml);
    std::vector<std::string> named = one.named;
    if (!one.place.empty()) named.push_back(one.place);
    EXPECT_THAT(Run({recipe, "--set", "tokenizer=" + kTokenizer, "-o", Path("out")}), Fails(1, recipe, named));
    EXPECT_THAT(Names(), ElementsAre("chats.jsonl", "recipe.yaml"));
  }
}

TEST_F(PrepareCommand, ErrorsOfTheCommandLine) {
  const std::string chats = Write("chats.jsonl", Chats(3));
  EXPECT_THAT(Run({}), Fails(2, "RECIPE|FILE"));
  EXPECT_THAT(Run(Plain(chats)), Fails(2, "-o OUT", {"--dry-run"}));
  EXPECT_THAT(Run(Plain("-", {"-o", Path("out")})), Fails(2, "RECIPE|FILE", {"\"-\"", "a file"}));
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("out"), "--limit", "0"})), Fails(2, "--limit", {"\"0\""}));
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("out"), "--set", "sources.chats.limt=3"})),
              Fails(2, "--set sources.chats.limt=3", {"\"limt\"", "limit"}));
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("out"), "--set", "seed"})), Fails(2, "--set seed"));
  EXPECT_THAT(Run({chats, "-o", Path("out")}), Fails(1, chats, {"-m MODEL"}));
  EXPECT_THAT(Run({chats, "-m", Path("none"), "-o", Path("out")}), Fails(1, Path("none")));
  EXPECT_THAT(Run(Plain(Path("none.yaml"), {"-o", Path("out")})), Fails(1, Path("none.yaml")));
  EXPECT_THAT(Run(Plain(Path("chat.jsonl"), {"-o", Path("out")})),
              Fails(1, "source \"chat\"", {Path("chat.jsonl"), "did you mean chats.jsonl?"}));
  EXPECT_THAT(Run({"--guess", Path("none.csv")}), Fails(1, "--guess", {Path("none.csv")}));
  ProgramInput piped;
  piped.standard_input = Chats(3);
  EXPECT_THAT(Run(Plain("/dev/stdin", {"-o", Path("out")}), piped), Fails(1, "/dev/stdin", {"to a file first"}));
  EXPECT_THAT(Names(), ElementsAre("chats.jsonl"));
}

TEST_F(PrepareCommand, AnOutThatCannotBeMadeIsNamedBeforeTheWork) {
  const std::string chats = Write("chats.jsonl", Chats(3));
  EXPECT_THAT(Run(Plain(chats, {"-o", chats})), Fails(1, chats, {"there is a file of this name"}));
  fs::create_directory(Path("mine"));
  Write("mine/notes.txt", "keep");
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("mine")})),
              Fails(1, Path("mine"), {"the folder is not empty", "choose a new folder"}));
  EXPECT_THAT(Names("mine"), ElementsAre("notes.txt"));
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("none/deeper/out")})),
              Fails(1, Path("none/deeper/out"), {"create " + Path("none/deeper")}));
  EXPECT_THAT(Names(), ElementsAre("chats.jsonl", "mine"));
  // Of another recipe: not overwritten.
  EXPECT_EQ(Run(Plain(chats, {"-o", Path("out")})).exit_code, 0);
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("out"), "--set", "seed=2"})), Fails(1, Path("out"), {"exists"}));
}

TEST_F(PrepareCommand, BrokenFilesStopTheRun) {
  const std::string gzip = Write("cut.jsonl.gz", std::string("\x1F\x8B\x08\0\0\0\0\0\0\x03\xAB", 11));
  EXPECT_THAT(Run(Plain(gzip, {"-o", Path("out"), "--set", "sources.0.kind=messages"})),
              Fails(1, gzip, {"byte 11", "gzip"}));
  const std::string array = Write("cut.json", "[" + Chats(1) + ", {\"messages\": ");
  EXPECT_THAT(Run(Plain(array, {"-o", Path("out")})), Fails(1, array));
  const std::string empty = Write("empty.jsonl", "");
  EXPECT_THAT(Run(Plain(empty, {"-o", Path("out")})), Fails(1, "empty.jsonl", {"no rows"}));
  const std::string arrow = Write("table.arrow", "ARROW1");
  EXPECT_THAT(Run(Plain(arrow, {"-o", Path("out")})), Fails(1, arrow, {"to_parquet"}));
  ProgramInput nothing_installed;
  nothing_installed.environment = {{"PATH", "/nonexistent"}, {"HOME", "/nonexistent"}};
  EXPECT_THAT(Run(Plain(TestData("parquet/conversations_zstd.parquet"), {"-o", Path("out")}), nothing_installed),
              Fails(1, "duckdb", {"pipx install duckdb-cli"}));
  EXPECT_THAT(Names(), ElementsAre("cut.json", "cut.jsonl.gz", "empty.jsonl", "table.arrow"));
}

TEST_F(PrepareCommand, SaysWhichEvaluationSetsWereChecked) {
  const std::string chats = Write("chats.jsonl", Chats(3)), set = Write("set.jsonl", R"({"q": "what is not in it"})");
  const auto run = [&](const std::string& sets) {
    return Run(Plain(chats, {"--dry-run", "--set", "overlap=" + sets})).out;
  };
  EXPECT_THAT(run("[set.jsonl]"), HasSubstr("\noverlap with set.jsonl: checked, nothing found\n"));
  EXPECT_THAT(run("[set.jsonl, some-org/set]"), HasSubstr("\noverlap with some-org/set: not checked, because not on"));
  Write("set.jsonl", R"({"q": "the words question 1 answer 1 and so on: question 2"})");
  EXPECT_THAT(run("[]"), Not(HasSubstr("overlap with")));
  EXPECT_THAT(Run(Plain(chats, {"--dry-run", "--set", "overlap=[ste.jsonl]"})),
              Fails(1, "overlap \"ste.jsonl\"", {"set.jsonl"}));
}

// A run that waits for DuckDB, until it is ended from outside.
class EndedPrepare : public PrepareCommand {
 protected:
  EndedPrepare() {
    // In place of DuckDB: writes nothing. It ends with the program that started it.
    const std::string helper = Write("duckdb", "#!/bin/sh\nsleep 1000\n");
    fs::permissions(helper, fs::perms::owner_all);
    fs::copy_file(TestData("parquet/conversations_zstd.parquet"), Path("rows.parquet"));
  }
  ProgramResult RunAndSignal(int number) {
    ProgramInput input;
    bool sent = false;
    input.while_running = [&](pid_t program) {
      if (sent || !HasUnfinished()) return;
      sent = kill(program, number) == 0;
    };
    const ProgramResult result =
        Run(Plain(Path("rows.parquet"),
                  {"-o", Path("out"), "--set", "duckdb=" + Path("duckdb"), "--set", "sources.0.kind=messages"}),
            input);
    EXPECT_TRUE(sent) << result.err;
    return result;
  }
};

TEST_F(EndedPrepare, AnInterruptLeavesNothing) {
  for (const int number : {SIGINT, SIGTERM}) {
    const ProgramResult result = RunAndSignal(number);
    EXPECT_EQ(result.exit_code, 130);
    EXPECT_THAT(result.err, HasSubstr("interrupted: the same command with --resume continues from what was saved\n"));
    EXPECT_THAT(Names(), ElementsAre("duckdb", "rows.parquet"));
  }
}

TEST_F(EndedPrepare, WhatAKilledRunLeavesGoesWithTheNext) {
  EXPECT_EQ(RunAndSignal(SIGKILL).exit_code, 128 + SIGKILL);
  EXPECT_FALSE(fs::exists(Path("out")));
  EXPECT_TRUE(HasUnfinished());
  const std::string chats = Write("chats.jsonl", Chats(3));
  EXPECT_EQ(Run(Plain(chats, {"-o", Path("out")})).exit_code, 0);
  EXPECT_THAT(Names(), ElementsAre("chats.jsonl", "duckdb", "out", "rows.parquet"));
}

// An interrupted run is continued, and nothing that looks finished is there before (tests/dataset/resume_test.cc kills
// it anywhere).
TEST_F(PrepareCommand, ResumeStartsAnewWhereNothingWasInterrupted) {
  const std::string chats = Write("chats.jsonl", Chats(3));
  const nlohmann::json json = Json(Run(Plain(chats, {"-o", Path("out"), "--resume", "--json"})));
  EXPECT_EQ(json.at("resumed_rows"), 0);
  EXPECT_EQ(json.at("temporary_bytes"), 0);
  for (const char* step : {"reading", "cleaning", "tokenizing", "duplicates", "packing", "writing"}) {
    EXPECT_GE(json.at("step_seconds").at(step).get<double>(), 0) << step;
  }
  Write("out2.stablelm.resume", std::string("SLMPASS1") + std::string(40, 'x'));
  EXPECT_THAT(Run(Plain(chats, {"-o", Path("out2")})), Fails(1, Path("out2"), {"out2.stablelm.resume", "--resume"}));
  const ProgramResult text = Run(Plain(chats, {"-o", Path("out3")}));
  EXPECT_THAT(text.err, HasSubstr("time: reading "));
}

TEST_F(PrepareCommand, AFileSizeLimitNamesOutAndLeavesNothing) {
  const std::string chats = Write("chats.jsonl", Chats(3000));
  const std::string program = std::string(kEmulator) + " " + kProgram;
  // 16 blocks of 512 or 1,024 bytes; 3,000 samples have more than 50 KB of tokens.
  ProgramInput shell;
  shell.program = "/bin/sh";
  std::vector<std::string> arguments = {"-c", "ulimit -f 16; exec " + program + " \"$@\"", "sh", "prepare"};
  for (const std::string& word : Plain(chats, {"-o", Path("out")})) arguments.push_back(word);
  EXPECT_THAT(RunProgramBinary(arguments, shell), Fails(1, Path("out")));
  EXPECT_THAT(Names(), ElementsAre("chats.jsonl"));
}

// docs/data.md names every kind, loss rule, packing, audit and cleaning step.
TEST_F(PrepareCommand, ThePageIsComplete) {
  std::ifstream file(TestData("../../docs/data.md"));
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> names;
  for (const auto& more : {SourceKindNames(), LossRuleNames(), PackingNames(), AuditNames()}) {
    names.insert(names.end(), more.begin(), more.end());
  }
  std::istringstream settings(Run(Plain(Write("chats.jsonl", Chats(1)), {"--dry-run"})).out);
  bool clean = false;
  for (std::string line; std::getline(settings, line);) {
    if (clean && line.starts_with("  ")) names.push_back(line.substr(2, line.find(':') - 2));
    clean = line == "clean:" || (clean && line.starts_with("  "));
  }
  EXPECT_GT(names.size(), 33U);
  std::erase_if(names, [&](const std::string& name) { return page.find("`" + name + "`") != std::string::npos; });
  EXPECT_THAT(names, IsEmpty());
}

TEST_F(PrepareCommand, ColoursTargetsOnATerminal) {
  const std::string chats = Write("chats.jsonl", Chats(1));
  std::vector<std::string> arguments = Plain(chats, {"--dry-run", "--preview", "1"});
  arguments.insert(arguments.begin(), "prepare");
  TerminalProgram terminal(arguments);
  terminal.Await("\033[32manswer 0\033[0m\033[32m\033[7m<|endoftext|>\033[0m");
  EXPECT_EQ(terminal.Exit(), 0);
}

}  // namespace
}  // namespace stablelm
