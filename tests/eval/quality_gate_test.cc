// Tests RequireQuality. cli/commands/quality_gate_test.cc tests whole runs with the program.
#include "eval/quality_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "error_text.h"

namespace stablelm {
namespace {

std::string Verdict(double mean_kl, double max_kl) {
  Quality quality;
  quality.mean_kl = mean_kl;
  return ErrorText([&] { RequireQuality(quality, max_kl); });
}

TEST(QualityGate, RefusesWhatIsTooFarAway) {
  EXPECT_EQ(Verdict(0.05, 0.05), "");
  EXPECT_THAT(Verdict(0.0625, 0.05),
              testing::HasSubstr("`max_kl`: the quantized model is too far from the source model, and was not written: "
                                 "found a mean KL divergence of 0.0625, expected at most 0.05"));
  EXPECT_NE(Verdict(std::numeric_limits<double>::quiet_NaN(), 1), "");
}

}  // namespace
}  // namespace stablelm
