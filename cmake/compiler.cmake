# Compile flags of all our targets: optimization, warnings, sanitizers, and strict floating point.

# -O3 (CMake's default) only for hot loops. Elsewhere it lengthens the compilation of a file by up to half, and the code
# that was measured (the sampler) was not faster.
set(STABLELM_HOT_OPTIONS "" CACHE STRING "Compile options of the floors with hot loops, after all others")
if(CMAKE_CXX_FLAGS_RELEASE STREQUAL "-O3 -DNDEBUG" AND STABLELM_HOT_OPTIONS STREQUAL "")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(STABLELM_HOT_OPTIONS $<$<CONFIG:Release>:-O3>)
endif()
add_library(stablelm_compile_options INTERFACE)
target_compile_options(stablelm_compile_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow
  # No implicit fused multiply-add: a*b+c rounds twice, so the same source gives the same bits with every compiler.
  -ffp-contract=off)
# g++ 12 falsely warns about overlapping copies in every inlined `"literal" + string` (GCC bug 105329).
target_compile_options(stablelm_compile_options INTERFACE
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(STABLELM_WERROR)
  target_compile_options(stablelm_compile_options INTERFACE -Werror)
endif()
if(STABLELM_SANITIZE)
  target_compile_options(stablelm_compile_options INTERFACE
    -fsanitize=${STABLELM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(stablelm_compile_options INTERFACE -fsanitize=${STABLELM_SANITIZE})
endif()
if(STABLELM_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "STABLELM_FUZZERS needs clang (libFuzzer): set CMAKE_CXX_COMPILER=clang++")
  endif()
  target_compile_options(stablelm_compile_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
