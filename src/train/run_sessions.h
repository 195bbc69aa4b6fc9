// run.json of a run folder: with which program, on which machine and when the steps of a run were made. A session lasts
// from a start or resume to the end of its process. Everything that depends on time and place is here, and not in the
// checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json_value.h"

namespace stablelm {

struct RunSession {
  std::string program;    // "stablelm 0.1.0 (commit 1234567)"
  std::string simd;       // SIMD target: the machine class, within which bits are the same
  std::string processor;  // its name
  uint64_t threads = 1;
  std::string start;  // UTC
};

class RunSessions {
 public:
  // Adds a session to those of `folder`/run.json, and writes the file. A run.json that cannot be read is replaced.
  RunSessions(const std::filesystem::path& folder, const RunSession& now, int64_t step);

  // SIMD target of the session before; empty if there was none.
  const std::string& last_simd() const { return last_simd_; }
  // Writes how the session ended: "finished", "stopped", or what went wrong.
  void End(int64_t step, const std::string& how, const std::string& checkpoint_hash);

 private:
  void Write() const;

  const std::filesystem::path file_;
  std::vector<JsonValue> sessions_;
  std::string last_simd_;
};

std::string UtcNow();  // "2026-01-31T12:00:00Z"

}  // namespace stablelm
