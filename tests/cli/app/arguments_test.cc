#include "cli/app/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "error_info.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const CommandText& Known() {
  static const CommandText kCommand = {
      .name = "generate",
      .summary = {},
      .examples = {},
      .notes = {},
      .options = {{.names = {"PROMPT"}, .value = "PROMPT", .help = {}, .choices = {}},
                  {.names = {"-m", "--model"}, .value = "DIR", .help = {}, .choices = {}},
                  {.names = {"--max-new-tokens"}, .value = "N", .help = {}, .choices = {}},
                  {.names = {"--max-time"}, .value = "S", .help = {}, .choices = {}},
                  {.names = {"--repetition-penalty"}, .value = "N", .help = {}, .choices = {}},
                  {.names = {"--penalty-last-n"}, .value = "N", .help = {}, .choices = {}},
                  {.names = {"--seed"}, .value = "N", .help = {}, .choices = {}},
                  {.names = {"--stop"}, .value = "TEXT", .help = {}, .choices = {}, .repeats = true},
                  {.names = {"--do-sample"}, .value = "true|false", .help = {}, .choices = {"true", "false"}},
                  {.names = {"--json"}, .value = {}, .help = {}, .choices = {}},
                  {.names = {"-h", "--help"}, .value = {}, .help = {}, .choices = {}}}};
  return kCommand;
}

std::vector<std::string> WordsOf(const std::vector<std::string>& words) {
  return ReadArguments(words, Known()).Words();
}
ErrorInfo Refused(const std::vector<std::string>& words) {
  return InfoOf<UsageError>([&] { ReadArguments(words, Known()); });
}

TEST(Arguments, NamesAndValues) {
  EXPECT_THAT(WordsOf({"-m", "x", "--json", "a b", "--max-new-tokens=5"}),
              ElementsAre("--model", "x", "--json", "--max-new-tokens", "5", "--", "a b"));
  EXPECT_THAT(WordsOf({"--max_new_tokens", "5", "--json=true"}), ElementsAre("--max-new-tokens", "5", "--json"));
  EXPECT_THAT(WordsOf({"--json=false"}), IsEmpty());
  EXPECT_THAT(WordsOf({"--stop", "", "--stop=--"}), ElementsAre("--stop", "", "--stop", "--"));
  EXPECT_THAT(WordsOf({"--", "--json"}), ElementsAre("--", "--json"));
  EXPECT_THAT(WordsOf({"-"}), ElementsAre("--", "-"));
  EXPECT_THAT(WordsOf({"-5"}), ElementsAre("--", "-5"));
}

TEST(Arguments, TheLastValueHoldsAndListsAddUp) {
  EXPECT_THAT(WordsOf({"--seed", "1", "--seed", "2"}), ElementsAre("--seed", "2"));
  EXPECT_THAT(WordsOf({"-n", "1", "--max-new-tokens", "2", "--num-predict=3"}), ElementsAre("--max-new-tokens", "3"));
  EXPECT_THAT(WordsOf({"--stop", "a", "--stop", "b"}), ElementsAre("--stop", "a", "--stop", "b"));
  EXPECT_THAT(WordsOf({"--json", "--json"}), ElementsAre("--json"));
  EXPECT_THAT(WordsOf({"--seed", "1", "--seed", "random"}), IsEmpty());
  EXPECT_THAT(WordsOf({"-s", "-1"}), IsEmpty());
}

TEST(Arguments, OnlyNumbersAreGlued) {
  EXPECT_THAT(WordsOf({"-n5"}), ElementsAre("--max-new-tokens", "5"));
  EXPECT_THAT(WordsOf({"-n=5"}), ElementsAre("--max-new-tokens", "5"));
  EXPECT_THAT(WordsOf({"-n-1"}), ElementsAre("--max-new-tokens", "2147483648"));
  EXPECT_THAT(WordsOf({"-m5"}), ElementsAre("--model", "5"));
  EXPECT_THAT(Refused({"-mmodels/x"}).what, HasSubstr("\"-mmodels/x\""));
  EXPECT_THAT(Refused({"-mmodels/x"}).hint, HasSubstr("-m models/x"));
}

TEST(Arguments, AFlagMayHaveItsValueLeftOut) {
  EXPECT_THAT(WordsOf({"--do-sample", "text"}), ElementsAre("--do-sample", "true", "--", "text"));
  EXPECT_THAT(WordsOf({"--do-sample", "false"}), ElementsAre("--do-sample", "false"));
  EXPECT_THAT(WordsOf({"--do_sample=True"}), ElementsAre("--do-sample", "true"));
  EXPECT_THAT(WordsOf({"--do_sample", "False"}), ElementsAre("--do-sample", "false"));
}

TEST(Arguments, TextByOptionStandsBehindTheArguments) {
  EXPECT_THAT(WordsOf({"-p", "--x", "-m", "y"}), ElementsAre("--model", "y", "--", "--x"));
  EXPECT_THAT(Refused({"-p", "a", "--prompt", "b"}), Names("--prompt", "\"b\""));
}

TEST(Arguments, WhatIsMissing) {
  EXPECT_EQ(Refused({"--seed"}).where, "--seed");
  EXPECT_EQ(Refused({"-n"}).expected, "-n N");
  EXPECT_THAT(Refused({"--json=1"}), Names("--json", "\"1\""));
}

TEST(Arguments, UnknownNamesHaveTheNearest) {
  EXPECT_EQ(Refused({"--max-new"}).hint, "did you mean --max-new-tokens?");
  EXPECT_EQ(Refused({"--max"}).hint, "did you mean --max-new-tokens or --max-time?");
  EXPECT_THAT(Refused({"--dtype", "fp16"}).hint, testing::Not(HasSubstr("stands for")));  // a name of its own
  EXPECT_EQ(Refused({"--s"}).hint.find("-h?"), std::string::npos);
  EXPECT_EQ(Refused({"--repeat-penatly", "1"}).hint, "did you mean --repetition-penalty?");
  EXPECT_EQ(Refused({"--rep"}).hint, "did you mean --repetition-penalty?");  // not --repeat-last-n, which is shorter
  EXPECT_EQ(Refused({"--promt", "x"}).hint, "did you mean --prompt?");
  EXPECT_THAT(Refused({"--keep", "4"}).hint, testing::Not(HasSubstr("did you mean")));  // --help, --seed
  EXPECT_EQ(Refused({"--hel"}).hint, "did you mean --help?");
  EXPECT_THAT(Refused({"-no-mmap"}).hint, HasSubstr("mapped"));
  for (const char* name : {"-q", "-g", "-x"}) EXPECT_THAT(Refused({name}).hint, HasSubstr("generate --help"));
  EXPECT_THAT(Refused({"-c", "5"}).hint, HasSubstr("--context"));  // this command has none
}

TEST(Arguments, Help) {
  EXPECT_TRUE(ReadArguments(std::vector<std::string>{"x", "-h"}, Known()).help);
  EXPECT_FALSE(ReadArguments(std::vector<std::string>{"--", "-h"}, Known()).help);
  EXPECT_FALSE(ReadArguments(std::vector<std::string>{"--stop", "--help"}, Known()).help);
}

}  // namespace
}  // namespace stablelm
