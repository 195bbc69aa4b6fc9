# CPack runs this after it has installed the components, before it packs their folders (CPACK_PRE_BUILD_SCRIPTS). Adds
# the files that Debian's policy asks for, compresses manual pages and changelogs, and moves the examples and the page
# about the library to its package.

set(runtime ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/runtime/usr)
set(development ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/development/usr)
foreach(folder ${runtime}/share/doc/stablelm ${development}/include)
  if(NOT IS_DIRECTORY ${folder})
    message(FATAL_ERROR "${folder} is missing: packages are built with the preset \"package\" (scripts/package)")
  endif()
endforeach()

set(doc_runtime ${runtime}/share/doc/stablelm)
set(doc_development ${development}/share/doc/libstablelm-dev)
foreach(doc ${doc_runtime} ${doc_development})
  configure_file(${CPACK_STABLELM_DEBIAN}/copyright ${doc}/copyright COPYONLY)
  configure_file(${CPACK_STABLELM_DEBIAN}/changelog ${doc}/changelog.Debian COPYONLY)
endforeach()
file(REMOVE ${doc_runtime}/LICENSE)  # its text is in /usr/share/common-licenses
file(RENAME ${doc_runtime}/CHANGELOG.md ${doc_runtime}/changelog)
file(RENAME ${doc_runtime}/examples ${doc_development}/examples)
file(MAKE_DIRECTORY ${doc_development}/docs)
file(RENAME ${doc_runtime}/docs/library.md ${doc_development}/docs/library.md)
# Links to what was removed, renamed or moved, and from what was moved.
file(GLOB texts ${doc_runtime}/*.md ${doc_runtime}/docs/*.md)
foreach(file ${texts})
  cmake_path(GET file PARENT_PATH folder)
  file(RELATIVE_PATH to_runtime ${folder} ${doc_runtime})
  file(READ ${file} text)
  string(REPLACE "](LICENSE)" "](copyright)" text "${text}")
  string(REPLACE "](CHANGELOG.md)" "](changelog.gz)" text "${text}")
  string(REGEX REPLACE "\\]\\((docs/)?library\\.md\\)" "](${to_runtime}../libstablelm-dev/docs/library.md)" text "${text}")
  file(WRITE ${file} "${text}")
endforeach()
file(READ ${doc_development}/docs/library.md text)
string(REGEX REPLACE "\\]\\(([a-z_]+\\.md)" "](../../stablelm/docs/\\1" text "${text}")
file(WRITE ${doc_development}/docs/library.md "${text}")

# Where Debian's zsh looks.
file(RENAME ${runtime}/share/zsh/site-functions ${runtime}/share/zsh/vendor-completions)

file(GLOB pages ${runtime}/share/man/man1/*.1)
foreach(file ${pages} ${doc_runtime}/changelog ${doc_runtime}/changelog.Debian ${doc_development}/changelog.Debian)
  execute_process(COMMAND gzip -9n --force ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
