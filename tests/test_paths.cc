#include "test_paths.h"

namespace stablelm {

std::string TestData(std::string_view below) {
  std::string path = STABLELM_TEST_DATA;
  if (!below.empty()) path.append("/").append(below);
  return path;
}

#ifdef STABLELM_PROGRAM
const char* const kProgram = STABLELM_PROGRAM;
#else
const char* const kProgram = nullptr;
#endif

#ifdef STABLELM_EMULATOR
const char* const kEmulator = STABLELM_EMULATOR;
#else
const char* const kEmulator = "";
#endif

#ifdef STABLELM_UNDEFINED_SANITIZER
const bool kSanitizerOpensFiles = true;
#else
const bool kSanitizerOpensFiles = false;
#endif

}  // namespace stablelm
