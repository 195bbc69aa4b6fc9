// Runs the AMX kernels on machines without AMX (amx_emulator.cc).
#pragma once

namespace stablelm {

// Whether the test emulates AMX instructions.
bool AmxIsEmulated();

}  // namespace stablelm
