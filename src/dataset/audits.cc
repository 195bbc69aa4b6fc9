#include "dataset/audits.h"

#include <algorithm>

#include "base/error.h"
#include "base/number_text.h"

namespace stablelm {
std::vector<AuditFinding> AuditPreparation(const PrepareSetup& setup, const std::vector<SourceAccount>& sources) {
  std::vector<AuditFinding> findings;
  const auto find = [&](Audit audit, const std::string& source, std::string words) {
    const auto& waive = setup.recipe.waive;
    findings.push_back({.audit = audit,
                        .source = source,
                        .words = std::move(words),
                        .waived = std::find(waive.begin(), waive.end(), audit) != waive.end()});
  };
  for (const SourceAccount& source : sources) {
    if (source.samples == 0) continue;
    const double share = ShareOf(source.targets, source.tokens.written);
    if (source.targets == 0) {
      find(Audit::kTargets, source.name, "no token is a target");
    } else if (share < kLeastTargetShare || (share > kMostTargetShare && source.loss != LossRule::kAll)) {
      find(Audit::kTargetShare, source.name,
           PercentText(share, 2) + " of the tokens are targets, expected " + PercentText(kLeastTargetShare, 2) +
               " to " + PercentText(kMostTargetShare, 2));
    }
    if (source.open_answers > 0 && source.loss != LossRule::kAll) {
      find(Audit::kTurnEnd, source.name,
           std::to_string(source.open_answers) +
               " answers end in neither a stop token nor the end token: a model that "
               "learns them does not learn to stop");
    }
    if (source.texts_changed > 0) {
      find(Audit::kRoundTrip, source.name,
           "the ids of " + std::to_string(source.texts_changed) + " of " + std::to_string(source.texts_checked) +
               " conversations that were checked do not give their texts");
    }
  }
  if (setup.tokenizer.size() > setup.tokenizer.model_vocab_size()) {
    find(Audit::kVocabulary, "",
         "the tokenizer has " + std::to_string(setup.tokenizer.size()) + " ids, the model " +
             std::to_string(setup.tokenizer.model_vocab_size()));
  }
  return findings;
}

void ThrowFindings(const std::vector<AuditFinding>& findings) {
  std::vector<std::string> words, names;
  for (const AuditFinding& finding : findings) {
    if (finding.waived) continue;
    words.push_back((finding.source.empty() ? "" : finding.source + ": ") + finding.words);
    const std::string name = NameOf(finding.audit);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  throw Error({.where = "audit",
               .what = Joined(words, "; "),
               .hint = "`audits: {waive: [" + Joined(names) +
                       "]}` in the recipe goes on all the same; --dry-run and "
                       "--preview show the samples"});
}

}  // namespace stablelm
