// Refused too: headers are named by their path from src/.
#pragma once

#include "../base/upwards.h"
#include "neighbour.h"
#include "ops/cpu/body.h"
