// The bundled model: the small chat model of our own that comes with the program (demo/README.md). chat, generate and
// run take it when no model is named.
//
// The program's own place tells where it is, symbolic links resolved, so both can be moved together: beside the
// program, where a build folder has a link to demo/; else in share/stablelm of the prefix, for a program in bin/.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/app/command.h"

namespace stablelm {

inline constexpr const char* kBundledModel = "stablelm-demo.gguf";

// What a command says on standard error when it takes the bundled model.
inline constexpr const char* kBundledModelNote =
    "no model was named: the small demonstration model that comes with stablelm answers; -m MODEL names another";
// What it is and how to get a larger one, for --help and the chat's /help: paragraphs of one line each, and commands.
inline constexpr const char* kAboutBundledModel =
    "The model that answers when none is named comes with stablelm: a small demonstration, 4 million parameters under "
    "the Apache License 2.0. It knows small talk, small sums, words and letters, a few facts and this program's "
    "commands, and makes mistakes.\n"
    "\n"
    "A real one is StableLM-Tuned-Alpha 3B: 15 GB to download, 4.6 GB of memory to chat; its licence, CC BY-NC-SA 4.0, "
    "allows no commercial use. With hf, Hugging Face's program (docs/models.md tells more):\n"
    "  stablelm fit --shape 3b --quantize Q4_K_M\n"
    "  hf download stabilityai/stablelm-tuned-alpha-3b\n"
    "  stablelm quantize stabilityai/stablelm-tuned-alpha-3b 3b.gguf Q4_K_M\n"
    "  stablelm chat -m 3b.gguf\n";

// Where the bundled model may be, in the order of search.
std::vector<std::filesystem::path> BundledModelPlaces();

// Path of the bundled model. Throws UsageError when there is none, since a model has to be named then; Error when the
// file is not the model that this program was built with.
std::string FindBundledModel();

// "; the small demonstration model is PATH", for hints of commands that need a name; "" when it is missing.
std::string WhereBundledModelIs();

// Takes the bundled model when no model was named.
void TakeBundledModel(CommonOptions& common);

}  // namespace stablelm
