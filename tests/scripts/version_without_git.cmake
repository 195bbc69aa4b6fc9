# Without git, or in a clone of another user, the commit is read from the files of the clone.
# cmake -DSOURCE=<project> -DFOLDER=<scratch> -P tests/scripts/version_without_git.cmake
cmake_minimum_required(VERSION 3.25)
set(ENV{GIT_DIR} ${FOLDER}/none)  # git finds no repository, not even above the scratch folder
set(hash 0123456789abcdef0123456789abcdef01234567)

function(expect commit)
  execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${FOLDER} -DOUT=${FOLDER}/version_info.h -DVERSION=1.2.3 -DCOMPILER=C
                          -DBUILD_TYPE=Release -P ${SOURCE}/cmake/write_version.cmake COMMAND_ERROR_IS_FATAL ANY)
  file(STRINGS ${FOLDER}/version_info.h line REGEX STABLELM_COMMIT)
  if(NOT line STREQUAL "#define STABLELM_COMMIT \"${commit}\"")
    message(FATAL_ERROR "expected ${commit}, found: ${line}")
  endif()
endfunction()

file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
expect(unknown)  # not a clone
file(WRITE ${FOLDER}/.git/HEAD "ref: refs/heads/main\n")
expect(unknown)  # no commit yet
file(WRITE ${FOLDER}/.git/packed-refs "# pack-refs with: peeled\nf${hash} refs/heads/other\n${hash} refs/heads/main\n")
expect(0123456789ab)
file(WRITE ${FOLDER}/.git/refs/heads/main "fedcba9876543210fedcba9876543210fedcba98\n")
expect(fedcba987654)
file(WRITE ${FOLDER}/.git/HEAD "${hash}\n")
expect(0123456789ab)  # no branch
file(WRITE ${FOLDER}/.git/HEAD "ref: refs/heads/c++20\n")
file(WRITE ${FOLDER}/.git/packed-refs "${hash} refs/heads/ccc20\nf${hash} refs/heads/c++20\n")
expect(f0123456789a)
