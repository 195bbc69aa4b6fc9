// A preparation as a whole: the books, the same bytes for any number of threads, duplicates, weights, the validation
// split, bad files, audits, and what is left after a failure.
#include "dataset/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "dataset/export.h"
#include "dataset/manifest.h"
#include "dataset/token_shards.h"
#include "dataset/verify.h"
#include "error_info.h"
#include "prepare_testing.h"

namespace stablelm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

PrepareSetup Example() {
  const std::filesystem::path recipes = std::filesystem::path(TestData()).parent_path().parent_path() / "recipes";
  return SetupFor(ReadDataRecipe(recipes / "data/example.yaml"));
}

TEST_F(PrepareTest, TheExampleGivesTheSameBytesForAnyNumberOfThreads) {
  PrepareSetup setup = Example();
  const PreparedData data = PrepareData(setup, Out("one"));
  EXPECT_EQ(data.sources.size(), 7U);
  for (const SourceAccount& source : data.sources) EXPECT_GT(source.kept, 0U) << source.name;
  EXPECT_THAT(data.findings, IsEmpty());
  EXPECT_GT(data.validation.packs, 0U);
  const auto want = BytesOf(Out("one"));
  EXPECT_EQ(want.count("manifest.json"), 1U);
  for (const size_t threads : {size_t{2}, size_t{3}}) {
    setup.threads = threads;
    PrepareData(setup, Out(std::to_string(threads)));
    EXPECT_EQ(BytesOf(Out(std::to_string(threads))), want) << threads;
  }
  // No path of this machine.
  EXPECT_EQ(want.at("manifest.json").find(folder_.path().string()), std::string::npos);
  EXPECT_EQ(want.at("manifest.json").find(TestData()), std::string::npos);
  const VerifiedData verified = VerifyPreparedData(Out("one"));
  EXPECT_EQ(verified.tokens, data.train.tokens + data.validation.tokens);
}

TEST_F(PrepareTest, RowsAreDroppedForTheirReasons) {
  Write("chats.jsonl", Chats(3) + "{broken\n" + Chats(1) +
                           R"({"messages": [{"role": "tool", "content": "x"}]})"
                           "\n"
                           R"({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"},
                               {"role": "assistant", "content": "c"}]})");
  // The last row is written over two lines: neither is whole.
  const PreparedData data = PrepareData(Recipe("sources: [{path: chats.jsonl}]\nvalidation: 0\n"), Out());
  const SourceAccount& source = data.sources.at(0);
  EXPECT_EQ(source.kind, SourceKind::kMessages);
  EXPECT_EQ(source.kind_from, "the rows have a list \"messages\"");
  EXPECT_EQ(source.kept, 3U);
  EXPECT_THAT(source.dropped, ElementsAre(Pair("exact-duplicate", 1), Pair("not-json", 3), Pair("tool", 1)));
  EXPECT_EQ(source.examples.at(0).place, "chats.jsonl:4");
  EXPECT_EQ(source.examples.at(0).reason, "not-json");
}

// tests/data/dataset/faults/README.md tells each row.
TEST_F(PrepareTest, EveryPlantedFaultIsFoundAndCounted) {
  PrepareSetup setup = SetupFor(ReadDataRecipe(TestData("dataset/faults/faults.yaml")));
  setup.recipe.waive = {Audit::kTargetShare};  // single long answers
  setup.dry_run = true;
  const PreparedData data = PrepareData(setup, Out());
  const nlohmann::json all = nlohmann::json::parse(std::ifstream(TestData("dataset/faults/expected.json")));
  ASSERT_EQ(data.sources.size(), all.size());
  for (const SourceAccount& source : data.sources) {
    SCOPED_TRACE(source.name);
    const nlohmann::json& expected = all.at(source.name);
    EXPECT_EQ(source.rows, expected.at("rows"));
    std::map<std::string, uint64_t> dropped = expected.at("dropped");
    uint64_t unusable = 0;
    for (const auto& [reason, count] : expected.at("problems").items()) {
      dropped[reason] += count.get<uint64_t>();
      unusable += count.get<uint64_t>();
    }
    if (const uint64_t broken = expected.at("broken"); broken > 0) {
      dropped["broken-row"] = broken;
      unusable += broken;
    }
    if (const uint64_t long_ones = expected.value("too_long", 0U); long_ones > 0) dropped["too-long"] = long_ones;
    EXPECT_EQ(source.conversations, expected.at("conversations").get<uint64_t>() + unusable);
    EXPECT_EQ(source.dropped, dropped);
    EXPECT_EQ(source.kept, expected.at("kept"));
    EXPECT_EQ(source.repairs, expected.at("repairs"));
    std::map<std::string, uint64_t> changes;
    for (size_t i = 0; i < kTextChanges.size(); ++i) {
      if (source.changes.counts[i] > 0) changes[std::string(kTextChanges[i].name)] = source.changes.counts[i];
    }
    EXPECT_EQ(changes, expected.at("changes").get<decltype(changes)>());
    EXPECT_EQ(source.control_spellings, expected.value("control_strings", 0U));
    EXPECT_EQ(source.tokens.exchanges_too_long, expected.value("exchanges_too_long", 0U));
  }
}

TEST_F(PrepareTest, WhatIsExportedGivesTheSameSamplesAgain) {
  PrepareSetup setup = Example();
  setup.recipe.sequence_length = 256;  // long conversations are cut
  setup.recipe.validation = 0;
  for (SourceRecipe& source : setup.recipe.sources) source.weight = 1;
  setup.recipe.sources.pop_back();  // a text is no conversation
  const PreparedData first = PrepareData(setup, Out("first"));
  uint64_t too_long = 0;
  for (const SourceAccount& source : first.sources) too_long += source.tokens.exchanges_too_long;
  EXPECT_EQ(too_long, 0U);
  std::string lines;
  ExportConversations(Out("first"), kTrainSplit, ReadManifest(Out("first")), setup.tokenizer,
                      [&](const std::string& line) { lines += line + "\n"; });
  Write("again.jsonl", lines);
  PrepareSetup again = Recipe("sources: [{path: again.jsonl, kind: messages, clean: {strip: false}}]\n");
  again.recipe.sequence_length = 256;
  again.recipe.validation = 0;
  again.system.reset();
  PrepareData(again, Out("second"));
  const auto samples = [](const std::filesystem::path& folder) {
    std::multiset<std::pair<std::vector<int32_t>, std::vector<uint8_t>>> all;
    const TokenShards shards(folder, kTrainSplit);
    for (const TokenDocument& document : shards.documents()) {
      std::vector<int32_t> ids(document.length);
      std::vector<uint8_t> targets(document.length);
      shards.Read(document, ids, targets);
      all.emplace(ids, targets);
    }
    return all;
  };
  EXPECT_EQ(samples(Out("first")), samples(Out("second")));
}

TEST_F(PrepareTest, WhatConcatenationCutIsExportedWhole) {
  Write("a.jsonl", Chats(50));
  const PrepareSetup setup =
      Recipe("sources: [{path: a.jsonl, system: null}]\nvalidation: 0\npacking: concat\nsequence_length: 32\n");
  const PreparedData data = PrepareData(setup, Out());
  EXPECT_GT(data.train.documents, 55U);
  size_t lines = 0, whole = 0;
  ExportConversations(Out(), kTrainSplit, ReadManifest(Out()), setup.tokenizer, [&](const std::string& line) {
    if (nlohmann::json::parse(line) == nlohmann::json::parse(Chats(1, lines))) ++whole;
    ++lines;
  });
  EXPECT_EQ(lines, 50U);
  EXPECT_GE(whole + data.train.lone_tokens, 50U);
}

TEST_F(PrepareTest, WeightsRepeatAndLeaveOut) {
  Write("a.jsonl", Chats(400));
  Write("b.jsonl", Chats(400, 1000));
  PrepareSetup setup = Recipe(
      "sources: [{name: a, path: a.jsonl, weight: 2.25}, {name: b, path: b.jsonl, weight: 0.5}]\nvalidation: 0\n");
  const PreparedData data = PrepareData(setup, Out());
  const auto near = [](uint64_t found, double want) { return std::abs(static_cast<double>(found) - want) < 60; };
  EXPECT_TRUE(near(data.sources[0].samples_repeated, 500)) << data.sources[0].samples_repeated;
  EXPECT_TRUE(near(data.sources[1].samples_left_out, 200)) << data.sources[1].samples_left_out;
  const TokenShards shards(Out(), kTrainSplit);
  EXPECT_EQ(shards.documents().size(), 800 + data.sources[0].samples_repeated - data.sources[1].samples_left_out);
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> copies;
  for (const TokenDocument& document : shards.documents()) {
    uint32_t& most = copies[{document.source, document.row}];
    most = std::max(most, document.repeat + 1);
  }
  for (const auto& [row, most] : copies) EXPECT_LE(most, row.first == 0 ? 3U : 1U);
}

TEST_F(PrepareTest, AQuestionIsOnOneSideOfTheSplit) {
  std::string lines;
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    for (const std::string& question :
         {"What is " + number + "?", "what is " + number, "  WHAT IS " + number + " ?!"}) {
      lines +=
          nlohmann::json{{"prompt", question}, {"response", "answer " + std::to_string(lines.size())}}.dump() + "\n";
    }
  }
  Write("qa.jsonl", lines);
  PrepareSetup setup = Recipe("sources: [{path: qa.jsonl}]\nvalidation: 0.2\n");
  const PreparedData data = PrepareData(setup, Out());
  EXPECT_EQ(data.train.conversations + data.validation.conversations, 900U);
  EXPECT_GT(data.validation.conversations, 90U);
  EXPECT_LT(data.validation.conversations, 300U);
  std::set<uint64_t> questions;
  const TokenShards train(Out(), kTrainSplit), validation(Out(), kValidationSplit);
  for (const TokenDocument& document : train.documents()) questions.insert(document.row / 3);
  for (const TokenDocument& document : validation.documents()) {
    EXPECT_FALSE(questions.contains(document.row / 3));
  }
}

TEST_F(PrepareTest, LimitsCountRows) {
  Write("a.jsonl", Chats(50));
  Write("b.jsonl", Chats(50, 100));
  PrepareSetup setup = Recipe("sources: [{path: [a.jsonl, b.jsonl], limit: 60}]\n");
  EXPECT_EQ(PrepareData(setup, Out()).sources[0].rows, 60U);
  setup.limit = 20;
  EXPECT_EQ(PrepareData(setup, Out("less")).sources[0].rows, 20U);
  EXPECT_EQ(ReadManifest(Out("less")).json.At("limit").Whole(), 20U);
}

TEST_F(PrepareTest, ADryRunWritesNothingAndCountsTheSame) {
  PrepareSetup setup = Example();
  setup.dry_run = true;
  setup.preview = 2;
  const PreparedData dry = PrepareData(setup, Out());
  EXPECT_THAT(FileNames(), IsEmpty());
  EXPECT_EQ(dry.preview.size(), 2U);
  setup.dry_run = false;
  const PreparedData data = PrepareData(setup, Out());
  EXPECT_EQ(AccountJson(dry).Dump(), AccountJson(data).Dump());
}

TEST_F(PrepareTest, TheSamePreparationIsNotDoneTwice) {
  Write("a.jsonl", Chats(50));
  PrepareSetup setup = Recipe("sources: [{path: a.jsonl}]\n");
  EXPECT_FALSE(PrepareData(setup, Out()).unchanged);
  EXPECT_TRUE(PrepareData(setup, Out()).unchanged);
  setup.threads = 2;
  EXPECT_TRUE(PrepareData(setup, Out()).unchanged);
  // Another recipe, another file, a folder that is something else: not overwritten.
  PrepareSetup other = setup;
  other.recipe_yaml += "# other";
  const auto refused = [&](const PrepareSetup& one, const std::filesystem::path& out) {
    const ErrorInfo error = InfoOf([&] { PrepareData(one, out); });
    EXPECT_EQ(error.where, out.string());
    EXPECT_THAT(error.hint, HasSubstr("remove this one"));
  };
  refused(other, Out());
  Write("a.jsonl", Chats(51));
  refused(setup, Out());
  std::filesystem::create_directory(Out("full"));
  Write("full/a.txt", "mine");
  refused(setup, Out("full"));
  refused(setup, Write("file", "mine"));
  std::filesystem::create_symlink("nowhere", Out("link"));
  refused(setup, Out("link"));
}

TEST_F(PrepareTest, TheFolderIsLikeAnyOther) {
  Write("a.jsonl", Chats(50));
  PrepareSetup setup = Recipe("sources: [{path: a.jsonl}]\n");
  std::filesystem::create_directory(Out("like"));
  PrepareData(setup, Out().string() + "/");
  EXPECT_EQ(std::filesystem::status(Out()).permissions(), std::filesystem::status(Out("like")).permissions());
  EXPECT_TRUE(PrepareData(setup, Out().string() + "/").unchanged);
  EXPECT_FALSE(PrepareData(setup, Out("like")).unchanged);  // it is empty
  EXPECT_THAT(FileNames(), ElementsAre("a.jsonl", "like", "out", "recipe.yaml"));
  EXPECT_THAT(InfoOf([&] { PrepareData(setup, Out("none") / "deeper" / "out"); }).hint,
              HasSubstr("create " + (Out("none") / "deeper").string()));
  EXPECT_FALSE(PrepareData(setup, Out("data") / "out").unchanged);  // the parent folder is made
  EXPECT_EQ(BytesOf(Out("data") / "out"), BytesOf(Out()));
}

TEST_F(PrepareTest, ABadFileStopsTheRunOrIsForgotten) {
  Write("a.json", "[" + std::string(R"({"prompt": "a", "response": "b"})") + ", {\"prompt\": \"c\"");
  Write("b.json", R"([{"prompt": "a", "response": "b"}, {"prompt": "e", "response": "f"}])");
  const std::string sources = "sources: [{name: s, path: [a.json, b.json], kind: prompt-response}]\nvalidation: 0\n";
  const ErrorInfo error = InfoOf([&] { PrepareData(Recipe(sources), Out()); });
  EXPECT_THAT(error.where, HasSubstr("a.json"));
  EXPECT_THAT(FileNames(), ElementsAre("a.json", "b.json", "recipe.yaml"));
  const PreparedData data = PrepareData(Recipe(sources + "skip_bad_files: true\n"), Out());
  const SourceAccount& source = data.sources.at(0);
  // What the bad file held is no duplicate of what follows.
  EXPECT_EQ(source.kept, 2U);
  EXPECT_THAT(source.dropped, ElementsAre(Pair("bad-file", testing::Ge(1U))));
}

TEST_F(PrepareTest, WrongColumnsAreNamed) {
  std::string csv = "frage,antwort\n";
  for (int i = 0; i < 5; ++i) csv += "a,b\n";
  Write("t.csv", csv);
  const ErrorInfo error = InfoOf([&] {
    PrepareData(Recipe("sources: [{path: t.csv, kind: columns, columns: {user: fragen, assistant: antwort}}]\n"),
                Out());
  });
  EXPECT_EQ(error.where, "t.csv");
  EXPECT_THAT(error.what, HasSubstr("no column \"fragen\"; the row has frage, antwort; did you mean \"frage\"?"));
  const ErrorInfo guess = InfoOf([&] { PrepareData(Recipe("sources: [{path: t.csv}]\n"), Out()); });
  EXPECT_THAT(guess.found, HasSubstr("frage, antwort"));
  EXPECT_THAT(guess.hint, HasSubstr("kind: columns"));
}

TEST_F(PrepareTest, EmptySourcesAndNothingLeftAreErrors) {
  Write("empty.jsonl", "\n");
  EXPECT_THAT(InfoOf([&] { PrepareData(Recipe("sources: [{path: empty.jsonl, kind: messages}]\n"), Out()); }).what,
              HasSubstr("no rows"));
  Write("tools.jsonl", R"({"messages": [{"role": "tool", "content": "x"}]})");
  EXPECT_THAT(InfoOf([&] { PrepareData(Recipe("sources: [{path: tools.jsonl, kind: messages}]\n"), Out()); }).what,
              HasSubstr("nothing is left"));
  EXPECT_THAT(FileNames(), ElementsAre("empty.jsonl", "recipe.yaml", "tools.jsonl"));
}

TEST_F(PrepareTest, AnAuditStopsTheRunUnlessItIsWaived) {
  Write("a.jsonl", Chats(20));
  const std::string recipe = "sources: [{path: a.jsonl}]\nend: none\n";
  const ErrorInfo error = InfoOf([&] { PrepareData(Recipe(recipe), Out()); });
  EXPECT_EQ(error.where, "audit");
  EXPECT_THAT(error.what, HasSubstr("20 answers end in neither"));
  EXPECT_THAT(error.hint, HasSubstr("waive: [turn-end]"));
  EXPECT_FALSE(std::filesystem::exists(Out()));
  const PreparedData data = PrepareData(Recipe(recipe + "audits: {waive: [turn-end]}\n"), Out());
  ASSERT_EQ(data.findings.size(), 1U);
  EXPECT_TRUE(data.findings[0].waived);
}

TEST_F(PrepareTest, ControlSpellingsStayTextAndAreCounted) {
  Write("a.jsonl", R"({"prompt": "say <|USER|> and <|endoftext|>", "response": "<|ASSISTANT|> no"})");
  PrepareSetup setup = Recipe("sources: [{path: a.jsonl}]\nvalidation: 0\n");
  const PreparedData data = PrepareData(setup, Out());
  EXPECT_EQ(data.sources[0].control_spellings, 3U);
  const TokenShards shards(Out(), kTrainSplit);
  std::vector<int32_t> ids(shards.documents()[0].length);
  std::vector<uint8_t> targets(ids.size());
  shards.Read(shards.documents()[0], ids, targets);
  // <|SYSTEM|> <|USER|> <|ASSISTANT|> <|endoftext|>
  EXPECT_EQ(std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return setup.tokenizer.IsSpecial(id); }), 4);
}

TEST_F(PrepareTest, TheReportEscapesEveryText) {
  const std::string evil = "<script>alert('x')</script>&\"";
  Write("a.jsonl", nlohmann::json{{"prompt", "a " + evil}, {"response", "b " + evil}}.dump() + "\n" +
                       nlohmann::json{{"prompt", "c"}, {"response", nullptr}}.dump());
  std::filesystem::rename(folder_.path() / "a.jsonl", folder_.path() / "<b>.jsonl");
  PrepareData(Recipe("name: <i>x</i>\nsources: [{name: <u>, path: <b>.jsonl, licence: <s>}]\nvalidation: 0\n"), Out());
  std::ifstream in(Out() / "report.html");
  const std::string html((std::istreambuf_iterator<char>(in)), {});
  for (const char* raw : {"<script", "<b>", "<i>x", "<u>", "<s>"}) EXPECT_EQ(html.find(raw), std::string::npos) << raw;
  EXPECT_THAT(html, HasSubstr("<span class=\"target\">b &lt;script&gt;alert('x')&lt;/script&gt;&amp;&quot;</span>"));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;.jsonl:2"));
}

TEST_F(PrepareTest, ChangedFilesAreFound) {
  Write("a.jsonl", Chats(50));
  PrepareData(Recipe("sources: [{path: a.jsonl}]\n"), Out());
  VerifyPreparedData(Out());
  const std::filesystem::path tokens = Out() / "train-00000.tokens";
  std::fstream file(tokens, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(70);
  file.put('\x7');
  file.close();
  EXPECT_THAT(InfoOf([&] { VerifyPreparedData(Out()); }).where, HasSubstr("train-00000.tokens"));
}

TEST_F(PrepareTest, AFileThatChangesWhileItIsReadIsAnError) {
  const std::filesystem::path path = Write("a.jsonl", Chats(3000));
  const PrepareSetup setup = Recipe("sources: [{path: a.jsonl, kind: messages}]\n");
  std::atomic<bool> done = false;
  std::thread writer([&] {
    std::ofstream file(path, std::ios::app | std::ios::binary);
    while (!done) {
      file << Chats(1) << std::flush;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const ErrorInfo error = InfoOf([&] { PrepareData(setup, Out()); });
  done = true;
  writer.join();
  EXPECT_EQ(error.where, path.string());
  EXPECT_THAT(error.what, HasSubstr("changed"));
  EXPECT_THAT(FileNames(), ElementsAre("a.jsonl", "recipe.yaml"));
}

// The same data at another place give the same bytes, also where the words of an error are kept.
TEST_F(PrepareTest, AForgottenFileIsNamedWithoutItsFolder) {
  std::map<std::string, std::string> files[2];
  for (int i = 0; i < 2; ++i) {
    const std::filesystem::path folder = folder_.path() / (i == 0 ? "here" : "there");
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "a.json") << "[{\"prompt\": \"c\"";
    std::ofstream(folder / "b.json") << R"([{"prompt": "a", "response": "b b b b b b b b b b b b b b b b b b"}])";
    std::ofstream(folder / "r.yaml") << "sources: [{path: [a.json, b.json], kind: prompt-response}]\nvalidation: 0\n"
                                        "skip_bad_files: true\n";
    PrepareData(SetupFor(ReadDataRecipe(folder / "r.yaml")), folder / "out");
    files[i] = BytesOf(folder / "out");
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_THAT(files[0].at("manifest.json"), HasSubstr("\"words\": \"a.json: line 1"));
}

TEST_F(PrepareTest, AnotherEvaluationSetIsAnotherPreparation) {
  Write("a.jsonl", Chats(50));
  Write("test.jsonl", R"({"question": "five words in a row"})");
  const PrepareSetup setup = Recipe("sources: [{path: a.jsonl}]\noverlap: [test.jsonl]\n");
  PrepareData(setup, Out());
  EXPECT_TRUE(PrepareData(setup, Out()).unchanged);
  Write("test.jsonl", R"({"question": "one two three four five"})");
  EXPECT_EQ(InfoOf([&] { PrepareData(setup, Out()); }).where, Out().string());
}

// A path that is not there is a slip; a set of the hub that was not downloaded is named in the account.
TEST_F(PrepareTest, AnEvaluationSetThatIsNotThere) {
  Write("a.jsonl", Chats(50));
  Write("sets/test.jsonl", R"({"question": "one two three four five"})");
  for (const std::string name : {"tset.jsonl", "sets/tset.jsonl", "sets/tset", "sets/t*.json", "Some/set.jsonl"}) {
    const ErrorInfo info =
        InfoOf([&] { PrepareData(Recipe("sources: [{path: a.jsonl}]\noverlap: [\"" + name + "\"]\n"), Out()); });
    EXPECT_EQ(info.where, "overlap \"" + name + "\"");
  }
  Write("sets/lambada/train.jsonl", R"({"question": "one two three four five"})");
  const PreparedData data = PrepareData(
      Recipe("sources: [{path: a.jsonl}]\noverlap: [some-org/no-such-set, sets/test.jsonl, sets/lambada]\n"), Out());
  EXPECT_THAT(data.overlap_checked, ElementsAre("sets/test.jsonl", "sets/lambada"));
  EXPECT_THAT(data.overlap_not_found, ElementsAre("some-org/no-such-set"));
}

TEST_F(PrepareTest, ANullSystemTextDropsThatOfTheRow) {
  const char* row = R"({"messages": [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "a"},
                                     {"role": "assistant", "content": "b"}]})";
  Write("a.jsonl", nlohmann::json::parse(row).dump() + "\n");
  for (const std::string rule : {"", ", system: null", ", system: Be brief."}) {
    PrepareSetup setup = Recipe("sources: [{path: a.jsonl" + rule + "}]\nvalidation: 0\n");
    setup.preview = 1;
    setup.dry_run = true;
    const PreparedData data = PrepareData(setup, Out());
    EXPECT_THAT(setup.tokenizer.DecodeBytes(data.preview.at(0).ids),
                testing::StartsWith(rule.empty()               ? "<|SYSTEM|>Rhyme.<|USER|>a"
                                    : rule == ", system: null" ? "<|USER|>a"
                                                               : "<|SYSTEM|>Be brief.<|USER|>a"));
  }
}

// Nothing in it is trusted: readers stop for what they do not find, and no count is taken for a text.
TEST_F(PrepareTest, AManifestOfAnotherShapeIsAnError) {
  Write("a.jsonl", Chats(50) + "{broken\n");
  PrepareData(Recipe("sources: [{path: a.jsonl}]\n"), Out());
  const std::filesystem::path path = Out() / kManifestFile;
  const nlohmann::json good = nlohmann::json::parse(std::ifstream(path));
  // Each member that is read, taken away and replaced.
  for (const char* pointer : {"/name",
                              "/preparation_rules",
                              "/sequence_length",
                              "/tokenizer/sha256",
                              "/template",
                              "/chat_record",
                              "/sources",
                              "/sources/0/name",
                              "/sources/0/kind",
                              "/sources/0/kind_from",
                              "/sources/0/licence",
                              "/sources/0/files",
                              "/sources/0/files/0/name",
                              "/sources/0/rows",
                              "/sources/0/conversations",
                              "/sources/0/kept",
                              "/sources/0/samples",
                              "/sources/0/targets",
                              "/sources/0/dropped",
                              "/sources/0/changes",
                              "/sources/0/tokens",
                              "/sources/0/tokens/written",
                              "/audits",
                              "/overlap",
                              "/overlap/not_found",
                              "/splits",
                              "/splits/train",
                              "/splits/validation",
                              "/splits/train/packs",
                              "/splits/train/documents",
                              "/splits/validation/conversations",
                              "/splits/train/tokens",
                              "/splits/train/targets",
                              "/files",
                              "/files/0/name",
                              "/files/0/bytes",
                              "/files/0/sha256"}) {
    const nlohmann::json::json_pointer at(pointer);
    nlohmann::json without = good, other = good;
    without.at(at.parent_pointer()).erase(at.back());
    other.at(at) = good.at(at).is_boolean() ? nlohmann::json(-1.5) : nlohmann::json(true);
    for (const nlohmann::json& json : {without, other}) {
      std::ofstream(path) << json.dump();
      SCOPED_TRACE(pointer);
      EXPECT_THAT(InfoOf([&] { ReadManifest(Out()); }).where, HasSubstr(path.string()));
    }
  }
  nlohmann::json negative = good;
  negative["sources"][0]["dropped"]["not-json"] = -1;
  std::ofstream(path) << negative.dump();
  EXPECT_EQ(InfoOf([&] { ReadManifest(Out()); }).where, path.string());
}

TEST_F(PrepareTest, TheRecordOfManyFilesIsRead) {
  Write("a.jsonl", Chats(50));
  const PrepareSetup setup = Recipe("sources: [{path: a.jsonl}]\n");
  PrepareData(setup, Out());
  // As of 200,000 files.
  std::ofstream(Out() / kRunFile, std::ios::app) << std::string(size_t{17} << 20, ' ');
  EXPECT_EQ(TokenizerPathOf(Out()), TestData("tokenizer/tokenizer.json"));
}

TEST_F(PrepareTest, RowsThatBecameSeveralTurnsHaveTheAuthorsOtherSystemText) {
  Write("a.jsonl", R"({"prompt": "q", "response": "one</s> \n \nnext\ntwo"})"
                   "\n"
                   R"({"prompt": "r", "response": "three"})");
  const PrepareSetup setup = Recipe(
      "sources: [{path: a.jsonl, kind: prompt-response, manner: chatcombined, clean: {end_markers: true}}]\n"
      "validation: 0\nend: none\naudits: {waive: [turn-end]}\n");
  PrepareData(setup, Out());
  std::vector<std::string> lines;
  ExportConversations(Out(), kTrainSplit, ReadManifest(Out()), setup.tokenizer,
                      [&](const std::string& line) { lines.push_back(line); });
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(std::ranges::count_if(lines,
                                  [](const std::string& line) {
                                    return line.find("# StableAssistant") != std::string::npos &&
                                           line.find("two") != std::string::npos;
                                  }),
            1);
  EXPECT_EQ(std::ranges::count_if(lines,
                                  [](const std::string& line) {
                                    return line.find("designed to answer") != std::string::npos &&
                                           line.find("three") != std::string::npos;
                                  }),
            1);
}

TEST_F(PrepareTest, ALongRowIsPassedAloneAndInItsPlace) {
  std::string text;
  while (text.size() < size_t{3} << 19) text += " answer";
  std::string lines = Chats(50);
  lines += nlohmann::json{{"messages",
                           {{{"role", "user"}, {"content", "long"}}, {{"role", "assistant"}, {"content", text}}}}}
               .dump();
  Write("a.jsonl", lines + "\n" + Chats(50, 50));
  PrepareSetup setup =
      Recipe("sources: [{path: a.jsonl, kind: messages, system: null}]\nvalidation: 0\nsequence_length: 1000000\n");
  setup.recipe.waive = {Audit::kTargetShare};
  PrepareData(setup, Out("one"));
  setup.threads = 3;
  const PreparedData data = PrepareData(setup, Out("three"));
  EXPECT_EQ(BytesOf(Out("three")), BytesOf(Out("one")));
  EXPECT_EQ(data.sources[0].kept, 101U);
  uint64_t seconds = 0;
  for (const double step : data.step_seconds) seconds += step > 0 ? 1 : 0;
  EXPECT_EQ(seconds, kPrepareSteps.size());
}

// Past the budget everything lies in temporary files: the result is the same.
TEST_F(PrepareTest, TheResultDoesNotDependOnTheMemory) {
  Write("a.jsonl", Chats(5000) + Chats(100));
  PrepareSetup setup =
      Recipe("sources: [{path: a.jsonl, weight: 1.5, clean: {near_duplicates: true}}]\nvalidation: 0.2\n");
  EXPECT_EQ(PrepareData(setup, Out("memory")).temporary_bytes, 0U);
  setup.memory_bytes = 1;
  EXPECT_GT(PrepareData(setup, Out("files")).temporary_bytes, 500'000U);
  EXPECT_EQ(BytesOf(Out("files")), BytesOf(Out("memory")));
  EXPECT_THAT(FileNames(), ElementsAre("a.jsonl", "files", "memory", "recipe.yaml"));
}

}  // namespace
}  // namespace stablelm
