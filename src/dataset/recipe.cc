#include "dataset/recipe.h"

#include "base/name_table.h"

namespace stablelm {
namespace {

constexpr std::pair<LossRule, const char*> kLossRules[] = {{LossRule::kAssistant, "assistant"},
                                                           {LossRule::kLastAssistant, "last-assistant"},
                                                           {LossRule::kAll, "all"},
                                                           {LossRule::kAssistantMarkers, "assistant+markers"}};
constexpr std::pair<Packing, const char*> kPackings[] = {
    {Packing::kPack, "pack"}, {Packing::kNone, "none"}, {Packing::kConcat, "concat"}};

}  // namespace

const char* NameOf(LossRule rule) { return NameIn<LossRule>(kLossRules, rule); }
std::vector<std::string> LossRuleNames() { return NamesIn<LossRule>(kLossRules); }
std::optional<LossRule> LossRuleOf(std::string_view name) { return FindIn<LossRule>(kLossRules, name); }

const char* NameOf(Packing packing) { return NameIn<Packing>(kPackings, packing); }
std::vector<std::string> PackingNames() { return NamesIn<Packing>(kPackings); }
std::optional<Packing> PackingOf(std::string_view name) { return FindIn<Packing>(kPackings, name); }

}  // namespace stablelm
