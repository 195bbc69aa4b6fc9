#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace stablelm {

// Completions of the word before the cursor.
struct Completion {
  size_t from = 0;                      // where the word begins in the line, in bytes
  std::vector<std::string> words = {};  // what may stand there instead, with a space after what is complete
};

}  // namespace stablelm
