// The stablelm library: load a model, chat, continue a text, run many requests at once, score, tokenize.
//
//   #include <stablelm/stablelm.h>  // CMake: target_link_libraries(app PRIVATE stablelm::stablelm)
//
//   #include <iostream>
//
//   int main(int, char** argv) try {
//     auto model = stablelm::LanguageModel::Load(argv[1]);  // "models/stablelm-tuned-3b"
//     model.Chat({{.text = "What's your mood today?"}}, {},
//                {.on_text = [](std::string_view text) { std::cout << text << std::flush; }});
//   } catch (const stablelm::ModelError& error) {
//     std::cerr << "error: " << error.what() << "\n";
//     return 1;
//   }
//
// Defaults come from the model's files, else from its model card: prompt template, generation settings, stop tokens.
// The command-line program uses the same defaults (docs/prompting.md). docs/library.md shows a program of each kind.
//
// The headers use only standard types.
#pragma once

#include "stablelm/chat.h"
#include "stablelm/error.h"
#include "stablelm/generation.h"
#include "stablelm/language_model.h"
#include "stablelm/request_engine.h"
#include "stablelm/version.h"

namespace stablelm {

// Version of the library in use, "0.1.0"; that of the headers is in stablelm/version.h.
const char* Version();

}  // namespace stablelm
