#include "cli/commands/finetune_kill.h"

namespace stablelm {
namespace {

TEST_F(FineTuneKillTest, AFewTimes) { KillAndCompare(5); }

}  // namespace
}  // namespace stablelm
