# Writes version_info.h (version, commit, compiler) to the build folder. Every build reads the commit again.
set(STABLELM_VERSION_HEADER ${PROJECT_BINARY_DIR}/generated/base/version_info.h)
add_custom_target(stablelm_version_header
  COMMAND ${CMAKE_COMMAND} -DOUT=${STABLELM_VERSION_HEADER} -DSOURCE=${PROJECT_SOURCE_DIR}
          -DVERSION=${PROJECT_VERSION} -DCOMPILER=${CMAKE_CXX_COMPILER_ID}\ ${CMAKE_CXX_COMPILER_VERSION}
          -DBUILD_TYPE=${CMAKE_BUILD_TYPE} -P ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake
  BYPRODUCTS ${STABLELM_VERSION_HEADER} VERBATIM)
