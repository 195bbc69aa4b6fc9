// The same as finetune_kill_test.cc, for longer.
#include "cli/commands/finetune_kill.h"

namespace stablelm {
namespace {

TEST_F(FineTuneKillTest, ThirtyTimes) { KillAndCompare(30); }

}  // namespace
}  // namespace stablelm
