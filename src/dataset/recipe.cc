#include "dataset/recipe.h"

#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace stablelm {
namespace {

template <typename Value>
using Names = std::pair<Value, const char*>;

constexpr Names<SourceKind> kKinds[] = {{SourceKind::kAuto, "auto"},
                                        {SourceKind::kMessages, "messages"},
                                        {SourceKind::kShareGpt, "sharegpt"},
                                        {SourceKind::kAlpaca, "alpaca"},
                                        {SourceKind::kPromptReply, "prompt-response"},
                                        {SourceKind::kHh, "hh"},
                                        {SourceKind::kDolly, "dolly"},
                                        {SourceKind::kMarkers, "markers"},
                                        {SourceKind::kColumns, "columns"},
                                        {SourceKind::kText, "text"}};
constexpr Names<LossRule> kLossRules[] = {{LossRule::kAssistant, "assistant"},
                                          {LossRule::kLastAssistant, "last-assistant"},
                                          {LossRule::kAll, "all"},
                                          {LossRule::kAssistantMarkers, "assistant+markers"}};
constexpr Names<Packing> kPackings[] = {
    {Packing::kPack, "pack"}, {Packing::kNone, "none"}, {Packing::kConcat, "concat"}};

template <typename Value>
const char* Name(std::span<const Names<Value>> table, Value value) {
  for (const auto& [one, name] : table) {
    if (one == value) return name;
  }
  STABLELM_CHECK(false);
}

template <typename Value>
std::vector<std::string> AllNames(std::span<const Names<Value>> table) {
  std::vector<std::string> names;
  for (const auto& [value, name] : table) names.emplace_back(name);
  return names;
}

template <typename Value>
std::optional<Value> Find(std::span<const Names<Value>> table, std::string_view name) {
  for (const auto& [value, one] : table) {
    if (one == name) return value;
  }
  return std::nullopt;
}

}  // namespace

const char* NameOf(SourceKind kind) { return Name<SourceKind>(kKinds, kind); }
std::vector<std::string> SourceKindNames() { return AllNames<SourceKind>(kKinds); }
std::optional<SourceKind> SourceKindOf(std::string_view name) { return Find<SourceKind>(kKinds, name); }

const char* NameOf(LossRule rule) { return Name<LossRule>(kLossRules, rule); }
std::vector<std::string> LossRuleNames() { return AllNames<LossRule>(kLossRules); }
std::optional<LossRule> LossRuleOf(std::string_view name) { return Find<LossRule>(kLossRules, name); }

const char* NameOf(Packing packing) { return Name<Packing>(kPackings, packing); }
std::vector<std::string> PackingNames() { return AllNames<Packing>(kPackings); }
std::optional<Packing> PackingOf(std::string_view name) { return Find<Packing>(kPackings, name); }

}  // namespace stablelm
