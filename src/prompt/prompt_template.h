// The known ways to write a conversation for a model: their names, their system texts, the tokens that end a reply.
// What they look like is in prompt/prompt_builder.cc.
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
  kNone,           // "none": the texts one after the other, without any marker
};

const char* NameOf(PromptTemplate prompt_template);
std::vector<std::string> PromptTemplateNames();
std::optional<PromptTemplate> PromptTemplateOf(std::string_view name);

// The system text of a conversation that brings none of its own; empty for templates without one. That of
// stablelm-tuned is the model card's, byte for byte, with its last line end.
std::optional<std::string_view> DefaultSystemText(PromptTemplate prompt_template);

// Tokens, by their spelling, of which any ends a reply.
std::vector<std::string> DefaultStopTokens(PromptTemplate prompt_template);

// Whether <|SYSTEM|>, <|USER|> and <|ASSISTANT|> are special tokens: the mark of a tuned StableLM-Alpha.
bool HasRoleTokens(const Tokenizer& tokenizer);

// The id of a special token; no value when there is none or when it is not special (then text could spell it).
std::optional<int32_t> SpecialTokenId(const Tokenizer& tokenizer, std::string_view spelling);

}  // namespace stablelm
