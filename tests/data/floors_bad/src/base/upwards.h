// Crosses a floor on purpose: base may include nothing above it. The test floors_fails expects this to be refused.
#pragma once

#include "ops/kernel.h"
