# Sources that are compiled together: two to three times faster than one by one, as headers take most of a file's time.
# So names in unnamed namespaces are unique in a floor, and in the tests of a floor, those of functions too: an overload of
# another file would be taken without a word.
#
# CMake's own unity builds name the files by their absolute paths, so that no clone finds another's objects in ccache.
set(STABLELM_JOINED_FILES 8)

# stablelm_join_sources(NAME OUT a.cc b.cc ...): OUT becomes the sources to compile: files generated in the build folder
# that include up to STABLELM_JOINED_FILES of the given ones, and those that are compiled alone: generated sources, and
# sources with compile properties of their own, set before. The caller's target needs the project's folder among its include
# directories.
function(stablelm_join_sources name out)
  set(sources "")
  set(rest "")
  foreach(file IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE OUTPUT_VARIABLE path)
    set(generated_folder ${PROJECT_BINARY_DIR}/generated)
    cmake_path(IS_PREFIX generated_folder ${path} alone)
    foreach(property COMPILE_DEFINITIONS COMPILE_OPTIONS COMPILE_FLAGS INCLUDE_DIRECTORIES SKIP_PRECOMPILE_HEADERS)
      get_source_file_property(value ${file} ${property})
      if(value)
        set(alone TRUE)
      endif()
    endforeach()
    if(alone)
      list(APPEND sources ${file})
    elseif(NOT EXISTS ${path})
      message(FATAL_ERROR "${path}: no such source of ${name}")
    else()
      cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
      list(APPEND rest ${path})
    endif()
  endforeach()
  list(LENGTH rest count)
  set(number 0)
  set(first 0)
  while(first LESS count)
    list(SUBLIST rest ${first} ${STABLELM_JOINED_FILES} part)  # fewer at the end
    list(TRANSFORM part REPLACE "(.+)" "#include \"\\1\"")
    list(JOIN part "\n" content)
    set(joined ${PROJECT_BINARY_DIR}/joined/${name}_${number}.cc)
    file(CONFIGURE OUTPUT ${joined} CONTENT "${content}\n" @ONLY)  # leaves the file alone when nothing changed
    list(APPEND sources ${joined})
    math(EXPR number "${number} + 1")
    math(EXPR first "${first} + ${STABLELM_JOINED_FILES}")
  endwhile()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
