#include "prompt/prompt_template.h"

#include "base/error.h"

namespace stablelm {
namespace {

constexpr PromptTemplate kAll[] = {PromptTemplate::kStableLmTuned, PromptTemplate::kDollyV2, PromptTemplate::kOasstNeox,
                                   PromptTemplate::kAlpaca, PromptTemplate::kNone};

// Model card of stablelm-tuned-alpha-3b and -7b.
constexpr std::string_view kCardSystemText =
    "# StableLM Tuned (Alpha version)\n"
    "- StableLM is a helpful and harmless open-source AI language model developed by StabilityAI.\n"
    "- StableLM is excited to be able to help the user, but will refuse to do anything that could be considered "
    "harmful "
    "to the user.\n"
    "- StableLM is more than just an information source, StableLM is also able to write poetry, short stories, and "
    "make jokes.\n"
    "- StableLM will refuse to participate in anything that could harm a human.\n";

// Stanford Alpaca's train.py (prompt_no_input); Dolly uses it too (training/consts.py, INTRO_BLURB).
constexpr std::string_view kInstructionIntro =
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.";

}  // namespace

const char* NameOf(PromptTemplate prompt_template) {
  switch (prompt_template) {
    case PromptTemplate::kStableLmTuned:
      return "stablelm-tuned";
    case PromptTemplate::kDollyV2:
      return "dolly-v2";
    case PromptTemplate::kOasstNeox:
      return "oasst-neox";
    case PromptTemplate::kAlpaca:
      return "alpaca";
    case PromptTemplate::kNone:
      return "none";
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> PromptTemplateNames() {
  std::vector<std::string> names;
  for (const PromptTemplate one : kAll) names.emplace_back(NameOf(one));
  return names;
}

std::optional<PromptTemplate> PromptTemplateOf(std::string_view name) {
  for (const PromptTemplate one : kAll) {
    if (name == NameOf(one)) return one;
  }
  return std::nullopt;
}

std::optional<std::string_view> DefaultSystemText(PromptTemplate prompt_template) {
  switch (prompt_template) {
    case PromptTemplate::kStableLmTuned:
      return kCardSystemText;
    case PromptTemplate::kDollyV2:
    case PromptTemplate::kAlpaca:
      return kInstructionIntro;
    case PromptTemplate::kOasstNeox:
    case PromptTemplate::kNone:
      return std::nullopt;
  }
  STABLELM_CHECK(false);
}

std::vector<std::string> DefaultStopTokens(PromptTemplate prompt_template) {
  switch (prompt_template) {
    case PromptTemplate::kStableLmTuned:  // the card's StopOnTokens
      return {"<|USER|>", "<|ASSISTANT|>", "<|SYSTEM|>", "<|padding|>", "<|endoftext|>"};
    case PromptTemplate::kDollyV2:
      return {"### End", "<|endoftext|>"};
    case PromptTemplate::kOasstNeox:
      return {"<|endoftext|>", "<|prompter|>", "<|assistant|>"};
    case PromptTemplate::kAlpaca:
      return {"<|endoftext|>"};
    case PromptTemplate::kNone:
      return {};
  }
  STABLELM_CHECK(false);
}

std::optional<PromptTemplate> TemplateByTokens(const Tokenizer& tokenizer) {
  const auto has = [&](std::string_view spelling) { return SpecialTokenId(tokenizer, spelling).has_value(); };
  if (HasRoleTokens(tokenizer)) return PromptTemplate::kStableLmTuned;
  if (has("<|prompter|>") && has("<|assistant|>")) return PromptTemplate::kOasstNeox;
  if (has("### Instruction:") && has("### End")) return PromptTemplate::kDollyV2;
  return std::nullopt;
}

bool HasRoleTokens(const Tokenizer& tokenizer) {
  for (const char* spelling : {"<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>"}) {
    if (!SpecialTokenId(tokenizer, spelling)) return false;
  }
  return true;
}

std::optional<int32_t> SpecialTokenId(const Tokenizer& tokenizer, std::string_view spelling) {
  const std::optional<int32_t> id = tokenizer.TokenId(spelling);
  return id && tokenizer.IsSpecial(*id) ? id : std::nullopt;
}

}  // namespace stablelm
