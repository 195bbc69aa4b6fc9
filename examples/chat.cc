// Chats with a model: chat MODEL. Reads a line, writes a reply. Ctrl-C ends the reply; end of input ends the chat.
#include <stablelm/stablelm.h>

#include <csignal>
#include <iostream>

namespace {
volatile std::sig_atomic_t interrupted = 0;
}

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: chat MODEL\n";
    return 2;
  }
  auto model = stablelm::LanguageModel::Load(argv[1]);
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::vector<stablelm::ChatMessage> conversation;
  for (std::string line; std::cout << "> " << std::flush, std::getline(std::cin, line);) {
    interrupted = 0;
    std::stop_source stop;  // the text so far is kept
    const auto show = [&](std::string_view text) {
      std::cout << text << std::flush;
      if (interrupted) stop.request_stop();
    };
    conversation.push_back({.role = stablelm::ChatRole::kUser, .text = line});
    const auto reply = model.Chat(conversation, {.generation = {.cancel = stop.get_token()}}, {.on_text = show});
    conversation.push_back({.role = stablelm::ChatRole::kAssistant, .text = reply.text});
    std::cout << "\n";
    if (reply.dropped_messages > 0) std::cerr << "(" << reply.dropped_messages << " messages no longer fit)\n";
  }
} catch (const stablelm::ModelError& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
