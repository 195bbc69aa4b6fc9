execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT commit)
  # No git, or a clone of another user: read what the branch points to. Changed files do not show.
  set(commit "unknown")
  set(head "")
  if(EXISTS ${SOURCE}/.git/HEAD)
    file(STRINGS ${SOURCE}/.git/HEAD head LIMIT_COUNT 1)
  endif()
  if(head MATCHES "^ref: (.*)$")
    set(ref ${CMAKE_MATCH_1})
    set(head "")
    if(EXISTS ${SOURCE}/.git/${ref})
      file(STRINGS ${SOURCE}/.git/${ref} head LIMIT_COUNT 1)
    elseif(EXISTS ${SOURCE}/.git/packed-refs)
      file(STRINGS ${SOURCE}/.git/packed-refs lines REGEX "^[0-9a-f]+ ")
      foreach(line IN LISTS lines)
        if(line MATCHES "^[0-9a-f]+ (.*)$" AND CMAKE_MATCH_1 STREQUAL ref)
          set(head ${line})
        endif()
      endforeach()
    endif()
  endif()
  if(head MATCHES "^[0-9a-f]+")
    string(SUBSTRING "${CMAKE_MATCH_0}" 0 12 commit)
  endif()
endif()
set(text "#pragma once
// Generated at build time.
#define STABLELM_VERSION \"${VERSION}\"
#define STABLELM_COMMIT \"${commit}\"
#define STABLELM_COMPILER \"${COMPILER}\"
#define STABLELM_BUILD_TYPE \"${BUILD_TYPE}\"
")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
