// The argument OUT of commands that write a model: its kind, told by its ending, and names that are slips.
#pragma once

#include <string>

namespace stablelm {

enum class OutKind { kGguf, kFolder };

// Whether `out` names a GGUF file or a folder to make. Throws UsageError for a name that a slip made: another kind of
// file, an ending like .gguf, a folder whose name ends in .gguf, standard output.
OutKind OutKindOf(const std::string& out);

// Throws UsageError unless OutKindOf gives `kind`.
void RequireOutKind(const std::string& out, OutKind kind);

// Throws Error if there is a file, folder or link of this name, a link without its target too.
void RefuseExisting(const std::string& out);

}  // namespace stablelm
