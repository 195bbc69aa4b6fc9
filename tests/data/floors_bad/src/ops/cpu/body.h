// Closes a circle of rooms on purpose: ops includes ops/cpu, which includes ops. The test floors_fails expects this to
// be refused.
#pragma once

#include "ops/kernel.h"
