// Helpers for tests of prompts: the small tokenizer, also with role tokens of other models.
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "error_text.h"
#include "prompt/conversation.h"
#include "prompt/prompt_builder.h"
#include "test_paths.h"
#include "tokenizer/tokenizer.h"

namespace stablelm {

inline nlohmann::json SmallTokenizerJson() {
  return nlohmann::json::parse(std::ifstream(TestData("tokenizer/tokenizer.json")));
}

inline Tokenizer TokenizerOf(const nlohmann::json& json) { return Tokenizer::FromJson(json.dump(), "tokenizer.json"); }

// <|SYSTEM|> 723, <|USER|> 724, <|ASSISTANT|> 725.
inline Tokenizer TunedTokenizer() { return TokenizerOf(SmallTokenizerJson()); }

// The same tokenizer with other spellings of these three tokens.
inline Tokenizer RenamedTokenizer(const std::map<std::string, std::string>& names) {
  nlohmann::json json = SmallTokenizerJson();
  for (nlohmann::json& token : json["added_tokens"]) {
    const auto name = names.find(token["content"].get<std::string>());
    if (name != names.end()) token["content"] = name->second;
  }
  return TokenizerOf(json);
}
inline Tokenizer DollyTokenizer(const std::string& response = "### Response:\n") {
  return RenamedTokenizer({{"<|SYSTEM|>", "### End"}, {"<|USER|>", "### Instruction:"}, {"<|ASSISTANT|>", response}});
}
inline Tokenizer OasstTokenizer() {
  return RenamedTokenizer(
      {{"<|SYSTEM|>", "<|system|>"}, {"<|USER|>", "<|prompter|>"}, {"<|ASSISTANT|>", "<|assistant|>"}});
}
inline Tokenizer BaseTokenizer() {
  return RenamedTokenizer({{"<|SYSTEM|>", "<|a|>"}, {"<|USER|>", "<|b|>"}, {"<|ASSISTANT|>", "<|c|>"}});
}

// A tokenizer that fits the template.
inline Tokenizer TokenizerFor(PromptTemplate prompt_template) {
  switch (prompt_template) {
    case PromptTemplate::kDollyV2:
      return DollyTokenizer();
    case PromptTemplate::kOasstNeox:
      return OasstTokenizer();
    case PromptTemplate::kAlpaca:
    case PromptTemplate::kNone:
      return BaseTokenizer();
    case PromptTemplate::kStableLmTuned:
      break;
  }
  return TunedTokenizer();
}

inline const PromptTemplate kAllTemplates[] = {PromptTemplate::kStableLmTuned, PromptTemplate::kDollyV2,
                                               PromptTemplate::kOasstNeox, PromptTemplate::kAlpaca,
                                               PromptTemplate::kNone};

inline Message System(std::string text) { return {Role::kSystem, std::move(text)}; }
inline Message User(std::string text) { return {Role::kUser, std::move(text)}; }
inline Message Assistant(std::string text) { return {Role::kAssistant, std::move(text)}; }

}  // namespace stablelm
