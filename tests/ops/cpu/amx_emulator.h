// Runs the bodies for AMX on machines without it (amx_emulator.cc).
#pragma once

namespace stablelm {

// Whether AMX's instructions are carried out by the test instead of the processor.
bool AmxIsEmulated();

}  // namespace stablelm
