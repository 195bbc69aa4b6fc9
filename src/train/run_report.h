// report.html: how a training run went, for people. One file without scripts and without links to anything.
#pragma once

#include <filesystem>
#include <string>

#include "train/read_run_log.h"

namespace stablelm {

inline constexpr const char* kRunReportFile = "report.html";

// Depends on the log alone. All texts are escaped.
std::string RunReport(const LoggedRun& run);

// Writes RUN/report.html from RUN/log.jsonl, in place of an earlier one, and returns its path. Throws Error when `run`
// holds no log, when a line of it is damaged, and when the file cannot be written.
std::filesystem::path WriteRunReport(const std::filesystem::path& run);

}  // namespace stablelm
