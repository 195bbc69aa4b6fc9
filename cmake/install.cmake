# cmake --install: the library with its headers, CMake package and pkg-config file; licence, documentation and examples;
# and, when it was built, the program with manual pages and completion scripts where each shell looks for them. The tree
# may be moved afterwards.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# scripts/stablelm builds only the program.
install(CODE [[
  if(NOT EXISTS "$<TARGET_FILE:stablelm_library>")
    message(FATAL_ERROR "not built yet: $<TARGET_FILE:stablelm_library>; first run: cmake --build ${CMAKE_CURRENT_LIST_DIR}")
  endif()
]] COMPONENT library)
install(TARGETS stablelm_library EXPORT stablelmTargets
        ARCHIVE COMPONENT library
        LIBRARY COMPONENT library
        FILE_SET HEADERS COMPONENT library)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/stablelm)
install(EXPORT stablelmTargets NAMESPACE stablelm:: DESTINATION ${package_folder} COMPONENT library)

# A static library does not name what it needs; those who link to it must.
get_target_property(library_type stablelm_library TYPE)
set(dependencies "")
set(requires "")
set(libs_private "")
if(library_type STREQUAL "STATIC_LIBRARY")
  set(dependencies [[
find_dependency(Threads)
find_dependency(OpenSSL COMPONENTS Crypto)
find_dependency(ZLIB)
find_dependency(simdjson)
find_dependency(hwy)
find_dependency(PkgConfig)
pkg_check_modules(STABLELM_UTF8PROC QUIET IMPORTED_TARGET libutf8proc)
if(NOT STABLELM_UTF8PROC_FOUND)
  set(stablelm_FOUND FALSE)
  set(stablelm_NOT_FOUND_MESSAGE "stablelm needs utf8proc (Debian: libutf8proc-dev)")
  return()
endif()]])
  set(requires "Requires: libcrypto, zlib, simdjson, libutf8proc, libhwy")
  set(libs_private " -pthread")
endif()
configure_package_config_file(cmake/stablelmConfig.cmake.in ${PROJECT_BINARY_DIR}/package/stablelmConfig.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/stablelmConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/stablelmConfig.cmake
              ${PROJECT_BINARY_DIR}/package/stablelmConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT library)

# From the folder of the .pc file to the prefix, so that the file names no place of this machine.
set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
endif()
file(RELATIVE_PATH to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/stablelm.pc.in ${PROJECT_BINARY_DIR}/package/stablelm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/stablelm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)

install(FILES LICENSE README.md CHANGELOG.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation)
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation)
install(FILES demo/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/demo COMPONENT documentation)

if(STABLELM_PROGRAM)
  install(TARGETS stablelm RUNTIME COMPONENT program)
  # The examples are about files of the source tree.
  install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/stablelm COMPONENT program
          PATTERN example.yaml EXCLUDE PATTERN "tiny.*" EXCLUDE)
  # Where cli/app/bundled_model.h looks for it.
  install(FILES demo/stablelm-demo.gguf DESTINATION ${CMAKE_INSTALL_DATADIR}/stablelm COMPONENT program)
  # The program itself writes the pages and scripts during the installation.
  install(CODE "set(share \"${CMAKE_INSTALL_DATAROOTDIR}\")" COMPONENT program)
  install(CODE [[
    cmake_path(ABSOLUTE_PATH share BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
    set(share "$ENV{DESTDIR}${share}")
    function(stablelm_install folder name)
      file(MAKE_DIRECTORY ${share}/${folder})
      execute_process(COMMAND "$<TARGET_FILE:stablelm>" ${ARGN} OUTPUT_FILE ${share}/${folder}/${name}
                      COMMAND_ERROR_IS_FATAL ANY)
      message(STATUS "Installing: ${share}/${folder}/${name}")
    endfunction()
    stablelm_install(bash-completion/completions stablelm completion bash)
    stablelm_install(zsh/site-functions _stablelm completion zsh)
    stablelm_install(fish/vendor_completions.d stablelm.fish completion fish)
    execute_process(COMMAND "$<TARGET_FILE:stablelm>" man --quiet --folder ${share}/man/man1 COMMAND_ERROR_IS_FATAL ANY)
    message(STATUS "Installing: ${share}/man/man1")
  ]] COMPONENT program)
endif()

if(STABLELM_PROGRAM AND PROJECT_IS_TOP_LEVEL)
  include(cmake/package.cmake)
endif()
