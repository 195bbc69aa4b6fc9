# The check of the floors must fail on a tree that crosses them, and say where.
# cmake -DSOURCE=<project> -P tests/floors_fails.cmake
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${SOURCE}/tests/data/floors_bad -P ${SOURCE}/cmake/check_floors.cmake
                RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
if(code EQUAL 0)
  message(FATAL_ERROR "the check of the floors passed a tree that crosses them")
endif()
string(REGEX REPLACE "[ \n]+" " " text "${out}${err}")
foreach(expected "floor 'base' includes \"ops/kernel.h\"" "\"../base/upwards.h\": write the path" "\"neighbour.h\": write the path"
        "the headers of two rooms include each other: ops/cpu>ops, ops>ops/cpu" "3 includes cross a floor")
  string(FIND "${text}" "${expected}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "not said: ${expected}\n${err}")
  endif()
endforeach()
