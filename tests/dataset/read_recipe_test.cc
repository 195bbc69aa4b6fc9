// Recipes of data sets: every key, what is refused, and that the resolved recipe reads back the same.
#include "dataset/read_recipe.h"

#include <gtest/gtest.h>

#include <fstream>

#include "error_info.h"
#include "temp_folder.h"

namespace stablelm {
namespace {

LoadedRecipe Load(std::string_view text, const std::vector<std::string>& sets = {}) {
  return ReadDataRecipe(RecipeFile::Parse(text, "some/r.yaml"), "some", sets);
}
template <typename E = Error>
ErrorInfo Refused(std::string_view text, const std::vector<std::string>& sets = {}) {
  return InfoOf<E>([&] { Load(text, sets); });
}

constexpr const char* kFull = R"(name: all keys
tokenizer: models/tokenizer.json
template: stablelm-tuned
sequence_length: 2048
packing: concat
end: none
long_turn: truncate-user
seed: 7
validation: 0.25
skip_bad_files: true
duckdb: bin/duckdb
audits: {waive: [turn-end, vocabulary]}
overlap: [lambada.jsonl, EleutherAI/lambada_openai]
clean: {html: true, english_threshold: 0.6}
sources:
  - name: a
    path: [x.json, "data/*.jsonl"]
    kind: sharegpt
    weight: 2.5
    limit: 100
    system: "Be kind.\n"
    manner: chatcombined
    loss: all
    split: test
    licence: MIT
    clean: {html: false, strip: false}
  - name: b
    path: y.csv
    kind: columns
    columns: {user: question, assistant: answer, context: passage, system: s, id: n}
    system: null
  - path: ORG/NAME@v1
    kind: columns
    columns: {turns: chat.turns, turn_role: who, turn_text: what}
  - path: hh.jsonl.gz
    kind: hh
  - path: "*"
)";

TEST(ReadRecipe, ReadsEveryKey) {
  const DataRecipe r = Load(kFull).recipe;
  EXPECT_EQ(r.name, "all keys");
  EXPECT_EQ(r.folder, "some");
  EXPECT_EQ(r.tokenizer, "models/tokenizer.json");
  EXPECT_EQ(r.prompt_template, PromptTemplate::kStableLmTuned);
  EXPECT_EQ(r.sequence_length, 2048);
  EXPECT_EQ(r.packing, Packing::kConcat);
  EXPECT_EQ(r.end, EndRule::kNone);
  EXPECT_EQ(r.long_turn, LongTurn::kTruncateUser);
  EXPECT_EQ(r.seed, 7U);
  EXPECT_EQ(r.validation, 0.25);
  EXPECT_TRUE(r.skip_bad_files);
  EXPECT_EQ(r.duckdb, "bin/duckdb");
  EXPECT_EQ(r.waive, (std::vector{Audit::kTurnEnd, Audit::kVocabulary}));
  EXPECT_EQ(r.overlap, (std::vector<std::string>{"lambada.jsonl", "EleutherAI/lambada_openai"}));
  ASSERT_EQ(r.sources.size(), 5U);

  const SourceRecipe& a = r.sources[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.paths, (std::vector<std::string>{"x.json", "data/*.jsonl"}));
  EXPECT_EQ(a.kind, SourceKind::kShareGpt);
  EXPECT_EQ(a.weight, 2.5);
  EXPECT_EQ(a.limit, 100U);
  EXPECT_EQ(a.system, (SystemRule{SystemRule::Kind::kText, "Be kind.\n"}));
  EXPECT_EQ(a.manner, Manner::kChatCombined);
  EXPECT_EQ(a.loss, LossRule::kAll);
  EXPECT_EQ(a.split, "test");
  EXPECT_EQ(a.licence, "MIT");
  EXPECT_EQ(a.clean, (CleanRules{.strip = false, .html = false, .english_threshold = 0.6}));

  const SourceRecipe& b = r.sources[1];
  EXPECT_EQ(b.columns,
            (ColumnNames{.system = "s", .user = "question", .assistant = "answer", .id = "n", .context = "passage"}));
  EXPECT_EQ(b.system.kind, SystemRule::Kind::kNone);
  EXPECT_EQ(b.clean, (CleanRules{.html = true, .english_threshold = 0.6}));
  EXPECT_EQ(r.sources[2].name, "NAME");
  EXPECT_EQ(r.sources[2].columns, (ColumnNames{.turns = "chat.turns", .turn_role = "who", .turn_text = "what"}));
  EXPECT_EQ(r.sources[3].name, "hh");
  EXPECT_EQ(r.sources[3].loss, LossRule::kLastAssistant);
  EXPECT_EQ(r.sources[4].name, "source5");
  EXPECT_EQ(r.sources[4].loss, std::nullopt);  // until the kind is found out
  EXPECT_EQ(r.sources[4].system.kind, SystemRule::Kind::kDefault);
}

TEST(ReadRecipe, ReadsEveryCleaningRule) {
  // A rule that is new to CleanRules does not compile here: it belongs into ReadCleanRules, too.
  const auto [control_characters, exact_duplicates, role_order, strip, placeholders, html, entities, copy_code,
              end_markers, english, near_duplicates, refusals, error_messages, english_threshold, near_threshold] =
      Load(
          "clean: {control_characters: false, exact_duplicates: false, role_order: false, strip: false, "
          "placeholders: true, html: true, entities: true, copy_code: true, end_markers: true, english: true, "
          "near_duplicates: true, refusals: true, error_messages: true, english_threshold: 0.25, near_threshold: 0.5}\n"
          "sources: [{path: a}]")
          .recipe.sources[0]
          .clean;
  EXPECT_FALSE(control_characters || exact_duplicates || role_order || strip);
  EXPECT_TRUE(placeholders && html && entities && copy_code && end_markers && english && near_duplicates && refusals &&
              error_messages);
  EXPECT_EQ(english_threshold, 0.25);
  EXPECT_EQ(near_threshold, 0.5);
}

TEST(ReadRecipe, HasDefaults) {
  const DataRecipe r = Load("sources: [{path: a.json}]").recipe;
  DataRecipe expected;
  expected.name = "r";
  expected.folder = "some";
  expected.sources.resize(1);
  expected.sources[0].name = "a";
  expected.sources[0].paths = {"a.json"};
  EXPECT_EQ(r, expected);
}

TEST(ReadRecipe, ResolvedRecipeReadsBackTheSame) {
  for (const char* text : {kFull, "sources: [{path: a.json}]"}) {
    const LoadedRecipe loaded = Load(text, {"seed=3", "sources.0.limit=5"});
    for (const bool origins : {false, true}) {
      const LoadedRecipe again = Load(loaded.settings.Yaml(origins));
      EXPECT_EQ(again.recipe, loaded.recipe) << loaded.settings.Yaml(origins);
      EXPECT_EQ(again.settings.Yaml(), loaded.settings.Yaml());
    }
  }
}

TEST(ReadRecipe, OverridesSourcesByTheirDefaultNames) {
  const DataRecipe r = Load("sources: [{path: b/alpaca.json}, {path: ORG/dolly@v1}]",
                            {"sources.alpaca.limit=5", "sources.dolly.kind=dolly", "sources.1.clean.html=true"})
                           .recipe;
  EXPECT_EQ(r.sources[0].limit, 5U);
  EXPECT_EQ(r.sources[1].kind, SourceKind::kDolly);
  EXPECT_TRUE(r.sources[1].clean.html);
  EXPECT_THAT(Refused<UsageError>("sources: [{path: b/alpaca.json}]", {"sources.alpcaa.limit=5"}).hint,
              testing::HasSubstr("alpaca"));
  EXPECT_THAT(Refused<UsageError>("sources: [{path: a.json}]", {"sources.a.limti=5"}),
              Names("--set sources.a.limti=5", "\"limti\""));
}

TEST(ReadRecipe, RefusesWhatCannotBe) {
  EXPECT_THAT(Refused(""), Names("some/r.yaml: line 1, column 1"));
  EXPECT_THAT(Refused("sources: []"), Names("some/r.yaml: line 1, column 10", "an empty list"));
  EXPECT_THAT(Refused("sources:\n  - path: [a, \"\"]"), Names("some/r.yaml: line 2, column 15", "an empty text"));
  EXPECT_THAT(Refused("sources: a.json"), Names("some/r.yaml: line 1, column 10", "\"a.json\""));
  EXPECT_THAT(Refused("sources: [a.json]"), Names("some/r.yaml: line 1, column 11", "\"a.json\""));
  EXPECT_THAT(Refused("sources: [{kind: hh}]").what, testing::HasSubstr("path"));
  EXPECT_THAT(Refused("sources: [{path: a/t.json}, {path: b/t.json}]"), Names(testing::_, "\"t\""));
  EXPECT_THAT(Refused("sources:\n- {name: x, path: a}\n- {name: x, path: b}"),
              Names("some/r.yaml: line 3, column 10", "\"x\""));
  EXPECT_THAT(Refused("sources: [{path: ''}]"), Names("some/r.yaml: line 1, column 18", "an empty text"));
  const auto source = [](const std::string& keys) { return Refused("sources:\n- path: a\n  " + keys); };
  EXPECT_THAT(source("weight: 0"), Names("some/r.yaml: line 3, column 11", "\"0\""));
  EXPECT_THAT(source("weight: -1"), Names("some/r.yaml: line 3, column 11", "\"-1\""));
  EXPECT_THAT(source("limit: 0"), Names("some/r.yaml: line 3, column 10", "\"0\""));
  EXPECT_THAT(source("name: \"a\\nb\""), Names("some/r.yaml: line 3, column 9", testing::HasSubstr("\\x0A")));
  EXPECT_THAT(source("kind: share-gpt").hint, testing::HasSubstr("sharegpt"));
  EXPECT_THAT(source("columns: {user: a}"), Names("some/r.yaml: line 3, column 12", "a map"));
  EXPECT_THAT(source("kind: columns"), Names("some/r.yaml: line 2, column 3"));
  EXPECT_THAT(source("kind: columns").what, testing::HasSubstr("user"));
  const auto columns = [&](const std::string& keys) { return source("kind: columns\n  columns: {" + keys + "}"); };
  EXPECT_THAT(columns("user: q"), Names("some/r.yaml: line 4, column 12"));
  EXPECT_THAT(columns("user: q").what, testing::HasSubstr("assistant"));
  EXPECT_THAT(columns("user: q, assistant: a, turns: t"), Names("some/r.yaml: line 4, column 19", "\"q\""));
  EXPECT_THAT(columns("user: q, assistant: a, turn_role: t"), Names("some/r.yaml: line 4, column 47", "\"t\""));
  EXPECT_THAT(columns("user: q, asistant: a").hint, testing::HasSubstr("assistant"));
  EXPECT_THAT(source("kind: text\n  loss: assistant"), Names("some/r.yaml: line 4, column 9", "\"assistant\""));
  EXPECT_THAT(source("kind: text\n  system: Hello"), Names("some/r.yaml: line 4, column 11", "\"Hello\""));
  EXPECT_EQ(source("limti: 5").what, "unknown key of sources.a");
  const auto top = [](const std::string& keys) { return Refused(keys + "\nsources: [{path: a}]"); };
  EXPECT_THAT(top("sequence_length: 15"), Names("some/r.yaml: line 1, column 18", "\"15\""));
  EXPECT_THAT(top("sequence_length: 1048577"), Names("some/r.yaml: line 1, column 18", "\"1048577\""));
  EXPECT_THAT(top("validation: 0.51"), Names("some/r.yaml: line 1, column 13", "\"0.51\""));
  EXPECT_THAT(top("seed: -1"), Names("some/r.yaml: line 1, column 7", "\"-1\""));
  EXPECT_THAT(top("template: stablelm").hint, testing::HasSubstr("stablelm-tuned"));
  EXPECT_THAT(top("audits: {waive: [turn-ends]}").hint, testing::HasSubstr("turn-end"));
  EXPECT_THAT(top("clean: {htlm: true}"), Names("some/r.yaml: line 1, column 9", "\"htlm\""));
  EXPECT_THAT(top("sequnce_length: 100").hint, testing::HasSubstr("sequence_length"));
}

TEST(ReadRecipe, MakesARecipeOfOneFile) {
  DataRecipe defaults;
  defaults.tokenizer = "model";
  defaults.prompt_template = PromptTemplate::kDollyV2;
  defaults.sequence_length = 512;
  const TempFolder folder;
  const std::filesystem::path file = folder.path() / "my data.jsonl.gz";
  std::ofstream(file) << "{}";
  const LoadedRecipe loaded =
      RecipeForFile(file, std::vector<std::string>{"sources.0.limit=5", "loss=all", "seed=3"}, defaults);
  const DataRecipe& r = loaded.recipe;
  EXPECT_EQ(r.name, "my data");
  EXPECT_EQ(r.folder, folder.path());
  EXPECT_EQ(r.tokenizer, "model");
  EXPECT_EQ(r.prompt_template, PromptTemplate::kDollyV2);
  EXPECT_EQ(r.sequence_length, 512);
  ASSERT_EQ(r.sources.size(), 1U);
  EXPECT_EQ(r.sources[0].name, "my data");
  EXPECT_EQ(r.sources[0].paths, std::vector<std::string>{"my data.jsonl.gz"});
  EXPECT_EQ(r.sources[0].kind, SourceKind::kAuto);
  EXPECT_EQ(r.sources[0].loss, LossRule::kAll);  // `sources.0.` may be left out
  EXPECT_EQ(r.seed, 3U);
  EXPECT_EQ(r.sources[0].limit, 5U);
  // No such file: a data set of the hub, or a pattern.
  const DataRecipe hub = RecipeForFile("org/set").recipe, pattern = RecipeForFile("in/*.json").recipe;
  EXPECT_EQ(hub.folder, ".");
  EXPECT_EQ(hub.sources[0].paths, std::vector<std::string>{"org/set"});
  EXPECT_EQ(hub.name, "set");
  EXPECT_EQ(pattern.name, "data");
  EXPECT_EQ(pattern.sources[0].paths, std::vector<std::string>{"in/*.json"});
  EXPECT_THAT(InfoOf([] { RecipeForFile("\xFF.json"); }), Names("\"\\xFF.json\""));
}

}  // namespace
}  // namespace stablelm
