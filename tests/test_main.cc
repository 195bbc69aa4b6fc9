// The main function of every test program: FLOOR_test [NAME ...] [GoogleTest's flags]
//
// A program holds the tests of a floor. Each NAME selects the tests of the source file NAME.cc, as CTest does for its
// test FLOOR.NAME; without names all tests run. --gtest_filter replaces the selection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

// "Suite.Test:Suite.Other" for the tests of `name`.cc, empty when there are none.
std::string FilterOfFile(std::string_view name) {
  const std::string end = "/" + std::string(name) + ".cc";
  std::string filter;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& test = *suite.GetTestInfo(t);
      if (!std::string_view(test.file()).ends_with(end)) continue;
      if (!filter.empty()) filter += ":";
      filter.append(suite.name()).append(".").append(test.name());
    }
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string of_file = FilterOfFile(argv[i]);
    if (of_file.empty()) {
      std::fprintf(stderr, "error: no test comes from a file %s.cc\n", argv[i]);
      return 2;
    }
    filter += (filter.empty() ? "" : ":") + of_file;
  }
  if (!filter.empty() && testing::GTEST_FLAG(filter) == "*") testing::GTEST_FLAG(filter) = filter;
  return RUN_ALL_TESTS();
}
