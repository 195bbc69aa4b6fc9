// Reads log.jsonl of a run, as train/run_log.h describes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/run_log.h"

namespace stablelm {

struct LoggedStart {
  struct Setting {
    std::string key, value, origin;
  };
  struct Source {
    std::string name, kind, licence;  // licence: empty when it is not stated
    uint64_t rows = 0, kept = 0, samples = 0, tokens = 0, targets = 0;
  };
  struct Split {
    std::string name;
    uint64_t conversations = 0, packs = 0, tokens = 0, targets = 0;
  };
  std::string name, model, data;
  uint64_t parameters = 0, trained = 0;
  std::vector<Setting> settings;
  std::vector<Split> splits;
  std::vector<Source> sources;
};

struct LoggedValidation {
  int64_t step = 0;
  double loss = 0;
  std::vector<std::pair<std::string, double>> sources;  // name, loss
};

struct LoggedAnswer {
  std::string prompt, answer, end;
  bool self_dialogue = false;
};

struct LoggedSamples {
  int64_t step = 0;
  double stop_rate = 0, self_dialogue_rate = 0;
  std::vector<LoggedAnswer> answers;
};

struct LoggedGuard {
  int64_t step = 0;
  std::string found, action, place;
  double loss = 0, mean = 0, z = 0, rate_factor = 1;
};

struct LoggedRun {
  LoggedStart start;
  std::vector<StepLog> steps;  // ascending; NaN: a value that was not finite
  std::vector<LoggedValidation> validations;
  std::vector<LoggedSamples> samples;
  std::vector<LoggedGuard> guards;
  double other_seconds = 0;  // of validation and answers
};

// Leaves out a last line without a line end, which a run is writing or was killed in, and events that it does not know.
// Throws Error, which names the line, for any other line that is damaged: no JSON object, a member that is missing or
// of another type, steps that do not ascend.
LoggedRun ReadRunLog(const std::filesystem::path& file);

}  // namespace stablelm
