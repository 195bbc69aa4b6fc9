// A run that is killed with SIGKILL at random moments, also while a checkpoint is written, and resumed until it is
// done.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>

#include "cli/commands/finetune_testing.h"

namespace stablelm {

class FineTuneKillTest : public FineTuneTest {
 protected:
  // STABLELM_TEST_SEED repeats a run.
  void KillAndCompare(int kills) {
    const char* const given = std::getenv("STABLELM_TEST_SEED");
    const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    SCOPED_TRACE("STABLELM_TEST_SEED=" + std::to_string(seed));
    std::cout << "STABLELM_TEST_SEED=" << seed << "\n";
    std::mt19937_64 random(seed);
    const std::vector<std::string> sets = {"--json", "--set", "steps=60", "--set", "checkpoint_every=4"};
    const auto begin = [&](const std::string& run, const ProgramInput& input, const std::string& threads) {
      std::vector<std::string> arguments = {"-o", Path(run), "--threads", threads};
      arguments.insert(arguments.end(), sets.begin(), sets.end());
      return Run(arguments, input);
    };
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const std::string want = HashOf(begin("whole", {}, "2"));
    const double whole = std::chrono::duration<double>(Clock::now() - start).count();
    ASSERT_EQ(want.size(), 64u);
    const auto log = LogOf("whole");
    for (int killed = 0; killed < kills;) {
      const double delay = std::uniform_real_distribution<double>(0, 0.6 * whole)(random);
      const std::string threads = std::to_string(1 + random() % 3);
      ProgramInput input;
      bool sent = false;
      const Clock::time_point from = Clock::now();
      input.while_running = [&](pid_t program) {
        if (sent || std::chrono::duration<double>(Clock::now() - from).count() < delay) return;
        sent = kill(program, SIGKILL) == 0;
      };
      const ProgramResult result = std::filesystem::exists(Path("part"))
                                       ? Resume("part", {"--json", "--threads", threads}, input)
                                       : begin("part", input, threads);
      if (result.exit_code == 128 + SIGKILL) {
        ++killed;
      } else {  // it was done before
        EXPECT_EQ(HashOf(result), want);
        EXPECT_EQ(LogOf("part"), log);
        std::filesystem::remove_all(Path("part"));
      }
    }
    const ProgramResult last =
        std::filesystem::exists(Path("part")) ? Resume("part", {"--json"}) : begin("part", {}, "1");
    EXPECT_EQ(HashOf(last), want);
    EXPECT_EQ(LogOf("part"), log);
    EXPECT_EQ(NamesIn("part/checkpoints"), NamesIn("whole/checkpoints"));
    EXPECT_THAT(NamesIn("part"), testing::Not(testing::Contains(testing::HasSubstr(".tmp."))));
  }
};

}  // namespace stablelm
