// A folder of data files and recipes, prepared with the test tokenizer.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "../prompt/prompt_testing.h"
#include "dataset/prepare.h"
#include "dataset/read_recipe.h"
#include "dataset/run_record.h"
#include "temp_folder.h"

namespace stablelm {

inline PrepareSetup SetupFor(const LoadedRecipe& loaded) {
  PrepareSetup setup{.recipe = loaded.recipe,
                     .recipe_yaml = loaded.settings.Yaml(),
                     .tokenizer = TunedTokenizer(),
                     .tokenizer_from = "tokenizer.json",
                     .tokenizer_path = TestData("tokenizer/tokenizer.json"),
                     .system = "Be kind.",
                     .stop_tokens = DefaultStopTokens(PromptTemplate::kStableLmTuned),
                     .chat_record = CardChatRecord(),
                     .limit = {},
                     .show_progress = false};
  return setup;
}

class PrepareTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  // `n` lines of OpenAI's format: question i, answer i.
  std::string Chats(size_t n, size_t from = 0) {
    std::string lines;
    for (size_t i = from; i < from + n; ++i) {
      lines += R"({"messages": [{"role": "user", "content": "question )" + std::to_string(i) +
               R"("}, {"role": "assistant", "content": "answer )" + std::to_string(i) + "\"}]}\n";
    }
    return lines;
  }
  PrepareSetup Recipe(const std::string& yaml) {
    Write("recipe.yaml", yaml);
    return SetupFor(ReadDataRecipe(folder_.path() / "recipe.yaml"));
  }
  std::filesystem::path Out(const std::string& name = "out") const { return folder_.path() / name; }
  // All files but run.json, which tells the time.
  static std::map<std::string, std::string> BytesOf(const std::filesystem::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream in(entry.path(), std::ios::binary);
      if (entry.path().filename() != kRunFile) {
        files[entry.path().filename()] = std::string((std::istreambuf_iterator<char>(in)), {});
      }
    }
    return files;
  }
  std::set<std::string> FileNames() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) names.insert(entry.path().filename());
    return names;
  }

  TempFolder folder_;
};

}  // namespace stablelm
