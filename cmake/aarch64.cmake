# Toolchain file for cross compiling to 64-bit Arm Linux: Debian's cross compiler, the libraries that `scripts/setup
# --arm` unpacked, and qemu to run programs of the build and CTest. The emulated CPU has every extension that qemu
# supports; the environment variable QEMU_CPU selects another CPU ("cortex-a53" is plain Armv8.0).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(STABLELM_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot-aarch64 ABSOLUTE)
if(NOT EXISTS ${STABLELM_SYSROOT}/unpacked)
  message(FATAL_ERROR "${STABLELM_SYSROOT} is missing: run scripts/setup --arm")
endif()
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${STABLELM_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${STABLELM_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${STABLELM_SYSROOT})

# Architecture-specific headers and indirect library dependencies, which a native toolchain finds by itself.
set(CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES ${STABLELM_SYSROOT}/usr/include/aarch64-linux-gnu)
set(lib lib/aarch64-linux-gnu)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${STABLELM_SYSROOT}/${lib}:${STABLELM_SYSROOT}/usr/${lib}")

find_program(STABLELM_QEMU qemu-aarch64 REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${STABLELM_QEMU};-L;${STABLELM_SYSROOT})
