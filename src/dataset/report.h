// report.html: what went into prepared data, for people. One file without scripts and without links to anything.
#pragma once

#include <string>
#include <vector>

#include "base/json_value.h"
#include "dataset/prepare.h"

namespace stablelm {

inline constexpr const char* kReportFile = "report.html";

// `manifest`: ManifestOf. `samples`: some of each source, shown with their targets marked. All texts are escaped.
// Depends on its arguments alone.
std::string PreparationReport(const JsonValue& manifest, const std::vector<PreviewSample>& samples,
                              const Tokenizer& tokenizer);

}  // namespace stablelm
