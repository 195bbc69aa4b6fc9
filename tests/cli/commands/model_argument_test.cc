// How the model, the text and the values of everyday options are given: as an argument, by -m, by the environment, and
// by the names that other programs use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden_command.h"
#include "program_error.h"

namespace stablelm {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class ModelArgument : public testing::Test {
 protected:
  static ProgramResult Run(const Words& words, const ProgramInput& input = {}) {
    return RunProgramBinary(words, input);
  }
  ProgramResult WithModel(const Words& words, const std::string& standard_input = {}) const {
    return Run(words, {.standard_input = standard_input, .environment = {{"STABLELM_MODEL", model_}}});
  }
  std::string Path(const std::string& name) const { return (temp_.path() / name).string(); }

  const TempFolder temp_;
  const std::string model_ = ModelWithTokenizer(temp_);
};

TEST_F(ModelArgument, ComesFirstWhereTheArgumentIsNotText) {
  EXPECT_EQ(Run({"inspect", model_}).out, Run({"inspect", "-m", model_}).out);
  EXPECT_EQ(Run({"show", model_}).out, Run({"inspect", "-m", model_}).out);
  EXPECT_EQ(Run({"fit", model_, "--json"}).exit_code, 0);
  EXPECT_EQ(Run({"chat", model_, "--template", "none", "-n", "1"}, {.standard_input = "hi\n"}).exit_code, 0);
  EXPECT_EQ(Run({"convert", model_, Path("a.gguf")}).exit_code, 0);
  EXPECT_EQ(Run({"convert", "-m", model_, Path("b.gguf")}).exit_code, 0);
  EXPECT_EQ(Run({"quantize", model_, Path("c.gguf"), "Q8_0"}).exit_code, 0);
  EXPECT_EQ(Run({"quantize", "-m", model_, "--type", "Q8_0", Path("d.gguf")}).exit_code, 0);
  EXPECT_THAT(Run({"quantize", model_, "Q8_0", "--plan"}).out, HasSubstr("Q8_0"));
  for (const char* name : {"a.gguf", "b.gguf", "c.gguf", "d.gguf"}) {
    EXPECT_EQ(Run({"inspect", Path(name)}).exit_code, 0) << name;
  }
}

TEST_F(ModelArgument, IsNamedByAnOptionBesideText) {
  for (const char* command : {"generate", "score", "tokenize"}) {
    EXPECT_THAT(Run({command, model_, "hi"}), Fails(2, command, {"\"hi\"", "-m " + model_})) << command;
  }
  EXPECT_THAT(Run({"generate", "one", "two"}), Fails(2, "generate", {"quotes"}));
  EXPECT_EQ(Run({"prompt", model_, "--user", "hi"}).out, Run({"prompt", "-m", model_, "--user", "hi"}).out);
}

TEST_F(ModelArgument, IsBeforeTheFileThatIsWritten) {
  EXPECT_EQ(Run({"convert", model_, "--outfile", Path("a.gguf")}).exit_code, 0);
  EXPECT_EQ(Run({"convert", "-o", Path("b.gguf"), "-m", model_}).exit_code, 0);
  EXPECT_EQ(WithModel({"convert", "--outfile=" + Path("c.gguf")}).exit_code, 0);
  EXPECT_EQ(Run({"quantize", model_, "Q8_0", "-o", Path("d.gguf")}).exit_code, 0);
  EXPECT_EQ(Run({"quantize", model_, "-o", Path("e.gguf"), "--outtype", "f16"}).exit_code, 0);
  for (const char* name : {"a.gguf", "b.gguf", "c.gguf", "d.gguf", "e.gguf"}) {
    EXPECT_EQ(Run({"inspect", Path(name)}).exit_code, 0) << name;
  }
}

// As with -m "$MODEL" where the shell has no such variable. What the environment names is not taken either.
TEST_F(ModelArgument, IsNotEmpty) {
  for (const Words& words : {Words{"generate", "-m", "", "hi"}, Words{"chat", "-m", ""}, Words{"chat", ""},
                             Words{"run", ""}, Words{"score", "-m", "", "hi"}, Words{"inspect", ""}}) {
    EXPECT_THAT(Run(words), Fails(2, "--model", {"empty"})) << words[0];
    EXPECT_THAT(WithModel(words), Fails(2, "--model", {"empty"})) << words[0];
  }
}

TEST_F(ModelArgument, NumbersThatAreRefusedNameTheOtherValues) {
  EXPECT_THAT(Run({"generate", "-m", model_, "hi", "--seed", "-2"}), Fails(2, "--seed", {"\"-2\"", "-1 or random"}));
  EXPECT_THAT(Run({"chat", model_, "-n", "-5"}), Fails(2, "--max-new-tokens", {"\"-5\"", "or -1"}));
}

TEST_F(ModelArgument, IsNotTooShortWhereTheContextIs) {
  const ProgramResult result = Run({"generate", "-m", model_, "hi there you", "-c", "2"});
  EXPECT_THAT(result, Fails(1, "the prompt", {"--context", "at most 2", "a longer --context", "256"}));
  EXPECT_THAT(Run({"generate", "-m", model_, "hi", "-c", "300"}), Fails(1, "--context", {"256", "\nhint: "}));
}

TEST_F(ModelArgument, IsNotGivenTwice) {
  for (const char* command : {"inspect", "chat", "fit", "imatrix"}) {
    EXPECT_THAT(Run({command, "-m", model_, "other"}), Fails(2, "--model", {model_, "other", "twice"})) << command;
  }
  EXPECT_THAT(Run({"convert", "-m", model_, "other", "out"}), Fails(2, "--model", {"twice"}));
  EXPECT_THAT(Run({"quantize", model_, Path("q.gguf"), "Q8_0", "--type", "Q4_0"}),
              Fails(2, "--type", {"Q4_0", "Q8_0"}));
}

TEST_F(ModelArgument, OfTheEnvironmentIsNamed) {
  const ProgramResult score = WithModel({"score", "Once upon"});
  EXPECT_EQ(score.exit_code, 0);
  EXPECT_THAT(score.err, testing::StartsWith("note: model \"" + model_ + "\", from STABLELM_MODEL\n"));
  EXPECT_EQ(score.out, Run({"score", "-m", model_, "Once upon"}).out);
  EXPECT_EQ(WithModel({"quantize", Path("e.gguf"), "Q8_0"}).exit_code, 0);
  EXPECT_EQ(WithModel({"convert", Path("f.gguf")}).exit_code, 0);
  EXPECT_EQ(WithModel({"quantize", "Q8_0", "--plan"}).exit_code, 0);
  // MODEL, not OUT: nothing is written, or the name is not that of a GGUF file.
  const ProgramResult plan = WithModel({"quantize", kParallel, "Q8_0", "--plan"});
  EXPECT_EQ(plan.exit_code, 0);
  EXPECT_EQ(plan.err, "");
  EXPECT_THAT(WithModel({"quantize", "org/none", "--plan"}), Fails(1, "org/none"));
  EXPECT_THAT(WithModel({"quantize", "org/none", "Q8_0"}),
              Fails(2, "OUT", {"stablelm quantize MODEL model.gguf Q8_0"}));
  // What the command line names comes first.
  const ProgramResult named = WithModel({"inspect", kParallel});
  EXPECT_EQ(named.out, Run({"inspect", kParallel}).out);
  EXPECT_EQ(named.err, Run({"inspect", kParallel}).err);
  EXPECT_EQ(WithModel({"tokenize", "--tokenizer", kTokenizer, "a"}).exit_code, 0);
  EXPECT_EQ(WithModel({"fit", "--shape", "3b", "--context", "32", "--json"}).err, "");
}

TEST_F(ModelArgument, IsNotGuessedFromText) {
  for (const char* command : {"generate", "score"}) {
    EXPECT_THAT(Run({command, model_}), Fails(2, "--model", {"-m " + model_})) << command;
  }
  EXPECT_THAT(Run({"score", "Once upon"}), Fails(2, "--model", {"STABLELM_MODEL"}));
  EXPECT_THAT(Run({"tokenize", model_}), Fails(2, "-m, --tokenizer", {"-m " + model_}));
  // A hub id is a model when the cache has it.
  std::filesystem::create_directories(Path("hub/models--org--tiny/snapshots/a"));
  std::filesystem::create_directories(Path("hub/models--org--tiny/refs"));
  WriteFile(Path("hub/models--org--tiny/refs/main"), "a");
  const std::map<std::string, std::string> cache = {{"HF_HUB_CACHE", Path("hub")}};
  EXPECT_THAT(Run({"score", "org/tiny"}, {.environment = cache}), Fails(2, "--model", {"-m org/tiny"}));
  EXPECT_THAT(Run({"score", "and/or"}, {.environment = cache}), Fails(2, "--model", {"STABLELM_MODEL"}));
  // The folder exists, and yet it is the text.
  EXPECT_THAT(WithModel({"tokenize", "--ids", "tests"}).out, Not(HasSubstr("error")));
}

TEST_F(ModelArgument, RunIsAChatOrOneAnswer) {
  const Words settings = {"--template", "none", "--temp", "0", "-n", "4", "--json"};
  const auto with = [&](Words words) {
    words.insert(words.end(), settings.begin(), settings.end());
    return words;
  };
  const Json answer = Json::parse(Run(with({"run", model_, "Hello"})).out);
  EXPECT_EQ(answer.at("ids"), Json::parse(Run(with({"generate", "-m", model_, "--user", "Hello"})).out).at("ids"));
  EXPECT_EQ(Json::parse(WithModel(with({"run", "-m", model_, "-p", "Hello"})).out).at("ids"), answer.at("ids"));
  const Json both = Json::parse(Run(with({"run", model_, "Hello", "-"}), {.standard_input = "there"}).out);
  const Json whole = Json::parse(Run(with({"generate", "-m", model_, "--user", "Hello\n\nthere"})).out);
  EXPECT_EQ(both.at("prompt_ids"), whole.at("prompt_ids"));
  const ProgramResult chat = Run(with({"run", model_}), {.standard_input = "Hello\n"});
  EXPECT_TRUE(Json::parse(chat.out).contains("content")) << chat.out;
  EXPECT_THAT(Run({"run", model_, "two", "words"}), Fails(2, "run", {"\"words\""}));
}

TEST_F(ModelArgument, ValuesOfOthers) {
  const auto generate = [&](Words words) {
    words.insert(words.begin(), {"generate", "-m", model_, "--json"});
    const ProgramResult result = Run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  const Json ours = generate(
      {"Once upon", "--max-new-tokens", "5", "--temperature", "0.9", "--repetition-penalty", "1.1", "--seed", "3"});
  EXPECT_EQ(generate({"-p", "Once upon", "-n5", "--temp", "0.9", "--repeat-penalty", "1.1", "-s3", "-c", "0", "-fa",
                      "-ngl", "0"})
                .at("ids"),
            ours.at("ids"));
  EXPECT_EQ(generate({"Once upon", "-n", "-1", "--temp", "0", "-c", "20"}).at("finish_reason"), "context");
  EXPECT_EQ(generate({"Once upon", "--max-new-tokens=2", "-n", "5", "--temp", "0"}).at("ids").size(), 5u);
  EXPECT_NE(generate({"Once upon", "--seed", "-1", "-n1", "--temp", "1"}).at("seed"),
            generate({"Once upon", "--seed", "random", "-n1", "--temp", "1"}).at("seed"));
  EXPECT_EQ(generate({"Once upon", "--do-sample", "false", "-n", "3"}).at("ids"),
            generate({"Once upon", "--greedy", "-n", "3"}).at("ids"));
  EXPECT_THAT(Run({"generate", "-m", model_, "Once", "--greedy", "--do-sample"}),
              Fails(2, "--greedy", {"--do-sample"}));
  EXPECT_THAT(Run({"generate", "-m", model_, "Once", "--beams", "2", "--do-sample"}), Fails(2, "--beams"));
  EXPECT_EQ(generate({"Once upon", "--num-beams", "3", "--num-return-sequences", "2", "-n2"}).at("choices").size(), 2u);
  const ProgramResult n = Run({"generate", "-m", model_, "Once", "--n", "2", "-n", "1", "--temp", "1"});
  EXPECT_EQ(n.exit_code, 0);
  EXPECT_THAT(n.err, HasSubstr("note: --n is the number of replies"));
}

TEST_F(ModelArgument, TheContextMayBeShorter) {
  const auto generate = [&](Words words) {
    words.insert(words.begin(), {"generate", "-m", model_, "--json", "--ids", "1 2 3", "--context", "10"});
    const ProgramResult result = Run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  const Json one = generate({"--greedy", "--ignore-eos"});
  EXPECT_EQ(one.at("ids").size(), 7u);
  EXPECT_EQ(one.at("finish_reason"), "context");
  const Json two = generate({"--temp", "1", "--samples", "2", "--ignore-eos"});
  for (const Json& choice : two.at("choices")) {
    EXPECT_EQ(choice.at("ids").size(), 7u);
  }
  EXPECT_LE(generate({"--beams", "2"}).at("choices").at(0).at("ids").size(), 7u);
  EXPECT_THAT(Run({"generate", "-m", model_, "--ids", "1", "-c", "999999"}), Fails(1, "--context", {"999999"}));
  EXPECT_THAT(Run({"generate", "-m", model_, "--ids", "1 2 3 4", "-c", "3"}), Fails(1, "--ids"));
}

TEST_F(ModelArgument, ScoreTakesATextAndPiecesOfIt) {
  const std::string text = "Once upon a time there was a small program";
  const ProgramResult by_argument = Run({"score", "-m", model_, text, "--json"});
  EXPECT_EQ(by_argument.exit_code, 0) << by_argument.err;
  EXPECT_EQ(Run({"perplexity", "-m", model_, "-", "--json"}, {.standard_input = text}).out, by_argument.out);
  const Json whole = Json::parse(by_argument.out);
  std::vector<int> ids = whole.at("ids"), pieces;
  const std::vector<Json> parts = JsonLines(Run({"score", "-m", model_, text, "-c", "8", "--json"}).out);
  ASSERT_GE(parts.size(), 2u);
  for (const Json& part : parts) {
    EXPECT_LE(part.at("ids").size(), 8u);
    for (const int id : part.at("ids")) pieces.push_back(id);
  }
  if (ids.size() % 8 == 1) ids.pop_back();  // nothing predicts the only token of a piece
  EXPECT_EQ(pieces, ids);
}

TEST_F(ModelArgument, StandardInputIsReadWhenAsked) {
  const auto ids = [&](Words words, const std::string& standard_input) {
    words.insert(words.begin(), {"generate", "-m", model_, "--json", "--greedy", "-n", "1"});
    const ProgramResult result = Run(words, {.standard_input = standard_input});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out).at("prompt_ids");
  };
  EXPECT_EQ(ids({"-"}, "Once upon"), ids({"Once upon"}, ""));
  EXPECT_EQ(ids({"--file", "-"}, "Once upon"), ids({"Once upon"}, ""));
  EXPECT_EQ(ids({}, "Once upon"), ids({"Once upon"}, ""));
  EXPECT_EQ(ids({"--ids", "-"}, "1 2 3\n"), ids({"--ids", "1 2 3"}, ""));
  const Words user = {"--template", "none", "--user", "Sum up:"};
  const auto with = [&](const std::string& word) {
    Words words = user;
    words.push_back(word);
    return words;
  };
  EXPECT_EQ(ids(with("-"), "a b"), ids({"--template", "none", "--user", "Sum up:\n\na b"}, ""));
  // In a loop `while read line`, what the loop reads is left alone.
  for (const Words& words : {user, Words{"--ids", "1 2"}, Words{"-p", "Once"}}) {
    std::string command = std::string(kProgram) + " generate -m " + model_ + " --quiet -n 1";
    for (const std::string& word : words) command += " '" + word + "'";
    const ProgramResult left =
        Run({"-c", command + " > /dev/null; cat"}, {.standard_input = "rest", .program = "/bin/sh"});
    EXPECT_EQ(left.out, "rest") << left.err;
  }
  EXPECT_THAT(Run({"generate", "-m", model_, "--user", "a", "b"}), Fails(2, "--user"));
}

TEST_F(ModelArgument, FilesAreNotWrittenToStandardOutput) {
  EXPECT_THAT(Run({"score", "-m", model_, "a b", "--save-logits", "-"}), Fails(2, "--save-logits", {"\"-\""}));
  EXPECT_THAT(Run({"init", "--shape", "3b", "-"}), Fails(2, "OUT", {"\"-\""}));
  EXPECT_THAT(Run({"imatrix", model_, "--file", kTokenizer, "-o", "-"}), Fails(2, "--out", {"\"-\""}));
  EXPECT_THAT(Run({"quantize", model_, "-"}), Fails(2, "OUT", {"\"-\""}));
}

TEST_F(ModelArgument, NoReplyWhereThePromptIsWanted) {
  const Words prompt = {"generate", "-m", model_, "Once upon", "--prompt-logprobs", "--json", "--max-new-tokens"};
  Words zero = prompt, one = prompt;
  zero.emplace_back("0");
  one.emplace_back("1");
  const Json without = Json::parse(Run(zero).out), with = Json::parse(Run(one).out);
  EXPECT_EQ(without.at("prompt_logprobs"), with.at("prompt_logprobs"));
  EXPECT_EQ(without.at("ids"), Json::array());
  EXPECT_EQ(without.at("text"), "");
  EXPECT_EQ(with.at("ids").size(), 1u);
  EXPECT_THAT(Run({"generate", "-m", model_, "Once", "-n", "0"}), Fails(2, "--max-new-tokens", {"\"0\""}));
}

TEST_F(ModelArgument, IdsWithoutTextAreNamed) {
  const ProgramResult result = Run({"detokenize", "-m", model_, "41 999 998"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(HasSubstr("2 ids"), HasSubstr("999")));
  EXPECT_EQ(Run({"detokenize", "-m", model_, "41"}).err, "");
}

TEST_F(ModelArgument, AChatSaysAtOnceThatItsSystemTextDoesNotFit) {
  const std::string system(4000, 'x');
  const ProgramResult chat =
      Run({"chat", model_, "--system", system, "--template", "none"}, {.standard_input = "hi\n"});
  EXPECT_THAT(chat, Fails(1, "the system text (--system)", {"256", "--no-system"}));
  EXPECT_EQ(chat.out, "");
  // A longer context is the next step only where the model has one.
  EXPECT_THAT(chat.err, testing::Not(HasSubstr("--context")));
  const ProgramResult shortened = Run({"chat", model_, "--system", system, "--template", "none", "--context", "128"});
  EXPECT_THAT(shortened, Fails(1, "the system text (--system)", {"128", "a longer --context"}));
}

TEST_F(ModelArgument, LaterCommandsSaySoInOneLine) {
  for (const char* command : {"serve", "pull", "evaluate"}) {
    EXPECT_THAT(Run({command, "-m", "x"}), Fails(2, command, {"later version"}));
  }
  EXPECT_EQ(Run({"-V"}).out, Run({"--version"}).out);
}

}  // namespace
}  // namespace stablelm
