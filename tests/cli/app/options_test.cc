#include "cli/app/options.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "error_info.h"

namespace stablelm {
namespace {

TEST(Numbers, AreStrict) {
  EXPECT_EQ(ParseInteger("-12", "--n", -20, 20), -12);
  EXPECT_EQ(ParseUnsigned("010", "--n", 0, 20), 10u);  // decimal, never octal
  EXPECT_EQ(ParseUnsigned("18446744073709551615", "--seed", 0, UINT64_MAX), UINT64_MAX);
  EXPECT_DOUBLE_EQ(ParseReal("0.25", "--p", 0, 1), 0.25);
  EXPECT_DOUBLE_EQ(ParseReal("1e-3", "--p", 0, 1), 1e-3);
  for (const char* bad : {"", " 1", "1 ", "+1", "1.5", "0x10", "1e3", "one", "1,000", "\xD9\xA1", "21", "-21",
                          "99999999999999999999999"}) {
    EXPECT_THAT(InfoOf<UsageError>([&] { ParseInteger(bad, "--n", -20, 20); }), Names("--n", Quoted(bad)));
  }
  for (const char* bad : {"-1", "18446744073709551616"}) {
    EXPECT_THAT(InfoOf<UsageError>([&] { ParseUnsigned(bad, "--n", 0, UINT64_MAX); }), Names("--n", Quoted(bad)));
  }
  for (const char* bad : {"", "nan", "inf", "-inf", "NaN", "1.0x", ".", "0x1p-1", "1e999", "-0.1", "1.1"}) {
    EXPECT_THAT(InfoOf<UsageError>([&] { ParseReal(bad, "--p", 0, 1); }), Names("--p", Quoted(bad)));
  }
}

TEST(Numbers, ErrorsSayWhatIsExpected) {
  try {
    ParseUnsigned("2000", "--threads", 1, 1024);
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_STREQ(e.what(), "--threads: number out of range: found \"2000\", expected a whole number from 1 to 1024");
  }
}

TEST(Utf8Input, RefusedOrRepaired) {
  EXPECT_EQ(CheckedUtf8("  gr\xC3\xBC\xC3\x9F\n", "x", false), "  gr\xC3\xBC\xC3\x9F\n");
  EXPECT_EQ(CheckedUtf8("a\xFFz", "x", true), "a\xEF\xBF\xBDz");
  try {
    CheckedUtf8("ab\xFFz", "notes.txt", false);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("notes.txt: not UTF-8 at byte 2"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace stablelm
