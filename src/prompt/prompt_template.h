// The prompt templates: names, default system texts and stop tokens. prompt/prompt_builder.cc has their layout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace stablelm {

enum class PromptTemplate : uint8_t {
  kStableLmTuned,  // "stablelm-tuned": StableLM-Tuned-Alpha's model card
  kDollyV2,        // "dolly-v2": databricks' Dolly 2
  kOasstNeox,      // "oasst-neox": OpenAssistant's pythia models
  kAlpaca,         // "alpaca": Stanford Alpaca; its markers are text, so any text can imitate them
  kNone,           // "none": the texts concatenated, without markers
};

const char* NameOf(PromptTemplate prompt_template);
std::vector<std::string> PromptTemplateNames();
std::optional<PromptTemplate> PromptTemplateOf(std::string_view name);

// The default system text of a template; empty for templates without one. The text of stablelm-tuned is the model
// card's, byte for byte, including its last line end.
std::optional<std::string_view> DefaultSystemText(PromptTemplate prompt_template);

// Spellings of the tokens that end a reply.
std::vector<std::string> DefaultStopTokens(PromptTemplate prompt_template);

// Whether <|SYSTEM|>, <|USER|> and <|ASSISTANT|> are special tokens, which identifies a tuned StableLM-Alpha.
bool HasRoleTokens(const Tokenizer& tokenizer);

// The template whose role tokens are special tokens of this tokenizer: the one that the model was probably made for. No
// value if there is none.
std::optional<PromptTemplate> TemplateByTokens(const Tokenizer& tokenizer);

// The id of a special token; no value when the token does not exist or is not special (then text could spell it).
std::optional<int32_t> SpecialTokenId(const Tokenizer& tokenizer, std::string_view spelling);

}  // namespace stablelm
