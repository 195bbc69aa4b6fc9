// The file of what was typed, one entry a line. Several programs may append to it at the same time.
#pragma once

#include <string>
#include <vector>

namespace stablelm {

// The last `most` entries, oldest first. Empty when the file cannot be read. Shortens a file that has become twice as
// long. Reads what libedit wrote, too.
std::vector<std::string> LoadHistory(const std::string& path, size_t most);

// Appends an entry, under a lock. The file is readable by its owner only. Ignores a file that cannot be written.
void AppendHistory(const std::string& path, const std::string& entry);

}  // namespace stablelm
