// Continues a text with a model: continue_text MODEL [PROMPT]
// Without a tokenizer it continues the token id 1.
#include <stablelm/stablelm.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: continue_text MODEL [PROMPT]\n";
    return 2;
  }
  auto model = stablelm::LanguageModel::Load(argv[1]);
  std::vector<int32_t> prompt = {1};
  if (model.info().has_tokenizer) prompt = model.Tokenize(argc > 2 ? argv[2] : "Once upon a time");
  const auto result = model.Generate(prompt, {.max_new_tokens = 8, .ignore_end = true},
                                     {.on_text = [](std::string_view text) { std::cout << text << std::flush; }});
  std::cout << "\n" << result.ids.size() << " ids\n";
} catch (const stablelm::ModelError& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
