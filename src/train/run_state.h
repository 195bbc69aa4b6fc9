// state.json of a checkpoint: where the run stands, beside weights and moments. It depends on the steps alone: no time,
// path, host or number of threads is in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"
#include "train/loss_scale.h"

namespace stablelm {

inline constexpr const char* kStateFile = "state.json";

struct BestCheckpoint {
  int64_t step = 0;
  double value = 0;  // TrainingWatch::Value
};

struct RunState {
  int64_t step = 0;                   // that was made last
  int64_t updates = 0;                // t of AdamW and n of the schedule
  int64_t skipped = 0;                // steps without an update
  std::vector<double> recent_losses;  // of the last kRecentSteps updates, oldest first
  LossScaleState loss_scale;
  uint64_t packs = 0;                        // position in the data: packs that were taken, all epochs
  std::optional<BestCheckpoint> best;        // up to this step
  std::map<std::string, std::string> fixed;  // LoadedRunRecipe
  std::string recipe_hash, data_hash, base_hash;
};

// `watches`: an object with a member for each watch.
std::string WriteRunState(const RunState& state, const JsonValue& watches);

struct LoadedRunState : RunState {
  std::shared_ptr<const nlohmann::json> watches;  // an object
};
// Throws Error when the checkpoint has no state.json or a malformed one.
LoadedRunState ReadRunState(const std::filesystem::path& checkpoint);

// SHA-256 of the fixed settings.
std::string HashOfSettings(const std::map<std::string, std::string>& fixed);

}  // namespace stablelm
