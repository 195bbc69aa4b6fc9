// Continues every line of standard input, all at the same time: many_requests MODEL
#include <stablelm/stablelm.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: many_requests MODEL\n";
    return 2;
  }
  stablelm::RequestEngine engine(stablelm::LanguageModel::Load(argv[1]), {.max_running = 32});
  std::vector<std::future<stablelm::Generation>> replies;
  for (std::string line; std::getline(std::cin, line);) {
    replies.push_back(engine.Generate(line, {.max_new_tokens = 8, .seed = 1}));
  }
  for (std::future<stablelm::Generation>& reply : replies) {
    try {
      const stablelm::Generation result = reply.get();  // in the order of the lines
      std::cout << result.text << "\n(" << NameOf(result.reason) << ")\n";
    } catch (const stablelm::ModelError& error) {  // of this line; the others go on
      if (error.kind() != stablelm::ErrorKind::kPromptTooLong && error.kind() != stablelm::ErrorKind::kUsage) throw;
      std::cout << "skipped: " << error.what() << "\n";
    }
  }
} catch (const stablelm::ModelError& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
