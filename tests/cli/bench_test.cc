// The bench commands run, print what they promise and take no nonsense. Their numbers are the machine's affair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace stablelm {
namespace {

using testing::HasSubstr;

TEST(BenchMemory, PrintsEveryWayToReadAndTheBest) {
  const ProgramResult result =
      RunProgramBinary({"bench", "memory", "--size", "8MiB", "--samples", "2", "--threads", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("results").size(), 12u);
  EXPECT_EQ(json.at("threads"), 2);
  EXPECT_EQ(json.at("bytes"), 8 << 20);
  double best = 0;
  for (const auto& row : json.at("results")) {
    EXPECT_GT(row.at("gb_per_s"), 0);
    EXPECT_LE(row.at("min"), row.at("gb_per_s"));
    EXPECT_GE(row.at("max"), row.at("gb_per_s"));
    best = std::max(best, row.at("gb_per_s").get<double>());
  }
  EXPECT_EQ(json.at("best").at("gb_per_s"), best);
}

TEST(BenchCompute, PrintsEveryTarget) {
  const ProgramResult result = RunProgramBinary({"bench", "compute", "--samples", "1", "--threads", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_FALSE(json.at("results").empty());
  EXPECT_GT(json.at("gflops"), 0);
}

TEST(Bench, WrongUsage) {
  const ProgramResult group = RunProgramBinary({"bench"});
  EXPECT_EQ(group.exit_code, 2);
  const ProgramResult near = RunProgramBinary({"bench", "memroy"});
  EXPECT_EQ(near.exit_code, 2);
  EXPECT_THAT(near.err, HasSubstr("did you mean bench memory?"));
  EXPECT_EQ(RunProgramBinary({"bench", "memory", "--size", "0"}).exit_code, 2);
  const ProgramResult big = RunProgramBinary({"bench", "memory", "--size", "900000GB"});
  EXPECT_EQ(big.exit_code, 1);
  EXPECT_THAT(big.err, HasSubstr("does not fit into memory"));
}

// Ctrl-C ends a run that polls with 130 and no message.
TEST(Bench, InterruptEndsWith130) {
  bool sent = false;
  int rounds = 0;
  const ProgramResult result = RunProgramBinary({"bench", "memory", "--size", "64MiB", "--samples", "1000", "--quiet"},
                                                {.while_running = [&](pid_t child) {
                                                  if (++rounds > 20 && !sent) sent = kill(child, SIGINT) == 0;
                                                }});
  EXPECT_TRUE(sent);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace stablelm
