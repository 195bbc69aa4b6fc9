// Continues a text with a model: continue_text MODEL [PROMPT]
// Without a tokenizer it continues the token id 1.
#include <stablelm/stablelm.h>

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: continue_text MODEL [PROMPT]\n";
    return 2;
  }
  try {
    stablelm::LanguageModel model = stablelm::LanguageModel::Load(argv[1]);
    std::vector<int32_t> prompt = {1};
    if (model.has_tokenizer()) prompt = model.Tokenize(argc > 2 ? argv[2] : "Once upon a time");
    const stablelm::Generation result =
        model.Generate(prompt, {.max_new_tokens = 8, .ignore_end = true},
                       {.on_text = [](std::string_view text) { return std::cout << text << std::flush, true; }});
    std::cout << "\n" << result.ids.size() << " ids\n";
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << "\n";
    return 1;
  }
}
