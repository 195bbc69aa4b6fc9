#include "train/read_run_log.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

using Json = nlohmann::json;

// An object of the log; a member is read by its name and type.
class Object {
 public:
  Object(const Json& value, std::string where) : value_(value), where_(std::move(where)) {
    if (!value.is_object()) Fail({}, "an object");
  }
  bool Has(const char* key) const { return value_.contains(key); }
  std::string Text(const char* key) const {
    const Json& value = At(key, "a text");
    return value.is_string() ? value.get<std::string>() : Fail(key, "a text");
  }
  std::string OptionalText(const char* key) const {
    return !Has(key) || value_[key].is_null() ? std::string() : Text(key);
  }
  bool Flag(const char* key) const {
    const Json& value = At(key, "true or false");
    if (!value.is_boolean()) Fail(key, "true or false");
    return value.get<bool>();
  }
  int64_t Whole(const char* key) const {
    const Json& value = At(key, "a whole number, at least 0");
    if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<int64_t>::max()) {
      Fail(key, "a whole number, at least 0");
    }
    return value.get<int64_t>();
  }
  double Real(const char* key) const {  // null: NaN
    const Json& value = At(key, "a number");
    if (value.is_null()) return std::nan("");
    if (!value.is_number()) Fail(key, "a number");
    return value.get<double>();
  }
  Object Member(const char* key) const { return {At(key, "an object"), where_ + ": " + key}; }
  std::vector<Object> List(const char* key) const {
    const Json& list = At(key, "a list");
    if (!list.is_array()) Fail(key, "a list");
    std::vector<Object> objects;
    for (size_t i = 0; i < list.size(); ++i) {
      objects.emplace_back(list[i], where_ + ": " + key + "[" + std::to_string(i) + "]");
    }
    return objects;
  }
  std::vector<std::pair<std::string, Object>> Members() const {
    std::vector<std::pair<std::string, Object>> members;
    for (const auto& [name, value] : value_.items()) members.emplace_back(name, Object(value, where_ + ": " + name));
    return members;
  }
  // Returns nothing; the type lets it stand in an expression.
  [[noreturn]] std::string Fail(const char* key, const std::string& expected) const {
    const bool there = !key || value_.contains(key);
    throw Error({.where = where_ + (key ? std::string(": ") + key : ""),
                 .what = "damaged line of a run's log",
                 .found = there ? ShownJson(key ? value_[key] : value_) : "nothing",
                 .expected = expected,
                 .hint = "remove the line; what the others say stays readable"});
  }

 private:
  const Json& At(const char* key, const std::string& expected) const {
    if (!value_.contains(key)) Fail(key, expected);
    return value_[key];
  }
  const Json& value_;
  std::string where_;
};

LoggedStart StartOf(const Object& o) {
  LoggedStart start;
  start.name = o.Text("name");
  start.model = o.Text("model");
  start.parameters = static_cast<uint64_t>(o.Whole("parameters"));
  start.trained = static_cast<uint64_t>(o.Whole("trained"));
  for (const Object& setting : o.List("settings")) {
    start.settings.push_back({setting.Text("key"), setting.Text("value"), setting.Text("origin")});
  }
  const Object data = o.Member("data");
  start.data = data.Text("name");
  const auto count = [](const Object& of, const char* key) { return static_cast<uint64_t>(of.Whole(key)); };
  for (const auto& [name, split] : data.Member("splits").Members()) {
    start.splits.push_back({.name = name,
                            .conversations = count(split, "conversations"),
                            .packs = count(split, "packs"),
                            .tokens = count(split, "tokens"),
                            .targets = count(split, "targets")});
  }
  for (const Object& source : data.List("sources")) {
    start.sources.push_back({.name = source.Text("name"),
                             .kind = source.Text("kind"),
                             .licence = source.OptionalText("licence"),
                             .rows = count(source, "rows"),
                             .kept = count(source, "kept"),
                             .samples = count(source, "samples"),
                             .tokens = count(source, "tokens"),
                             .targets = count(source, "targets")});
  }
  return start;
}

StepLog StepOf(const Object& o) {
  StepLog step = {.step = o.Whole("step"), .steps = o.Whole("steps"), .epoch = o.Real("epoch")};
  step.loss = o.Real("loss");
  step.smoothed_loss = o.Real("smoothed_loss");
  step.rate = o.Real("rate");
  step.gradient_norm = o.Real("gradient_norm");
  step.loss_scale = o.Real("loss_scale");
  step.tokens = o.Whole("tokens");
  step.loss_tokens = o.Whole("loss_tokens");
  step.skipped = o.Flag("skipped");
  step.overflow = o.OptionalText("overflow");
  step.seconds = o.Real("seconds");
  step.memory_bytes = static_cast<uint64_t>(o.Whole("memory_bytes"));
  return step;
}

LoggedValidation ValidationOf(const Object& o) {
  LoggedValidation validation = {.step = o.Whole("step"), .loss = o.Real("loss"), .sources = {}};
  for (const auto& [name, source] : o.Member("sources").Members()) {
    validation.sources.emplace_back(name, source.Real("loss"));
  }
  return validation;
}

LoggedSamples SamplesOf(const Object& o) {
  LoggedSamples samples = {.step = o.Whole("step"),
                           .stop_rate = o.Real("stop_rate"),
                           .self_dialogue_rate = o.Real("self_dialogue_rate"),
                           .answers = {}};
  for (const Object& answer : o.List("answers")) {
    samples.answers.push_back(
        {answer.Text("prompt"), answer.Text("answer"), answer.Text("end"), answer.Flag("self_dialogue")});
  }
  return samples;
}

LoggedGuard GuardOf(const Object& o) {
  LoggedGuard guard = {.step = o.Whole("step"), .found = o.Text("found"), .action = o.Text("action"), .place = {}};
  if (guard.found != "spike") {
    guard.place = o.Text("place");
    return guard;
  }
  guard.loss = o.Real("loss");
  guard.mean = o.Real("mean");
  guard.z = o.Real("z");
  guard.rate_factor = o.Real("rate_factor");
  return guard;
}

}  // namespace

LoggedRun ReadRunLog(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  LoggedRun run;
  std::string_view rest = mapped.text();
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // half a line
    const std::string where = file.string() + ": line " + std::to_string(number);
    const Json value = ParseStrictJson(rest.substr(0, end), where);
    rest.remove_prefix(end + 1);
    const Object object(value, where);
    const std::string event = object.Text("event");
    if (event == "start") run.start = StartOf(object);
    if (event == "step") {
      const StepLog step = StepOf(object);
      if (!run.steps.empty() && step.step <= run.steps.back().step) {
        object.Fail("step", "more than " + std::to_string(run.steps.back().step) + ", the step before");
      }
      run.steps.push_back(step);
    }
    if (event == "validation") run.validations.push_back(ValidationOf(object));
    if (event == "samples") run.samples.push_back(SamplesOf(object));
    if (event == "guard") run.guards.push_back(GuardOf(object));
    if (event == "validation" || event == "samples") run.other_seconds += object.Real("seconds");
  }
  return run;
}

}  // namespace stablelm
