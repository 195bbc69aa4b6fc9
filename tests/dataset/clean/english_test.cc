// How much of a conversation is English, and what is not judged.
#include "dataset/clean/english.h"
#include "dataset/clean/clean_testing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace stablelm {
namespace {

std::string Repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

const std::string kEnglish =
    "The old lighthouse keeper walked down to the harbour every morning and counted the boats that had come in. ";
const std::string kGerman =
    "Der alte Leuchtturmwärter ging jeden Morgen hinunter zum Hafen und zählte die Boote, die angekommen waren. ";
const std::string kChinese = "每天早上，老灯塔看守人都会走到港口，数一数回来的船只，然后给家里写一封长长的信。";

TEST(English, IsJudgedByItsShare) {
  EXPECT_FALSE(IsNotEnglish(Of(kEnglish, Repeated(kEnglish, 5)), 0.5));
  EXPECT_TRUE(IsNotEnglish(Of(kGerman, Repeated(kGerman, 5)), 0.5));
  EXPECT_TRUE(IsNotEnglish(Of(kChinese, Repeated(kChinese, 7)), 0.5));
  EXPECT_GT(EnglishShareOf(Of(kEnglish, Repeated(kEnglish, 5))).share, 0.95);
  EXPECT_LT(EnglishShareOf(Of(kGerman, Repeated(kGerman, 5))).share, 0.05);
  // A translation is half English: its share decides.
  const EnglishShare mixed = EnglishShareOf(Of(Repeated(kEnglish, 4), Repeated(kGerman, 3)));
  EXPECT_GT(mixed.share, 0.4);
  EXPECT_LT(mixed.share, 0.75);
  EXPECT_FALSE(IsNotEnglish(Of(Repeated(kEnglish, 4), Repeated(kGerman, 3)), mixed.share));
  EXPECT_TRUE(IsNotEnglish(Of(Repeated(kEnglish, 4), Repeated(kGerman, 3)), mixed.share + 0.01));
}

TEST(English, IsNotJudgedOfFewLetters) {
  EXPECT_FALSE(IsNotEnglish(Of(kGerman, ""), 0.5));
  EXPECT_LE(EnglishShareOf(Of(kGerman, "")).letters, kLeastLetters);
  EXPECT_FALSE(IsNotEnglish(Of("12345 67890 +-*/", Repeated("1, 2, 3, ", 100)), 0.5));
  EXPECT_EQ(EnglishShareOf({}).share, 1.0);
}

TEST(English, LeavesCodeOut) {
  const std::string code = "```\n" + Repeated(kGerman + "\n", 5) + "```\n`" + Repeated(kGerman, 3) + "`\n";
  EXPECT_EQ(EnglishShareOf(Of("", code)).letters, 0u);
  EXPECT_FALSE(IsNotEnglish(Of(code, Repeated(kEnglish, 4)), 0.5));
  // Code without a fence: the words of its names are no prose.
  const std::string line = "ergebnis = berechne_den_wert(eingabe) + der_andere_wert;\n";
  EXPECT_EQ(EnglishShareOf(Of("", Repeated(line, 9))).letters, 0u);
  EXPECT_GT(EnglishShareOf(Of("", "A line (in brackets) of prose, as it is.")).letters, 20u);
}

TEST(English, LooksAtTheFirstTwoKilobytes) {
  EXPECT_FALSE(IsNotEnglish(Of(Repeated(kEnglish, 30), Repeated(kGerman, 100)), 0.5));
  EXPECT_LE(EnglishShareOf(Of(Repeated(kEnglish, 30), "")).letters, kMostProseBytes);
  EXPECT_TRUE(IsNotEnglish(Of(Repeated(kChinese, 100), ""), 0.5));  // cut between characters
}

TEST(English, OfTheSamplesIsKept) {
  const char* shared = std::getenv("STABLELM_SHARED");
  if (!shared) GTEST_SKIP() << "STABLELM_SHARED names no folder with the samples";
  for (const char* name : {"gpteacher_roleplay.json", "gpteacher_codegen.json", "gsm8k_alpaca_format.json"}) {
    std::ifstream file(std::filesystem::path(shared) / "data" / name);
    size_t rows = 0, dropped = 0;
    for (const auto& row : nlohmann::json::parse(file)) {
      const auto text = [&](const char* key) { return row.contains(key) ? row.at(key).get<std::string>() : ""; };
      ++rows;
      dropped += IsNotEnglish(Of(text("instruction") + "\n" + text("input"), text("response") + text("output")), 0.5);
    }
    EXPECT_GT(rows, 1'000u) << name;
    EXPECT_LE(dropped, 1u) << name << ": of " << rows;
  }
}

}  // namespace
}  // namespace stablelm
