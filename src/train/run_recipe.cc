#include "train/run_recipe.h"

#include <algorithm>

#include "base/number_text.h"
#include "base/shell_word.h"
#include "checkpoint/describe/config.h"
#include "dataset/manifest.h"
#include "dataset/source_files.h"
#include "ops/low_rank.h"
#include "train/adapter_base.h"

namespace stablelm {
namespace {

constexpr int64_t kMostSteps = int64_t{1} << 40;

// One of `values`, by its name.
template <typename Value>
Value ReadChoice(RecipeMap& map, const std::string& key, Value fallback, std::span<const Value> values) {
  std::vector<std::string> names;
  for (const Value value : values) names.emplace_back(NameOf(value));
  const std::string chosen = map.Choice(key, std::string(NameOf(fallback)), names);
  return values[static_cast<size_t>(std::ranges::find(names, chosen) - names.begin())];
}

void ReadOptimizer(RecipeMap& map, RunRecipe& recipe) {
  OptimizerOptions& optimizer = recipe.optimizer;
  map.Map("optimizer", [&](RecipeMap& keys) {
    keys.FallbacksFrom(RecipeOrigin::kCard);
    recipe.schedule.rate = keys.Real("rate", 2e-5, {.least = 0, .most = 10, .above_least = true});
    optimizer.beta1 = keys.Real("beta1", optimizer.beta1, {.least = 0, .most = 0.999999});
    optimizer.beta2 = keys.Real("beta2", optimizer.beta2, {.least = 0, .most = 0.999999});
    optimizer.weight_decay = keys.Real("weight_decay", optimizer.weight_decay, {.least = 0, .most = 10});
    keys.FallbacksFrom(RecipeOrigin::kDefault);
    optimizer.epsilon = keys.Real("epsilon", optimizer.epsilon, {.least = 0, .most = 1, .above_least = true});
    optimizer.clip = keys.Real("clip", optimizer.clip, {.least = 0, .most = 1e9});
  });
}

void ReadLossScale(RecipeMap& map, LossScaleOptions& scale) {
  map.Map("loss_scale", [&](RecipeMap& keys) {
    scale.initial = keys.Real("initial", scale.initial, {.least = 0, .most = scale.max, .above_least = true});
    scale.min = keys.Real("min", scale.min, {.least = 0, .most = scale.max, .above_least = true});
    scale.window = keys.Whole("window", scale.window, {.least = 1, .most = kMostSteps});
    scale.hysteresis = keys.Whole("hysteresis", scale.hysteresis, {.least = 1, .most = kMostSteps});
    if (scale.initial < scale.min)
      keys.Fail("initial", {.what = "loss_scale.initial is below loss_scale.min",
                            .expected = "at least " + NumberText(scale.min)});
  });
}

void ReadSchedule(RecipeMap& map, ScheduleOptions& schedule) {
  map.Map("schedule", [&](RecipeMap& keys) {
    schedule.shape = ParseScheduleShape(keys.Choice("shape", "cosine", ScheduleNames()));
    schedule.min_ratio = keys.Real("min_ratio", schedule.min_ratio, {.least = 0, .most = 1});
    schedule.warmup = keys.Whole("warmup", 0, {.least = 0, .most = kMostSteps});
    schedule.decay_steps = keys.Whole("decay_steps", 0, {.least = 0, .most = kMostSteps});
  });
}

// `epochs` or `steps`: only the one that counts is among the settings in force.
void ReadLength(RecipeMap& map, RunRecipe& recipe) {
  recipe.steps = map.OptionalWhole("steps", std::nullopt, {.least = 1, .most = kMostSteps});
  if (!recipe.steps) {
    recipe.epochs = map.Real("epochs", 1, {.least = 0, .most = 1e6, .above_least = true});
  } else {
    map.Has("epochs");  // may be there
    map.NoteUnset("epochs", "as many as the steps make");
  }
}

void ReadWatches(RecipeMap& map, RunRecipe& recipe) {
  recipe.validate_every = map.Whole("validate_every", recipe.validate_every, {.least = 0, .most = kMostSteps});
  map.Map("samples", [&](RecipeMap& keys) {
    recipe.samples.prompts = keys.Texts("prompts");
    recipe.samples_every = keys.Whole("every", recipe.samples_every, {.least = 1, .most = kMostSteps});
    recipe.samples.max_tokens = keys.Whole("max_tokens", recipe.samples.max_tokens, {.least = 1, .most = 1 << 20});
  });
  map.Map("guard", [&](RecipeMap& keys) {
    GuardOptions& guard = recipe.guard;
    guard.on_spike = ReadChoice<OnSpike>(keys, "on_spike", guard.on_spike, kOnSpikes);
    guard.spike_z = keys.Real("spike_z", guard.spike_z, {.least = 1, .most = 1e9});
    guard.on_not_finite = ReadChoice<OnNotFinite>(keys, "on_not_finite", guard.on_not_finite, kOnNotFinites);
    guard.max_skipped = keys.Whole("max_skipped", guard.max_skipped, {.least = 0, .most = kMostSteps});
  });
}

void ReadLora(RecipeMap& map, RunRecipe& recipe) {
  if (!map.Has("lora")) {
    if (map.Has("base_dtype")) {
      map.Fail("base_dtype", {.what = "only the base below adapters takes another type",
                              .expected = "`lora: {rank: 16}` beside it",
                              .hint = "`precision` is the type of weights that are trained"});
    }
    return;
  }
  if (map.HasNull("lora")) {
    map.Fail("lora",
             {.what = "lora: wrong value",
              .expected = "a map of keys and values",
              .hint = "`lora: {}` trains adapters with the defaults; without the key the model itself is trained"});
  }
  LoraOptions lora;
  map.Map("lora", [&](RecipeMap& keys) {
    lora.rank = keys.Whole("rank", lora.rank, {.least = 1, .most = kMaxLowRank});
    lora.alpha = keys.Real("alpha", 2 * static_cast<double>(lora.rank), {.least = 0, .most = 1e6, .above_least = true});
    lora.rslora = keys.Flag("rslora", lora.rslora);
    lora.dropout = keys.Real("dropout", lora.dropout, {.least = 0, .most = 0.99});
    const std::vector<std::string> names = NamesIn(NameTable<WeightKind>(kLoraTargets));
    const std::vector<std::string> targets =
        keys.Has("targets") ? keys.Choices("targets", names) : keys.Texts("targets", names);
    lora.targets.clear();
    for (const auto& [kind, name] : kLoraTargets) {
      if (std::ranges::find(targets, name) != targets.end()) lora.targets.push_back(kind);
    }
    if (lora.targets.empty()) {
      keys.Fail("targets", {.what = "no matrix gets an adapter", .expected = "one or more of " + Joined(names)});
    }
  });
  if (recipe.from == "init") {
    map.Fail("lora", {.what = "adapters change a model that is there", .expected = "`from` with a model"});
  }
  if (!recipe.trained.empty()) {
    map.Fail("trained",
             {.what = "a run trains adapters or parameters of the model, not both", .expected = "`lora` or `trained`"});
  }
  if (recipe.precision == Precision::kF16) {
    map.Fail("precision", {.what = "adapters are not trained in fp16",
                           .expected = "fp32 or bf16",
                           .hint = "`base_dtype: fp16` halves the memory of the base, and needs no loss scale"});
  }
  recipe.base_dtype = map.OptionalChoice("base_dtype", std::nullopt, BaseTypeNames()).value_or("");
  recipe.lora = std::move(lora);
}

// Whether the command line gives `key` a value.
bool Sets(std::span<const std::string> sets, const std::string& key) {
  return std::ranges::any_of(
      sets, [&](const std::string& set) { return set.starts_with(key + "=") && set != key + "=null"; });
}

// Settings that a run may change when it is resumed. Any other decides the arithmetic of the steps.
constexpr std::string_view kModelAndData[] = {"from", "shape", "tokenizer", "data"};  // compared by content
constexpr std::string_view kOfTheModel[] = {"name", "epochs", "steps", "save_dtype"};
constexpr std::string_view kOfTheRunAlone[] = {"recompute",      "checkpoint_every", "keep_last", "keep_every",
                                               "validate_every", "samples",          "guard"};

// Whether `key` is one of `names`, or below one.
bool IsOneOf(std::string_view key, std::span<const std::string_view> names) {
  return std::ranges::find(names, key.substr(0, key.find('.'))) != names.end();
}

// Changes every path that is there, relative to the recipe's folder.
void ChangePaths(RecipeNode& top, const std::filesystem::path& folder,
                 FunctionRef<std::string(const std::filesystem::path&)> change) {
  for (const std::string_view key : kModelAndData) {
    RecipeNode* const node = top.Find(key);
    std::error_code error;
    if (!node || node->kind != RecipeNode::Kind::kScalar) continue;
    const std::filesystem::path path = folder / node->text;
    if (key == "from" && node->text == "init") continue;
    if (key == "shape" && ModelConfig::FromShapeName(node->text)) continue;
    if (std::filesystem::exists(path, error)) node->text = change(path);
  }
}

void Complete(LoadedRunRecipe& loaded) {
  RecipeNode absolute = loaded.settings.top();
  ChangePaths(absolute, loaded.recipe.folder, [](const std::filesystem::path& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  });
  loaded.absolute_yaml = WriteRecipeYaml(absolute, false);
  RecipeNode card = absolute;
  ChangePaths(card, {}, [](const std::filesystem::path& path) {
    return (path.has_filename() ? path : path.parent_path()).filename().string();
  });
  for (size_t i = card.keys.size(); i-- > 0;) {
    if (!IsOneOf(card.keys[i].text, kOfTheRunAlone)) continue;
    card.keys.erase(card.keys.begin() + static_cast<std::ptrdiff_t>(i));
    card.items.erase(card.items.begin() + static_cast<std::ptrdiff_t>(i));
  }
  loaded.card_yaml = WriteRecipeYaml(card, false);
  for (const RecipeSetting& setting : loaded.settings.list()) {
    if (IsOneOf(setting.key, kModelAndData) || IsOneOf(setting.key, kOfTheModel) ||
        IsOneOf(setting.key, kOfTheRunAlone)) {
      continue;
    }
    loaded.fixed[setting.key] = setting.value;
  }
}

// What a recipe names is easily given in its place.
void RequireNoDataOrModel(const std::filesystem::path& path) {
  ErrorInfo info = {.where = path.string(), .what = "not a recipe", .expected = "a .yaml file"};
  const std::string word = ShellWord(path.string());
  const std::string end = path.extension().string();
  const std::string_view data = DataExtension(path.filename().string());
  std::error_code error;
  if (std::filesystem::exists(path / kManifestFile, error)) {
    info.found = "a folder of prepared data";
    info.hint = "a recipe names it: stablelm finetune RECIPE --set data=" + word;
  } else if (std::filesystem::exists(path / "recipe.yaml", error) ||
             std::filesystem::exists(path / "state.json", error)) {
    info.found = "a run";
    info.hint = "stablelm finetune --resume " + word + " goes on with it";
  } else if (end == ".gguf" || std::filesystem::is_directory(path, error)) {
    info.found = end == ".gguf" ? "a model" : "a folder";
    info.hint = "a recipe names the model: stablelm finetune RECIPE --set from=" + word;
  } else if (!data.empty() && data != ".json" && data != ".txt") {  // these may hold a recipe
    info.found = "a file of data";
    info.hint = "prepare it, stablelm prepare " + word + " -m MODEL -o DATA, and name DATA in a recipe";
  } else {
    return;
  }
  throw Error(info);
}

}  // namespace

LoadedRunRecipe ReadRunRecipe(const std::filesystem::path& path, std::span<const std::string> sets) {
  RequireNoDataOrModel(path);
  RecipeFile file = RecipeFile::Read(path);
  for (const std::string& set : sets) file.Set(set);
  if (Sets(sets, "epochs") && !Sets(sets, "steps")) file.Remove("steps");
  if (file.RemoveIfUnset("lora") && !Sets(sets, "base_dtype")) file.Remove("base_dtype");  // it is for adapters alone
  LoadedRunRecipe loaded;
  RunRecipe& recipe = loaded.recipe;
  recipe.folder = path.parent_path();
  loaded.settings = file.Visit([&](RecipeMap& map) {
    constexpr int64_t kMany = 1 << 20;
    recipe.name = map.Text("name", path.stem().string());
    if (recipe.name.empty() || recipe.name.find('/') != std::string::npos) {
      map.Fail("name", {.what = "wrong name", .expected = "a name without \"/\": it names the folder of the run"});
    }
    recipe.from = map.RequiredText("from", "a model folder, a GGUF file, a hub id, or init");
    recipe.data = map.RequiredText("data", "a folder that `stablelm prepare` made");
    if (recipe.from != "init") {  // a recipe whose `from` was changed keeps them
      map.OptionalText("shape");
      map.OptionalText("tokenizer");
    } else {
      recipe.shape = map.RequiredText("shape", "3b, 7b or a config.json: the shape of the new model");
      recipe.tokenizer = map.RequiredText("tokenizer", "a folder with tokenizer.json: of the new model");
    }
    recipe.precision = ReadChoice<Precision>(map, "precision", recipe.precision, kPrecisions);
    recipe.recompute = ReadChoice<Recompute>(map, "recompute", recipe.recompute, kRecomputes);
    recipe.trained = map.Texts("trained");
    ReadLora(map, recipe);
    recipe.step.rows = static_cast<uint64_t>(map.Whole("rows", 1, {.least = 1, .most = kMany}));
    recipe.step.micro_batches = static_cast<uint64_t>(map.Whole("micro_batches", 1, {.least = 1, .most = kMany}));
    // A lane is the share of a process, and one process is all there is; part of what makes two runs the same.
    recipe.step.lanes = static_cast<uint64_t>(map.Whole("lanes", 1, {.least = 1, .most = 1}));
    ReadLength(map, recipe);
    ReadOptimizer(map, recipe);
    ReadSchedule(map, recipe.schedule);
    ReadLossScale(map, recipe.loss_scale);
    recipe.seed = static_cast<uint64_t>(map.Whole("seed", 1, {}));
    if (recipe.lora) recipe.lora->seed = recipe.seed;
    // An adapter is small, and PEFT keeps it in fp32.
    const Precision saved = recipe.lora ? Precision::kF32 : Precision::kF16;
    recipe.save_dtype = WeightType(ReadChoice<Precision>(map, "save_dtype", saved, kPrecisions));
    ReadWatches(map, recipe);
    recipe.checkpoint_every = map.Whole("checkpoint_every", recipe.checkpoint_every, {.least = 0, .most = kMostSteps});
    recipe.keep_last = map.Whole("keep_last", recipe.keep_last, {.least = 1, .most = kMostSteps});
    recipe.keep_every = map.Whole("keep_every", recipe.keep_every, {.least = 0, .most = kMostSteps});
  });
  Complete(loaded);
  return loaded;
}

}  // namespace stablelm
