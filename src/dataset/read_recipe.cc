#include "dataset/read_recipe.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "dataset/source_files.h"

namespace stablelm {
namespace {

// Names appear in settings, reports and manifests.
std::string CheckedName(RecipeMap& map, const std::string& fallback) {
  const std::string expected = "a name of 1 to 100 bytes, without control characters";
  const std::string name = map.Text("name", fallback);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (name.empty() || name.size() > 100 || std::ranges::any_of(name, is_control)) {
    map.Fail("name", {.what = "wrong name", .found = name.empty() ? "none" : "", .expected = expected});
  }
  return name;
}

// `fallback`: the rules of absent keys. `inherits`: they stand elsewhere in the recipe.
CleanRules ReadCleanRules(RecipeMap& parent, const CleanRules& fallback, bool inherits) {
  CleanRules rules;
  const auto read = [&](RecipeMap& map) {
    const auto flag = [&](const char* key, bool CleanRules::*rule) { rules.*rule = map.Flag(key, fallback.*rule); };
    flag("control_characters", &CleanRules::control_characters);
    flag("exact_duplicates", &CleanRules::exact_duplicates);
    flag("role_order", &CleanRules::role_order);
    flag("strip", &CleanRules::strip);
    flag("placeholders", &CleanRules::placeholders);
    flag("html", &CleanRules::html);
    flag("entities", &CleanRules::entities);
    flag("copy_code", &CleanRules::copy_code);
    flag("end_markers", &CleanRules::end_markers);
    flag("english", &CleanRules::english);
    flag("near_duplicates", &CleanRules::near_duplicates);
    flag("refusals", &CleanRules::refusals);
    flag("error_messages", &CleanRules::error_messages);
    rules.english_threshold = map.Real("english_threshold", fallback.english_threshold, {.least = 0, .most = 1});
    rules.near_threshold =
        map.Real("near_threshold", fallback.near_threshold, {.least = 0, .most = 1, .above_least = true});
  };
  parent.Map("clean", read, inherits);
  return rules;
}

ColumnNames ReadColumns(RecipeMap& map) {
  ColumnNames columns;
  columns.system = map.OptionalText("system").value_or("");
  columns.user = map.OptionalText("user").value_or("");
  columns.assistant = map.OptionalText("assistant").value_or("");
  columns.id = map.OptionalText("id").value_or("");
  columns.context = map.OptionalText("context").value_or("");
  columns.turns = map.OptionalText("turns").value_or("");
  const bool has_role = map.Has("turn_role"), has_text = map.Has("turn_text");
  if (columns.turns.empty()) {
    if (has_role) map.Fail("turn_role", {.what = "turn_role without turns", .expected = "`turns` beside it"});
    if (has_text) map.Fail("turn_text", {.what = "turn_text without turns", .expected = "`turns` beside it"});
    if (columns.user.empty()) map.Require("user", "the column of the user's text, or `turns`");
    if (columns.assistant.empty()) map.Require("assistant", "the column of the assistant's text");
    return columns;
  }
  if (!columns.user.empty()) map.Fail("user", {.what = "user beside turns", .expected = "one of them"});
  if (!columns.assistant.empty()) map.Fail("assistant", {.what = "assistant beside turns", .expected = "one of them"});
  if (!columns.context.empty()) map.Fail("context", {.what = "context beside turns", .expected = "one of them"});
  columns.turn_role = map.Text("turn_role", columns.turn_role);
  columns.turn_text = map.Text("turn_text", columns.turn_text);
  return columns;
}

SourceRecipe ReadSource(RecipeMap& map, const std::string& default_name, const CleanRules& clean) {
  SourceRecipe source;
  source.name = CheckedName(map, default_name);
  map.Name(source.name);
  source.paths = map.RequiredTexts("path",
                                   "a file, a pattern like \"data/*.jsonl\", a folder or a hub id ORG/NAME, "
                                   "or a list of them");
  source.kind = SourceKindOf(map.Choice("kind", NameOf(source.kind), SourceKindNames())).value();
  if (source.kind == SourceKind::kColumns) {
    map.Map("columns", [&](RecipeMap& columns) { source.columns = ReadColumns(columns); });
  } else if (map.Has("columns")) {
    map.Fail("columns", {.what = "columns, but the kind is " + std::string(NameOf(source.kind)),
                         .hint = "columns are named with `kind: columns`"});
  }
  source.split = map.Text("split", source.split);
  source.weight = map.Real("weight", source.weight, {.least = 0, .most = 1000, .above_least = true});
  if (const auto limit = map.OptionalWhole("limit", std::nullopt, {.least = 1})) {
    source.limit = static_cast<uint64_t>(*limit);
  }
  if (!map.Has("system")) {
    map.NoteUnset("system", "the row's own, else the template's");
  } else if (const std::optional<std::string> text = map.OptionalText("system")) {
    if (source.kind == SourceKind::kText) {
      map.Fail("system", {.what = "a system text for kind: text", .expected = "none: a document has no roles"});
    }
    source.system = {SystemRule::Kind::kText, *text};
  } else {
    source.system.kind = SystemRule::Kind::kNone;
  }
  source.manner = MannerOf(map.Choice("manner", NameOf(source.manner), MannerNames())).value();
  if (source.kind == SourceKind::kAuto && !map.Has("loss")) {
    map.NoteUnset("loss", "hh: last-assistant, text: all, others: assistant");
  } else {
    source.loss = LossRuleOf(map.Choice("loss", NameOf(DefaultLoss(source.kind)), LossRuleNames())).value();
    if (source.kind == SourceKind::kText && source.loss != LossRule::kAll) {
      map.Fail("loss", {.what = "this loss rule for kind: text", .expected = "all: a document has no roles"});
    }
  }
  source.clean = ReadCleanRules(map, clean, true);
  source.licence = map.Text("licence", "");
  return source;
}

// The name of a source that is not read yet.
std::string NameOfSource(const RecipeNode& source) {
  const auto text_of = [](const RecipeNode* node) {
    return node && node->kind == RecipeNode::Kind::kScalar ? node->text : std::string();
  };
  if (const std::string name = text_of(source.Find("name")); !name.empty()) return name;
  const RecipeNode* path = source.Find("path");
  if (path && path->kind == RecipeNode::Kind::kList && !path->items.empty()) path = &path->items[0];
  const std::string first = text_of(path);
  return first.empty() ? "" : DataName(first);
}

DataRecipe ReadTop(RecipeMap& map, const RecipeFile& file, const std::string& name, const DataRecipe& defaults) {
  DataRecipe recipe;
  recipe.name = CheckedName(map, name);
  const std::optional<std::string> tokenizer =
      defaults.tokenizer.empty() ? std::nullopt : std::optional(defaults.tokenizer);
  recipe.tokenizer = map.OptionalText("tokenizer", tokenizer).value_or("");
  const std::optional<std::string> prompt_template =
      defaults.prompt_template ? std::optional<std::string>(NameOf(*defaults.prompt_template)) : std::nullopt;
  if (const auto chosen = map.OptionalChoice("template", prompt_template, PromptTemplateNames())) {
    recipe.prompt_template = PromptTemplateOf(*chosen);
  }
  recipe.sequence_length = map.Whole("sequence_length", defaults.sequence_length, {16, 1'048'576});
  recipe.packing = PackingOf(map.Choice("packing", NameOf(defaults.packing), PackingNames())).value();
  recipe.end = EndRuleOf(map.Choice("end", NameOf(defaults.end), EndRuleNames())).value();
  recipe.long_turn = LongTurnOf(map.Choice("long_turn", NameOf(defaults.long_turn), LongTurnNames())).value();
  recipe.seed = static_cast<uint64_t>(map.Whole("seed", static_cast<int64_t>(defaults.seed), {}));
  recipe.validation = map.Real("validation", defaults.validation, {.least = 0, .most = 0.5});
  recipe.skip_bad_files = map.Flag("skip_bad_files", defaults.skip_bad_files);
  const std::optional<std::string> duckdb = defaults.duckdb.empty() ? std::nullopt : std::optional(defaults.duckdb);
  recipe.duckdb = map.OptionalText("duckdb", duckdb).value_or("");
  map.Map("audits", [&](RecipeMap& audits) {
    for (const std::string& one : audits.Choices("waive", AuditNames())) {
      if (std::ranges::find(recipe.waive, AuditOf(one).value()) == recipe.waive.end()) {
        recipe.waive.push_back(AuditOf(one).value());
      }
    }
  });
  recipe.overlap = map.Texts("overlap", defaults.overlap);
  const CleanRules clean = ReadCleanRules(map, {}, false);
  map.Maps("sources", 1, [&](RecipeMap& source, size_t index) {
    const RecipeNode* list = file.top().Find("sources");
    std::string default_name = NameOfSource(list->items[index]);
    if (default_name.empty()) default_name = "source" + std::to_string(index + 1);
    SourceRecipe read = ReadSource(source, default_name, clean);
    if (std::ranges::find(recipe.sources, read.name, &SourceRecipe::name) != recipe.sources.end()) {
      source.Fail("name", {.what = "two sources of one name",
                           .found = Quoted(read.name),
                           .expected = "different names",
                           .hint = "give each of them a `name`"});
    }
    recipe.sources.push_back(std::move(read));
  });
  return recipe;
}

// An override of a key that only sources have is one of the only source.
std::string OfOnlySource(const std::string& set) {
  static constexpr std::string_view kOfSources[] = {"kind",    "weight", "limit", "system", "loss",
                                                    "columns", "manner", "split", "licence"};
  const std::string_view key = std::string_view(set).substr(0, set.find_first_of(".="));
  return std::ranges::find(kOfSources, key) == std::end(kOfSources) ? set : "sources.0." + set;
}

}  // namespace

LoadedRecipe ReadDataRecipe(const std::filesystem::path& path, std::span<const std::string> sets,
                            const DataRecipe& defaults) {
  return ReadDataRecipe(RecipeFile::Read(path), path.parent_path(), sets, defaults);
}

LoadedRecipe ReadDataRecipe(RecipeFile file, const std::filesystem::path& folder, std::span<const std::string> sets,
                            const DataRecipe& defaults) {
  for (const std::string& set : sets) file.Set(set, NameOfSource);
  LoadedRecipe loaded;
  std::string name = std::filesystem::path(DataName(file.where())).stem().string();
  if (name.empty()) name = "data";  // a pattern
  loaded.settings = file.Visit([&](RecipeMap& top) { loaded.recipe = ReadTop(top, file, name, defaults); });
  loaded.recipe.folder = folder.empty() ? "." : folder;
  return loaded;
}

LoadedRecipe RecipeForFile(const std::filesystem::path& data_file, std::span<const std::string> sets,
                           const DataRecipe& defaults) {
  using Kind = RecipeNode::Kind;
  if (utf8::FirstInvalid(data_file.string()) != utf8::kValid) {
    throw Error(
        {.where = Quoted(data_file.string()), .what = "a file name that is not UTF-8", .hint = "rename the file"});
  }
  std::error_code ignored;
  const bool is_path = std::filesystem::exists(std::filesystem::symlink_status(data_file, ignored));
  RecipeNode path{.kind = Kind::kScalar,
                  .text = is_path ? data_file.filename().string() : data_file.string(),
                  .quoted = true,
                  .origin = RecipeOrigin::kCommandLine};
  RecipeNode source{.kind = Kind::kMap, .items = {std::move(path)}, .keys = {{.text = "path"}}};
  RecipeNode sources{.kind = Kind::kList, .items = {std::move(source)}};
  RecipeNode top{.kind = Kind::kMap, .items = {std::move(sources)}, .keys = {{.text = "sources"}}};
  std::vector<std::string> whole;
  for (const std::string& set : sets) whole.push_back(OfOnlySource(set));
  return ReadDataRecipe(RecipeFile(std::move(top), data_file.string()), is_path ? data_file.parent_path() : ".", whole,
                        defaults);
}

}  // namespace stablelm
