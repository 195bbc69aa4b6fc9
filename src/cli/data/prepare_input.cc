#include "cli/data/prepare_input.h"

#include <algorithm>

#include "base/error.h"
#include "base/name_table.h"
#include "base/shell_word.h"
#include "checkpoint/model_source.h"
#include "checkpoint/path_or_hub_id.h"
#include "cli/app/load_tokenizer.h"
#include "dataset/read_recipe.h"
#include "dataset/recipe_yaml.h"
#include "dataset/rows/guess_kind.h"
#include "dataset/source_files.h"
#include "dataset/source_pass.h"
#include "dataset/token_shards.h"
#include "generate/settings/model_defaults.h"

namespace stablelm {
namespace {

constexpr int64_t kMostSequence = 4096;  // the released models' context, where nothing else is said

bool IsRecipe(const std::string& what) { return what.ends_with(".yaml") || what.ends_with(".yml"); }

struct TokenizerOfRun {
  std::optional<Tokenizer> tokenizer;
  std::string from;
  std::filesystem::path path;
  std::optional<ChatRecord> record;
  std::optional<int64_t> context;  // of the model
};

TokenizerOfRun OfModel(const std::string& model, Output& out) {
  const std::shared_ptr<const ModelSource> source = ModelSource::Open(model);
  TokenizerOfRun result;
  result.tokenizer = LoadTokenizer(*source, out);
  result.path = source->path();
  result.from = std::filesystem::path(model).lexically_normal().filename().string();
  if (result.from.empty()) result.from = "model";
  if (source->HasConfig()) {
    const ModelConfig config = source->ReadConfig();
    result.context = config.max_positions;
    result.record = ReadModelDefaults(*source, config, &*result.tokenizer).record;
  }
  return result;
}

TokenizerOfRun OfFile(const std::filesystem::path& file, Output& out) {
  TokenizerOfRun result;
  result.tokenizer = Tokenizer::FromFile(file);
  result.path = file;
  for (const std::string& warning : result.tokenizer->warnings()) out.Warning(warning);
  result.from = file.filename().string();
  if (HasRoleTokens(*result.tokenizer)) result.record = CardChatRecord();
  return result;
}

// The recipe's tokenizer: a file or a model.
TokenizerOfRun OfRecipe(const DataRecipe& recipe, Output& out) {
  const std::string named = PathOrHubId(recipe.folder, recipe.tokenizer);
  std::error_code error;
  const bool is_file = std::filesystem::path(named).extension() == ".json" && std::filesystem::exists(named, error);
  return is_file ? OfFile(named, out) : OfModel(named, out);
}

ChatRecord RecordFor(const DataRecipe& recipe, const TokenizerOfRun& tokenizer) {
  std::optional<PromptTemplate> wanted = recipe.prompt_template;
  if (tokenizer.record && (!wanted || *wanted == tokenizer.record->prompt_template)) return *tokenizer.record;
  if (!wanted) wanted = TemplateByTokens(*tokenizer.tokenizer);
  if (!wanted) {
    throw Error({.where = "template",
                 .what = "no template is known: the recipe names none, and the tokenizer has no role tokens",
                 .expected = Joined(PromptTemplateNames()),
                 .hint = "--set template=alpaca needs no role tokens"});
  }
  ChatRecord record{
      .prompt_template = *wanted, .system = {}, .stop_tokens = DefaultStopTokens(*wanted), .generation = {}};
  if (const std::optional<std::string_view> text = DefaultSystemText(*wanted)) record.system = *text;
  return record;
}

// A system text that all sources set is the one to chat with: the trained model knows no other.
void TakeCommonSystemText(const DataRecipe& recipe, ChatRecord& record) {
  const SystemRule* common = nullptr;
  for (const SourceRecipe& source : recipe.sources) {
    if (source.kind == SourceKind::kText) continue;  // no conversations
    if (source.system.kind == SystemRule::Kind::kDefault || (common && *common != source.system)) return;
    common = &source.system;
  }
  if (!common) return;
  record.system = common->kind == SystemRule::Kind::kText ? std::optional(common->text) : std::nullopt;
}

std::string Quote(const std::string& text) {
  return RecipeValueText({.kind = RecipeNode::Kind::kScalar, .text = text, .quoted = true});
}

}  // namespace

PrepareInput ReadPrepareInput(const std::string& what, const std::string& model, const std::vector<std::string>& sets,
                              Output& out) {
  TokenizerOfRun tokenizer;
  DataRecipe defaults;
  if (!model.empty()) {
    tokenizer = OfModel(model, out);
    defaults.sequence_length = std::min(tokenizer.context.value_or(kMostSequence), kMostSequence);
  }
  LoadedRecipe loaded = IsRecipe(what) ? ReadDataRecipe(what, sets, defaults) : RecipeForFile(what, sets, defaults);
  DataRecipe& recipe = loaded.recipe;
  if (model.empty()) {
    if (recipe.tokenizer.empty()) {
      throw Error(
          {.where = what,
           .what = "no tokenizer is named",
           .expected = "-m MODEL, or `tokenizer:` in the recipe",
           .hint = "the data are prepared for one model: stablelm prepare " + ShellWord(what) + " -m MODEL -o OUT"});
    }
    tokenizer = OfRecipe(recipe, out);
  }
  if (tokenizer.context && recipe.sequence_length > *tokenizer.context) {
    out.Warning("sequence_length " + std::to_string(recipe.sequence_length) + " is more than the context of " +
                tokenizer.from + ", " + std::to_string(*tokenizer.context) +
                ": finetune will refuse these data for it; --set sequence_length=" +
                std::to_string(*tokenizer.context) + " makes them fit");
  }
  ChatRecord record = RecordFor(recipe, tokenizer);
  TakeCommonSystemText(recipe, record);
  return {.setup = {.recipe = recipe,
                    .recipe_yaml = loaded.settings.Yaml(),
                    .tokenizer = *tokenizer.tokenizer,
                    .tokenizer_from = tokenizer.from,
                    .tokenizer_path = tokenizer.path,
                    .prompt_template = record.prompt_template,
                    .system = record.system,
                    .stop_tokens = record.stop_tokens,
                    .chat_record = record,
                    .limit = {}},
          .settings = std::move(loaded.settings)};
}

std::string RecipeToStartFrom(const std::filesystem::path& file) {
  constexpr size_t kRows = 100;
  std::string name = DataName(file.string());
  if (name.empty()) name = "data";  // a pattern
  const std::string split = kTrainSplit;
  const SourceFile source = FindDataFiles(file.string(), {&split, 1}, ".", "--guess").front();
  const KindGuess guess = GuessKind(FirstRows(source, kRows, {}), source.path.string());
  std::error_code ignored;
  const bool is_path = std::filesystem::exists(file, ignored);  // else a pattern or a hub id
  std::string yaml = "# stablelm prepare THIS-FILE.yaml -m MODEL -o OUT\n";
  yaml += "# Every key that is left out has a default; --dry-run shows them all.\n";
  yaml += "name: " + Quote(name) + "\n\nsources:\n";
  yaml += "  - name: " + Quote(name) + "\n";
  yaml += "    path: " + Quote(is_path ? std::filesystem::absolute(file).lexically_normal().string() : file.string()) +
          "\n";
  yaml += "    kind: " + std::string(NameOf(guess.kind)) + "  # " + guess.why + "\n";
  if (guess.kind == SourceKind::kColumns) {
    yaml += "    columns:\n";
    const std::pair<const char*, const std::string*> columns[] = {{"system", &guess.columns.system},
                                                                  {"user", &guess.columns.user},
                                                                  {"assistant", &guess.columns.assistant},
                                                                  {"id", &guess.columns.id}};
    for (const auto& [key, value] : columns) {
      if (!value->empty()) yaml += "      " + std::string(key) + ": " + Quote(*value) + "\n";
    }
  }
  yaml += "    loss: " + std::string(NameOf(DefaultLoss(guess.kind))) + "\n";
  yaml +=
      "    # system: \"the system text of every conversation\"   (absent: the row's own, else the model's; null: "
      "none)\n";
  yaml += "    # clean: {html: true, near_duplicates: true, english: true}\n";
  return yaml;
}

}  // namespace stablelm
