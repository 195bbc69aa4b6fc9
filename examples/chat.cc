// Chats with a model: chat MODEL. Reads a line, writes a reply. Ctrl-C ends the reply; end of input ends the chat.
#include <stablelm/stablelm.h>

#include <csignal>
#include <exception>
#include <iostream>

namespace {
volatile std::sig_atomic_t interrupted = 0;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: chat MODEL\n";
    return 2;
  }
  try {
    stablelm::LanguageModel model = stablelm::LanguageModel::Load(argv[1]);
    std::signal(SIGINT, [](int) { interrupted = 1; });
    const auto show = [](std::string_view text) {
      std::cout << text << std::flush;
      return interrupted == 0;  // false ends the reply; the text so far is kept
    };
    std::vector<stablelm::ChatMessage> conversation;
    for (std::string line; std::cout << "> " << std::flush, std::getline(std::cin, line);) {
      interrupted = 0;
      conversation.push_back({.role = stablelm::ChatRole::kUser, .text = line});
      const stablelm::Generation reply = model.Chat(conversation, {}, {.on_text = show});
      conversation.push_back({.role = stablelm::ChatRole::kAssistant, .text = reply.text});
      std::cout << "\n";
      if (reply.dropped_messages > 0) std::cerr << "(" << reply.dropped_messages << " messages no longer fit)\n";
    }
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << "\n";
    return 1;
  }
}
