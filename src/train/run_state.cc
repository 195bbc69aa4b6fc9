#include "train/run_state.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/strict_json.h"

namespace stablelm {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr int kFormat = 1;
constexpr const char* kEarlier = "the file is damaged: resume from an earlier checkpoint";

}  // namespace

std::string HashOfSettings(const std::map<std::string, std::string>& fixed) {
  std::string text;
  for (const auto& [key, value] : fixed) text += key + ": " + value + "\n";
  return Sha256Hex(text);
}

std::string WriteRunState(const RunState& state, const JsonValue& watches) {
  const LossScaleState& scale = state.loss_scale;
  JsonValue json = {{"format", kFormat},
                    {"step", state.step},
                    {"updates", state.updates},
                    {"skipped", state.skipped},
                    {"packs", state.packs},
                    {"recent_losses", JsonValue(state.recent_losses)},
                    {"loss_scale",
                     {{"scale", scale.scale},
                      {"hysteresis", scale.hysteresis},
                      {"last_overflow", scale.last_overflow},
                      {"steps", scale.steps},
                      {"in_a_row", scale.in_a_row}}},
                    {"best", nullptr}};
  if (state.best) json["best"] = {{"step", state.best->step}, {"value", state.best->value}};
  json["watches"] = watches;
  json["hashes"] = {{"recipe", state.recipe_hash}, {"data", state.data_hash}, {"base", state.base_hash}};
  json["recipe"] = JsonValue(state.fixed);
  return json.Dump(2) + "\n";
}

LoadedRunState ReadRunState(const std::filesystem::path& checkpoint) {
  const std::filesystem::path path = checkpoint / kStateFile;
  const nlohmann::json json = ParseStrictJson(ReadTextFile(path, kMostBytes), path.string());
  LoadedRunState state;
  try {
    if (json.at("format") != kFormat) {
      throw Error({.where = path.string(),
                   .what = "unknown format",
                   .found = ShownJson(json.at("format")),
                   .expected = std::to_string(kFormat),
                   .hint = "resume with the version of stablelm that wrote it, or a newer one"});
    }
    json.at("step").get_to(state.step);
    json.at("updates").get_to(state.updates);
    json.at("skipped").get_to(state.skipped);
    json.at("packs").get_to(state.packs);
    if (const auto losses = json.find("recent_losses"); losses != json.end()) losses->get_to(state.recent_losses);
    const nlohmann::json& scale = json.at("loss_scale");
    state.loss_scale = {.scale = scale.at("scale"),
                        .hysteresis = scale.at("hysteresis"),
                        .last_overflow = scale.at("last_overflow"),
                        .steps = scale.at("steps"),
                        .in_a_row = scale.at("in_a_row")};
    if (const nlohmann::json& best = json.at("best"); !best.is_null()) {
      state.best = {.step = best.at("step"), .value = best.at("value")};
    }
    json.at("recipe").get_to(state.fixed);
    json.at("hashes").at("recipe").get_to(state.recipe_hash);
    json.at("hashes").at("data").get_to(state.data_hash);
    json.at("hashes").at("base").get_to(state.base_hash);
    state.watches = std::make_shared<const nlohmann::json>(json.at("watches"));
  } catch (const nlohmann::json::exception&) {
    throw Error({.where = path.string(), .what = "it does not have the members of a run's state", .hint = kEarlier});
  }
  if (state.step < 0 || state.updates < 0 || state.updates > state.step || !state.watches->is_object()) {
    throw Error({.where = path.string(),
                 .what = "impossible state of a run",
                 .found = "step " + std::to_string(state.step) + ", " + std::to_string(state.updates) + " updates",
                 .hint = kEarlier});
  }
  return state;
}

}  // namespace stablelm
