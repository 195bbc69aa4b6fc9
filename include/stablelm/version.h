// The version of these headers. The build reads it from here; stablelm::Version() is that of the library in use.
#pragma once

#define STABLELM_VERSION_MAJOR 0
#define STABLELM_VERSION_MINOR 1
#define STABLELM_VERSION_PATCH 0
