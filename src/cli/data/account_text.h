// The account of a preparation as text: a table of the sources, what was dropped and changed, the splits.
#pragma once

#include <string>

#include "base/json_value.h"

namespace stablelm {

// `account`: the members "sources", "audits", "splits" and "sequence_length" as manifest.json has them.
std::string AccountText(const JsonValue& account);

}  // namespace stablelm
