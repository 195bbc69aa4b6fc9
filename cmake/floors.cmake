# The floors (layers) and the dependency edges between them. The build links according to this table, and
# cmake/check_floors.cmake checks includes against it. A floor may include only its own headers and those of the floors
# that its edges reach transitively.
set(STABLELM_FLOORS base ops tokenizer prompt checkpoint dataset model generate eval train facade cli)
set(STABLELM_EDGES_base "")
set(STABLELM_EDGES_ops base)
set(STABLELM_EDGES_tokenizer base)
set(STABLELM_EDGES_prompt tokenizer)
set(STABLELM_EDGES_checkpoint tokenizer ops)
set(STABLELM_EDGES_dataset prompt checkpoint)
set(STABLELM_EDGES_model checkpoint)
set(STABLELM_EDGES_generate model prompt)
set(STABLELM_EDGES_facade generate)
set(STABLELM_EDGES_eval generate)
set(STABLELM_EDGES_train dataset generate)
set(STABLELM_EDGES_cli eval train)

# Sets `out` to all floors that `floor` may include: itself and those that its edges reach.
function(stablelm_reachable_floors floor out)
  set(seen ${floor})
  set(queue ${STABLELM_EDGES_${floor}})
  while(queue)
    list(POP_FRONT queue next)
    if(NOT next IN_LIST seen)
      list(APPEND seen ${next})
      list(APPEND queue ${STABLELM_EDGES_${next}})
    endif()
  endwhile()
  set(${out} ${seen} PARENT_SCOPE)
endfunction()

# Headers of the standard library that most files include, precompiled once: half a second less for each file. Those of
# the project are never precompiled, and the build with sanitizers precompiles nothing, so that a file that forgets an
# include of its own fails there.
set(STABLELM_STANDARD_HEADERS <algorithm> <array> <filesystem> <functional> <map> <memory> <optional> <span> <string>
                              <string_view> <variant> <vector>)

# stablelm_add_floor(NAME [HOT] SOURCES a.cc b.cc ... [LIBRARIES x y])
# Adds the static library stablelm_NAME, linked to the floors that its edges reach and to third-party libraries. HOT
# compiles it with STABLELM_HOT_OPTIONS (cmake/compiler.cmake).
function(stablelm_add_floor name)
  cmake_parse_arguments(F "HOT" "" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT name IN_LIST STABLELM_FLOORS)
    message(FATAL_ERROR "floor ${name} is not in cmake/floors.cmake")
  endif()
  if(STABLELM_JOIN AND NOT F_HOT)  # whose files take long by themselves
    stablelm_join_sources(${name} F_SOURCES ${F_SOURCES})
  endif()
  add_library(stablelm_${name} STATIC ${F_SOURCES})
  target_include_directories(stablelm_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  if(STABLELM_JOIN AND NOT F_HOT)
    target_include_directories(stablelm_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  endif()
  target_link_libraries(stablelm_${name} PRIVATE stablelm_compile_options)
  if(F_HOT)
    target_compile_options(stablelm_${name} PRIVATE ${STABLELM_HOT_OPTIONS})
  endif()
  if(STABLELM_PRECOMPILE AND (F_HOT OR name STREQUAL base))  # a precompiled header serves one set of options
    target_precompile_headers(stablelm_${name} PRIVATE ${STABLELM_STANDARD_HEADERS})
  elseif(STABLELM_PRECOMPILE)
    target_precompile_headers(stablelm_${name} REUSE_FROM stablelm_base)
  endif()
  # Skip floors that this configuration does not build.
  stablelm_reachable_floors(${name} reachable)
  list(REMOVE_ITEM reachable ${name})
  foreach(edge IN LISTS reachable)
    target_link_libraries(stablelm_${name} PUBLIC $<TARGET_NAME_IF_EXISTS:stablelm_${edge}>)
  endforeach()
  target_link_libraries(stablelm_${name} PUBLIC ${F_LIBRARIES})
  set_property(GLOBAL PROPERTY STABLELM_LIBRARIES_${name} ${F_LIBRARIES})  # for stablelm_add_library
endfunction()

# Adds the files that stablelm_add_test collected, at the end of the directory.
function(stablelm_add_test_files target)
  get_target_property(files ${target} STABLELM_TEST_FILES)
  if(STABLELM_JOIN_TESTS)
    stablelm_join_sources(${target} files ${files})
  endif()
  target_sources(${target} PRIVATE ${files})
endfunction()

# stablelm_add_test(FLOOR FILE [PROGRAM name] [LABELS ...] [LIBRARIES ...])
# Adds tests/FLOOR/FILE.cc, where FILE may begin with a folder, to the test program of the floor, FLOOR_test, or to the
# one named after PROGRAM, FLOOR_name. CTest runs each file by itself, as the test FLOOR.NAME (tests/test_main.cc). One
# program for many files: linking each file to everything below its floor took longer than compiling it.
function(stablelm_add_test floor file)
  get_filename_component(name ${file} NAME)
  cmake_parse_arguments(T "" "PROGRAM" "LABELS;LIBRARIES" ${ARGN})
  set(target ${floor}_test)
  if(T_PROGRAM)
    set(target ${floor}_${T_PROGRAM})
  endif()
  if(NOT TARGET ${target})
    add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/test_main.cc ${PROJECT_SOURCE_DIR}/tests/test_paths.cc)
    set_property(SOURCE ${PROJECT_SOURCE_DIR}/tests/test_paths.cc APPEND PROPERTY
                 COMPILE_DEFINITIONS STABLELM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
    # The code under test is optimized and sanitized. The test itself is not: it would compile longer than it runs.
    target_compile_options(${target} PRIVATE -O0)
    if(STABLELM_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize=undefined)
    endif()
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR})
    # EVAL puts in the value of `target`, which DEFER would do at the end of the directory.
    cmake_language(EVAL CODE "cmake_language(DEFER CALL stablelm_add_test_files ${target})")
    target_link_libraries(${target} PRIVATE stablelm_compile_options stablelm_${floor} GTest::gmock GTest::gtest)
  endif()
  get_target_property(directory ${target} SOURCE_DIR)
  if(NOT directory STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    message(FATAL_ERROR "${target}: all its tests are added in ${directory}, not in ${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  set_property(TARGET ${target} APPEND PROPERTY STABLELM_TEST_FILES ${PROJECT_SOURCE_DIR}/tests/${floor}/${file}.cc)
  target_link_libraries(${target} PRIVATE ${T_LIBRARIES})
  add_test(NAME ${floor}.${name} COMMAND ${target} ${name})
  if(T_LABELS)
    set_tests_properties(${floor}.${name} PROPERTIES LABELS "${T_LABELS}")
  endif()
endfunction()
