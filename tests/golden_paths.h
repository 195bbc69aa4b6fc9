// Models of tests/data that many tests load.
#pragma once

#include <filesystem>

#include "test_paths.h"

namespace stablelm {

inline const std::filesystem::path kParallel = TestData("golden/parallel");  // 512 ids, context of 128 tokens

}  // namespace stablelm
