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
constexpr std::pair<EndRule, const char*> kEndRules[] = {{EndRule::kEndOfText, "end-of-text"},
                                                         {EndRule::kNone, "none"}};
constexpr std::pair<LongTurn, const char*> kLongTurns[] = {{LongTurn::kDrop, "drop"},
                                                           {LongTurn::kTruncateUser, "truncate-user"}};
constexpr std::pair<Audit, const char*> kAudits[] = {{Audit::kTargets, "targets"},
                                                     {Audit::kTargetShare, "target-share"},
                                                     {Audit::kTurnEnd, "turn-end"},
                                                     {Audit::kRoundTrip, "round-trip"},
                                                     {Audit::kVocabulary, "vocabulary"}};

}  // namespace

const char* NameOf(LossRule rule) { return NameIn<LossRule>(kLossRules, rule); }
std::vector<std::string> LossRuleNames() { return NamesIn<LossRule>(kLossRules); }
std::optional<LossRule> LossRuleOf(std::string_view name) { return FindIn<LossRule>(kLossRules, name); }

const char* NameOf(Packing packing) { return NameIn<Packing>(kPackings, packing); }
std::vector<std::string> PackingNames() { return NamesIn<Packing>(kPackings); }
std::optional<Packing> PackingOf(std::string_view name) { return FindIn<Packing>(kPackings, name); }

const char* NameOf(EndRule rule) { return NameIn<EndRule>(kEndRules, rule); }
std::vector<std::string> EndRuleNames() { return NamesIn<EndRule>(kEndRules); }
std::optional<EndRule> EndRuleOf(std::string_view name) { return FindIn<EndRule>(kEndRules, name); }

const char* NameOf(LongTurn rule) { return NameIn<LongTurn>(kLongTurns, rule); }
std::vector<std::string> LongTurnNames() { return NamesIn<LongTurn>(kLongTurns); }
std::optional<LongTurn> LongTurnOf(std::string_view name) { return FindIn<LongTurn>(kLongTurns, name); }

const char* NameOf(Audit audit) { return NameIn<Audit>(kAudits, audit); }
std::vector<std::string> AuditNames() { return NamesIn<Audit>(kAudits); }
std::optional<Audit> AuditOf(std::string_view name) { return FindIn<Audit>(kAudits, name); }

LossRule DefaultLoss(SourceKind kind) {
  if (kind == SourceKind::kHh) return LossRule::kLastAssistant;
  return kind == SourceKind::kText ? LossRule::kAll : LossRule::kAssistant;
}

}  // namespace stablelm
