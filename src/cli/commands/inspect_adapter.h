// What `inspect` shows of the folder of a LoRA adapter.
#pragma once

#include <string>

#include "cli/app/output.h"

namespace stablelm {

// Whether the path is the folder of an adapter, and not of a whole model.
bool IsAdapterFolder(const std::string& path);
// Throws Error when it cannot be read.
void InspectAdapter(const std::string& path, bool tensors, Output& out);

}  // namespace stablelm
