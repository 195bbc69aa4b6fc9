# The floors of the house and the edges between them: the one table that the build links by and that the floors
# check (cmake/check_floors.cmake) reads. A floor may include its own headers and those of the floors that its edges
# reach, transitively, and nothing else.
set(STABLELM_FLOORS base ops tokenizer checkpoint model generate cli)
set(STABLELM_EDGES_base "")
set(STABLELM_EDGES_ops base)
set(STABLELM_EDGES_tokenizer base)
set(STABLELM_EDGES_checkpoint tokenizer ops)
set(STABLELM_EDGES_model checkpoint)
set(STABLELM_EDGES_generate model)
set(STABLELM_EDGES_cli generate)

# stablelm_add_floor(NAME SOURCES a.cc b.cc ... [LIBRARIES x y])
# Adds the static library stablelm_NAME, linked to the floors that its edges name and to third-party libraries.
function(stablelm_add_floor name)
  cmake_parse_arguments(F "" "" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT name IN_LIST STABLELM_FLOORS)
    message(FATAL_ERROR "floor ${name} is not in cmake/floors.cmake")
  endif()
  add_library(stablelm_${name} STATIC ${F_SOURCES})
  add_library(stablelm::${name} ALIAS stablelm_${name})
  target_include_directories(stablelm_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(stablelm_${name} PRIVATE stablelm_compile_options)
  foreach(edge IN LISTS STABLELM_EDGES_${name})
    target_link_libraries(stablelm_${name} PUBLIC stablelm_${edge})
  endforeach()
  target_link_libraries(stablelm_${name} PUBLIC ${F_LIBRARIES})
endfunction()

# stablelm_add_test(FLOOR NAME [LABELS ...] [LIBRARIES ...]): tests/FLOOR/NAME.cc as one CTest test FLOOR.NAME.
function(stablelm_add_test floor name)
  cmake_parse_arguments(T "" "" "LABELS;LIBRARIES" ${ARGN})
  set(target ${floor}_${name})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${floor}/${name}.cc)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE stablelm_compile_options stablelm_${floor} GTest::gmock GTest::gtest_main
                        ${T_LIBRARIES})
  target_compile_definitions(${target} PRIVATE STABLELM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  add_test(NAME ${floor}.${name} COMMAND ${target})
  if(T_LABELS)
    set_tests_properties(${floor}.${name} PROPERTIES LABELS "${T_LABELS}")
  endif()
endfunction()
