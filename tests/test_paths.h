// Where the tests find their data and the program. Only test_paths.cc is compiled with the paths, so that the objects
// of all other tests are the same in every clone of the project and ccache finds them.
#pragma once

#include <string>
#include <string_view>

namespace stablelm {

std::string TestData(std::string_view below = {});  // the path of tests/data, or of `below` in it
extern const char* const kProgram;                  // the path of `stablelm`; nullptr in tests of the floors below cli
extern const char* const kEmulator;  // the command that runs programs for another processor, words separated by spaces
extern const bool
    kSanitizerOpensFiles;  // the program checks addresses by means of pipes (undefined-behaviour sanitizer)

}  // namespace stablelm
