#include "train/run_watches.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/stopwatch.h"
#include "train/divergence_guard.h"
#include "train/event_file.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

// Writes every step into the event file, which the other watches share.
class EventWatch : public TrainingWatch {
 public:
  explicit EventWatch(const fs::path& run) : run_(run) {}
  std::string Name() const override { return "events"; }

  void AtStart(const Moment& /*moment*/) override { file_.emplace(run_, 0); }
  void Restore(const nlohmann::json& /*state*/, int64_t step) override { file_.emplace(run_, step + 1); }
  void AfterStep(const Moment& moment) override {
    const StepLog& step = moment.step;
    std::vector<EventScalar> scalars;
    if (step.overflow.empty()) {  // else neither loss nor norm is a number
      scalars = {{"train/loss", step.loss},
                 {"train/smoothed_loss", step.smoothed_loss},
                 {"train/gradient_norm", step.gradient_norm}};
    }
    scalars.push_back({"train/rate", step.rate});
    scalars.push_back({"train/loss_scale", step.loss_scale});
    scalars.push_back({"train/epoch", step.epoch});
    scalars.push_back({"speed/tokens_per_s", step.TokensPerSecond()});
    Append(step.step, scalars);
  }
  void Append(int64_t step, const std::vector<EventScalar>& scalars) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    file_->Append(step, std::chrono::duration<double>(now).count(), scalars);
  }

 private:
  const fs::path run_;
  std::optional<EventFile> file_;
};

// Before the first step, every `every` steps and after the last one.
class IntervalWatch : public TrainingWatch {
 public:
  IntervalWatch(int64_t every, EventWatch& events) : every_(every), events_(events) {}

  void AtStart(const Moment& moment) override { Look(moment); }
  void AfterStep(const Moment& moment) override {
    Skip();
    if (moment.step.step % every_ == 0 || moment.last) Look(moment);
  }

 protected:
  virtual void Skip() {}
  virtual void Look(const Moment& moment) = 0;
  static void Log(const Moment& moment, JsonValue object, Clock::time_point start) {
    object["seconds"] = SecondsSince(start);
    moment.log(object);
  }

  const int64_t every_;
  EventWatch& events_;
};

class ValidationWatch : public IntervalWatch {
 public:
  ValidationWatch(const Validation& validation, int64_t every, EventWatch& events)
      : IntervalWatch(every, events), validation_(validation) {}
  std::string Name() const override { return "validation"; }
  std::optional<double> Value() const override { return value_; }

 private:
  void Skip() override { value_.reset(); }
  void Look(const Moment& moment) override {
    const auto start = Clock::now();
    const ValidationResult result = validation_.Run(moment.pass);
    value_ = result.Mean();
    Log(moment, ValidationJson(result), start);
    std::vector<EventScalar> scalars = {{"validation/loss", *value_}};
    if (result.sources.size() > 1) {
      for (const SourceLoss& source : result.sources) {
        scalars.push_back({"validation/loss of " + source.source, source.Mean()});
      }
    }
    events_.Append(moment.step.step, scalars);
  }

  const Validation& validation_;
  std::optional<double> value_;
};

class SampleWatch : public IntervalWatch {
 public:
  SampleWatch(const SampleAnswers& samples, int64_t every, EventWatch& events)
      : IntervalWatch(every, events), samples_(samples) {}
  std::string Name() const override { return "samples"; }

 private:
  void Look(const Moment& moment) override {
    const auto start = Clock::now();
    const SampleRound round = samples_.Run(moment.parameters.weights(), moment.pool);
    Log(moment, SamplesJson(round), start);
    events_.Append(moment.step.step,
                   {{"samples/stop_rate", round.StopRate()}, {"samples/self_dialogue_rate", round.SelfDialogueRate()}});
  }

  const SampleAnswers& samples_;
};

JsonValue DataJson(const Manifest& manifest) {
  JsonValue sources = JsonValue::Array();
  for (const JsonValue& source : manifest.json.At("sources").items()) {
    JsonValue one = JsonValue::Object();
    for (const char* key : {"name", "kind", "licence", "rows", "kept", "samples"}) one[key] = source.At(key);
    one["tokens"] = source.At("tokens").At("written");
    one["targets"] = source.At("targets");
    sources.push_back(std::move(one));
  }
  return {{"name", manifest.name}, {"splits", manifest.json.At("splits")}, {"sources", std::move(sources)}};
}

}  // namespace

JsonValue StartJson(const FineTune& tune, const RecipeSettings& settings) {
  JsonValue list = JsonValue::Array();
  for (const RecipeSetting& setting : settings.list()) {
    list.push_back({{"key", setting.key}, {"value", setting.value}, {"origin", NameOf(setting.origin)}});
  }
  return {{"event", "start"},
          {"name", tune.recipe().name},
          {"model", tune.model() ? tune.model()->path().filename().string() : "init"},
          {"parameters", tune.table().NumParameters()},
          {"trained", tune.table().NumTrained()},
          {"steps", tune.steps()},
          {"settings", std::move(list)},
          {"data", DataJson(tune.manifest())}};
}

RunWatches::RunWatches(const FineTune& tune, const fs::path& run) {
  const RunRecipe& recipe = tune.recipe();
  auto events = std::make_unique<EventWatch>(run);
  EventWatch& shared = *events;
  watches_.push_back(std::move(events));
  watches_.push_back(std::make_unique<DivergenceGuard>(recipe.guard));
  if (tune.validation()) {
    watches_.push_back(std::make_unique<ValidationWatch>(*tune.validation(), recipe.validate_every, shared));
  }
  if (tune.samples()) watches_.push_back(std::make_unique<SampleWatch>(*tune.samples(), recipe.samples_every, shared));
}

RunWatches::~RunWatches() = default;

std::vector<TrainingWatch*> RunWatches::List() const {
  std::vector<TrainingWatch*> list;
  for (const auto& watch : watches_) list.push_back(watch.get());
  return list;
}

}  // namespace stablelm
