# Debian packages by CPack (scripts/package): stablelm has the program, its manual pages, completions, recipes and
# documentation; libstablelm-dev has the static library, its headers and the examples. The preset "package" has the
# settings that they need: the prefix /usr and a static library.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME stablelm)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "stablelm.cpp maintainers <maintainers@stablelm.invalid>")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEB_COMPONENT_INSTALL ON)
# Adds what Debian's policy asks for.
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian/finish_folders.cmake)
set(CPACK_STABLELM_DEBIAN ${PROJECT_SOURCE_DIR}/cmake/debian)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME stablelm)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION
"chat with, train and quantize StableLM and GPT-NeoX models
Runs the language model StableLM-Tuned-Alpha and others of the GPT-NeoX
architecture on ordinary processors: chat in a terminal, texts in batches,
scores, preparation of training data, fine-tuning (full, LoRA, QLoRA), and
quantization to 8 to 4 bits. It reads folders of Hugging Face and GGUF files.

Parquet files are read by DuckDB's program, which Debian does not have;
/usr/share/doc/stablelm/docs/data.md says how to get it.")

# A static library needs at link time what it uses (see the find_dependency calls in cmake/install.cmake).
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libstablelm-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libhwy-dev, libsimdjson-dev, libssl-dev, libutf8proc-dev, pkg-config, zlib1g-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"C++ library that runs StableLM and GPT-NeoX models
Loads a model from a folder of Hugging Face or from a GGUF file, chats with
it, continues and scores texts, and runs many requests at once.

The package holds the static library, its C++20 headers, its CMake package
(find_package(stablelm)), its pkg-config file and examples.")

include(CPack)
cpack_add_component(program GROUP runtime)
cpack_add_component(documentation GROUP runtime)
cpack_add_component(library GROUP development)
cpack_add_component_group(runtime)
cpack_add_component_group(development)
