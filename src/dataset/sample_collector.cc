#include "dataset/sample_collector.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "dataset/clean/hashes.h"

namespace stablelm {
namespace {

constexpr size_t kParts = 5;  // of the budget, or of its half where near duplicates have the other

// A hash that depends on the recipe's seed.
uint64_t SeededHash(std::string_view text, uint64_t seed) {
  return Hash64(std::to_string(seed) + "\n" + std::string(text));
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
      part_(spill.Share(NearThreshold(recipe) ? 2 * kParts : kParts)),
      spool_(part_, id_bytes),
      conversations_(part_),
      exact_(part_),
      prefixes_(part_) {
  if (const std::optional<double> threshold = NearThreshold(recipe)) near_.emplace(*threshold, spill.Share(2));
}

void SampleCollector::BeginSource(const SourceRecipe& source, SourceAccount account) {
  source_ = &source;
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
      account.tokens.Add(one.tokens);
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
  prefixes_.Add(one.prompts, position);
  const std::string place = account.name + "\n" + account.files[row.file].name + "\n" + std::to_string(row.row) + "\n" +
                            std::to_string(number);
  const CollectedConversation collected{.source = source,
                                        .file = row.file,
                                        .row = row.row,
                                        .line = row.line,
                                        .first = spool_.size(),
                                        .count = static_cast<uint32_t>(one.samples.sizes.size()),
                                        .split_hash = one.split_hash,
                                        .weight_hash = SeededHash(place, recipe_.seed),
                                        .control_spellings = static_cast<uint32_t>(one.control_spellings),
                                        .open_answers = static_cast<uint32_t>(one.open_answers),
                                        .checked = one.checked ? 1U : 0U,
                                        .changed = one.changed ? 1U : 0U,
                                        .tokens = one.tokens};
  spool_.Add(one.samples, {.source = source, .file = row.file, .row = row.row, .piece = piece});
  piece += collected.count;
  conversations_.Append(collected);
}

// For each conversation 0, or 1 + the reason why it goes.
ScratchArray<uint8_t> SampleCollector::DropDuplicates() {
  ScratchArray<uint8_t> dropped(conversations_.size(), part_);
  const auto drop = [&](uint64_t position, DropReason reason) {
    if (dropped[position] == 0) dropped[position] = static_cast<uint8_t>(1 + static_cast<size_t>(reason));
  };
  exact_.Find([&](uint64_t duplicate, uint64_t) { drop(duplicate, DropReason::kExactDuplicate); });
  if (near_) near_->Find([&](uint64_t duplicate, uint64_t) { drop(duplicate, DropReason::kNearDuplicate); });
  prefixes_.Find([&](uint64_t position) { drop(position, DropReason::kPrefixOfAnother); });
  spilled_ = exact_.spilled_bytes() + prefixes_.spilled_bytes() + (near_ ? near_->spilled_bytes() : 0) +
             dropped.spilled_bytes();
  near_.reset();
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
  const ScratchArray<uint8_t> dropped = DropDuplicates();
  const std::span<const CollectedConversation> conversations = conversations_.Values();
  const std::span<const SampleSpool::Record> samples = spool_.Records();
  spilled_ += conversations_.spilled_bytes() + spool_.spilled_bytes();
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
