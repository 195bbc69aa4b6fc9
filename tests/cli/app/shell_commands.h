// The commands of a shell script, divided into words as a shell does it, for tests that parse commands which people
// read. No expansion: `$x` stays as it is. No here-documents.
#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// A list of words for each command. Comments, redirections and assignments before a command are left out; pipes, lists
// and substitutions divide commands.
inline std::vector<std::vector<std::string>> ShellCommands(std::string_view script) {
  std::vector<std::vector<std::string>> commands(1);
  std::string word;
  bool in_word = false, redirected = false;  // redirected: the next word is the name of a file
  char quote = 0;
  const auto end_word = [&] {
    if (in_word && !redirected) commands.back().push_back(word);
    if (in_word) redirected = false;
    word.clear();
    in_word = false;
  };
  for (size_t i = 0; i < script.size(); ++i) {
    const char c = script[i];
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < script.size()) {
      ++i;
      if (script[i] == '\n') continue;
      word += script[i];
      in_word = true;
    } else if (c == '#' && !in_word) {
      while (i + 1 < script.size() && script[i + 1] != '\n') ++i;
    } else if (c == '<' || c == '>') {
      if (word == "2" || word == "1") in_word = false;
      end_word();
      redirected = true;
      while (i + 1 < script.size() && (script[i + 1] == '>' || script[i + 1] == '&')) ++i;
    } else if (std::string_view("|&;()\n").find(c) != std::string_view::npos) {
      end_word();
      redirected = false;
      if (!commands.back().empty()) commands.emplace_back();
    } else if (c == ' ') {
      end_word();
    } else {
      word += c;
      in_word = true;
    }
  }
  end_word();
  for (std::vector<std::string>& words : commands) {
    const auto assigns = [](const std::string& text) {
      const size_t equals = text.find('=');
      return equals != std::string::npos && equals > 0 && std::isupper(static_cast<unsigned char>(text[0])) != 0;
    };
    while (!words.empty() && assigns(words.front())) words.erase(words.begin());
  }
  std::erase_if(commands, [](const auto& words) { return words.empty(); });
  return commands;
}

}  // namespace stablelm
