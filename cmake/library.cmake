# The library for others, from the objects of all floors that the facade reaches.

# stablelm_add_library(TARGET STATIC|SHARED)
# Adds the library libstablelm. Those who link to it see include/ and C++20, nothing of src/.
function(stablelm_add_library target kind)
  stablelm_reachable_floors(facade floors)
  set(objects "")
  set(libraries "")
  foreach(floor IN LISTS floors)
    list(APPEND objects $<TARGET_OBJECTS:stablelm_${floor}>)
    get_property(those GLOBAL PROPERTY STABLELM_LIBRARIES_${floor})
    list(APPEND libraries ${those})
  endforeach()
  list(REMOVE_DUPLICATES libraries)
  list(REMOVE_ITEM libraries nlohmann_json::nlohmann_json)  # header-only
  add_library(${target} ${kind} ${objects})
  file(GLOB headers ${PROJECT_SOURCE_DIR}/include/stablelm/*.h)
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:stablelm_compile_options> ${libraries})
  # Until 1.0 a minor version may change the binary interface.
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME stablelm EXPORT_NAME stablelm LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(kind STREQUAL "SHARED")
    set(symbols ${PROJECT_SOURCE_DIR}/cmake/exported_symbols.map)
    target_link_options(${target} PRIVATE -Wl,--version-script=${symbols} -Wl,--no-undefined)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${symbols})
  endif()
endfunction()
