#include "dataset/sample_collector.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "dataset/clean/hashes.h"

namespace stablelm {
namespace {

constexpr size_t kArrays = 6;  // that share the budget

// A hash that depends on the recipe's seed.
uint64_t SeededHash(std::string_view text, uint64_t seed) {
  return Hash64(std::to_string(seed) + "\n" + std::string(text));
}

std::string_view FirstText(const SourceConversation& conversation) {
  constexpr size_t kOfDocument = 256;
  if (conversation.document) return std::string_view(*conversation.document).substr(0, kOfDocument);
  for (const SourceTurn& turn : conversation.turns) {
    if (turn.role == Role::kUser) return turn.text;
  }
  return {};
}

std::string Place(const FileAccount& file, uint64_t row, uint64_t line) {
  return line > 0 ? file.name + ":" + std::to_string(line) : file.name + ": row " + std::to_string(row);
}

// The threshold of all sources that look for near duplicates: they are compared with each other.
std::optional<double> NearThreshold(const DataRecipe& recipe) {
  std::optional<double> threshold;
  for (const SourceRecipe& source : recipe.sources) {
    if (!source.clean.near_duplicates) continue;
    if (threshold && *threshold != source.clean.near_threshold) {
      throw Error({.where = "source " + source.name,
                   .what = "another near_threshold than the sources before",
                   .found = std::to_string(source.clean.near_threshold),
                   .expected = std::to_string(*threshold),
                   .hint =
                       "near duplicates are looked for in all sources together: give the threshold in `clean` at the "
                       "top of the recipe"});
    }
    threshold = source.clean.near_threshold;
  }
  return threshold;
}

}  // namespace

SampleCollector::SampleCollector(const DataRecipe& recipe, const SpillOptions& spill, size_t id_bytes)
    : recipe_(recipe),
      part_(spill.Share(kArrays)),
      spool_(part_, id_bytes),
      conversations_(part_),
      exact_(part_),
      prefixes_(part_) {
  if (const std::optional<double> threshold = NearThreshold(recipe)) near_.emplace(*threshold, part_);
}

void SampleCollector::BeginSource(const SourceRecipe& source, SourceAccount account) {
  source_ = &source;
  // With the loss on the last answers alone each row of a dialogue teaches another one.
  prefixes_of_source_ = account.kind == SourceKind::kHh && account.loss != LossRule::kLastAssistant;
  accounts_.push_back(std::move(account));
}

void SampleCollector::BeginFile(uint32_t file, const std::string& format) {
  accounts_.back().files[file].format = format;
}

void SampleCollector::DropFile(uint32_t file, const std::string& why) {
  SourceAccount& account = accounts_.back();
  ++account.conversations;
  account.Drop("bad-file", account.files[file].name, why);
}

void SampleCollector::Take(PassedRow& row) {
  SourceAccount& account = accounts_.back();
  ++account.rows;
  ++account.files[row.file].rows;
  account.repairs += row.repairs;
  account.changes += row.changes;
  uint32_t piece = 0;
  for (size_t i = 0; i < row.conversations.size(); ++i) {
    ++account.conversations;
    const PassedConversation& one = row.conversations[i];
    if (one.reason.empty()) {
      Collect(row, i, piece);
    } else {
      account.tokens.Add(one.encoded.account);
      account.Drop(one.reason, Place(account.files[row.file], row.row, row.line), one.words);
    }
  }
}

void SampleCollector::Collect(PassedRow& row, size_t number, uint32_t& piece) {
  const SourceAccount& account = accounts_.back();
  const PassedConversation& one = row.conversations[number];
  const auto source = static_cast<uint32_t>(accounts_.size() - 1);
  const uint64_t position = conversations_.size();
  if (source_->clean.exact_duplicates) exact_.Add(one.key, position);
  if (source_->clean.near_duplicates) near_->Add(one.near, position);
  if (prefixes_of_source_) prefixes_.Add(one.conversation, position);
  const std::string place = account.name + "\n" + account.files[row.file].name + "\n" + std::to_string(row.row) + "\n" +
                            std::to_string(number);
  const CollectedConversation collected{.source = source,
                                        .file = row.file,
                                        .row = row.row,
                                        .line = row.line,
                                        .first = spool_.size(),
                                        .count = static_cast<uint32_t>(one.encoded.samples.size()),
                                        .split_hash = SeededHash(FirstText(one.conversation), recipe_.seed),
                                        .weight_hash = SeededHash(place, recipe_.seed),
                                        .control_spellings = static_cast<uint32_t>(one.encoded.control_spellings),
                                        .open_answers = static_cast<uint32_t>(one.encoded.open_answers),
                                        .checked = one.checked ? 1U : 0U,
                                        .changed = one.checked && !one.encoded.round_trip ? 1U : 0U,
                                        .tokens = one.encoded.account};
  for (const Sample& sample : one.encoded.samples) {
    spool_.Add(sample, {.source = source, .file = row.file, .row = row.row, .piece = piece++});
  }
  conversations_.Append({&collected, 1});
}

// For each conversation 0, or 1 + the reason why it goes.
std::vector<uint8_t> SampleCollector::DropDuplicates() {
  std::vector<uint8_t> dropped(conversations_.size());
  const auto drop = [&](uint64_t position, DropReason reason) {
    if (dropped[position] == 0) dropped[position] = static_cast<uint8_t>(1 + static_cast<size_t>(reason));
  };
  exact_.Find([&](uint64_t duplicate, uint64_t) { drop(duplicate, DropReason::kExactDuplicate); });
  if (near_) near_->Find([&](uint64_t duplicate, uint64_t) { drop(duplicate, DropReason::kNearDuplicate); });
  prefixes_.Find([&](uint64_t position) { drop(position, DropReason::kPrefixOfAnother); });
  return dropped;
}

void SampleCollector::Count(const CollectedConversation& one, std::span<const SampleSpool::Record> samples) {
  SourceAccount& account = accounts_[one.source];
  account.tokens.Add(one.tokens);
  account.control_spellings += one.control_spellings;
  account.open_answers += one.open_answers;
  account.texts_checked += one.checked;
  account.texts_changed += one.changed;
  ++account.kept;
  for (const SampleSpool::Record& sample : samples.subspan(one.first, one.count)) {
    ++account.samples;
    account.targets += sample.targets;
    size_t bin = 0;
    while (bin + 1 < account.lengths.size() && (sample.length >> (bin + 1)) > 0) ++bin;
    ++account.lengths[bin];
  }
}

void SampleCollector::Finish(FunctionRef<void(const CollectedConversation&)> kept) {
  const std::vector<uint8_t> dropped = DropDuplicates();
  const std::span<const CollectedConversation> conversations = conversations_.Values();
  const std::span<const SampleSpool::Record> samples = spool_.Records();
  for (size_t i = 0; i < conversations.size(); ++i) {
    const CollectedConversation& one = conversations[i];
    if (dropped[i] == 0) {
      Count(one, samples);
      kept(one);
      continue;
    }
    const auto reason = static_cast<DropReason>(dropped[i] - 1);
    SourceAccount& account = accounts_[one.source];
    account.Drop(std::string(NameOf(reason)), Place(account.files[one.file], one.row, one.line),
                 std::string(WordsOf(reason)));
  }
}

}  // namespace stablelm
