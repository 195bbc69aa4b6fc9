#include "cli/data/account_text.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "dataset/reason_words.h"

namespace stablelm {
namespace {

uint64_t Sum(const JsonValue& object) {
  uint64_t sum = 0;
  for (const JsonValue& value : object.items()) sum += value.Whole();
  return sum;
}

// Columns as wide as their widest cell; all but the first are numbers and stand at the right.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string pad(widths[c] - row[c].size(), ' ');
      text += c == 0 ? row[c] + pad : "  " + pad + row[c];
    }
    text += "\n";
  }
  return text;
}

// Where the first row that was dropped for this reason is; empty: not known.
std::string FirstPlace(const JsonValue& examples, std::string_view reason) {
  for (const JsonValue& example : examples.items()) {
    if (example.At("reason").Text() == reason) return example.At("place").Text();
  }
  return "";
}

// `examples`: of dropped rows.
void AddCounts(const std::string& title, const std::string& source, const JsonValue& counts, const JsonValue& examples,
               std::string& text) {
  if (counts.size() == 0) return;
  text += "\n" + title + " " + source + ":\n";
  for (size_t i = 0; i < counts.size(); ++i) {
    const std::string& name = counts.names()[i];
    const std::string first = FirstPlace(examples, name);
    char line[64];
    std::snprintf(line, sizeof line, "%10s  %-22s  ", Grouped(counts.items()[i].Whole()).c_str(), name.c_str());
    text += line;
    text += ReasonWords(name);
    text += first.empty() ? "\n" : " (first: " + first + ")\n";
  }
}

std::string TextsOf(const JsonValue& list) {
  std::vector<std::string> texts;
  for (const JsonValue& one : list.items()) texts.push_back(one.Text());
  return Joined(texts);
}

// The evaluation sets whose texts were looked for, and those that were not.
void AddOverlap(const JsonValue& account, std::string& text) {
  const JsonValue &overlap = account.At("overlap"), &checked = overlap.At("checked"),
                  &missing = overlap.At("not_found");
  uint64_t found = 0;
  for (const JsonValue& source : account.At("sources").items()) {
    const JsonValue& dropped = source.At("dropped");
    if (dropped.Contains("evaluation-overlap")) found += dropped.At("evaluation-overlap").Whole();
  }
  if (checked.size() > 0) {
    text += "\noverlap with " + TextsOf(checked) + ": " +
            (found == 0 ? "checked, nothing found" : Grouped(found) + " conversations dropped") + "\n";
  }
  if (missing.size() > 0) {
    text += "\noverlap with " + TextsOf(missing) +
            ": not checked, because not on this machine; `hf download --repo-type dataset ID` gets a data set\n";
  }
}

}  // namespace

std::string AccountText(const JsonValue& account) {
  std::vector<std::vector<std::string>> rows = {{"source", "rows", "kept", "dropped", "samples", "tokens", "targets"}};
  for (const JsonValue& source : account.At("sources").items()) {
    const uint64_t written = source.At("tokens").At("written").Whole(), targets = source.At("targets").Whole();
    rows.push_back({source.At("name").Text() + " (" + source.At("kind").Text() + ")",
                    Grouped(source.At("rows").Whole()), Grouped(source.At("kept").Whole()),
                    Grouped(Sum(source.At("dropped"))), Grouped(source.At("samples").Whole()), Grouped(written),
                    PercentText(ShareOf(targets, written), 1)});
  }
  std::string text = Table(rows);
  std::string guessed;
  std::map<std::string, std::string> licences;  // names of the sources by licence
  for (const JsonValue& source : account.At("sources").items()) {
    if (source.At("kind_from").Text() != "recipe") {
      guessed += source.At("name").Text() + ": read as " + source.At("kind").Text() + ", because " +
                 source.At("kind_from").Text() + "\n";
    }
    if (source.At("licence").IsText()) {
      std::string& names = licences[source.At("licence").Text()];
      names += (names.empty() ? "" : ", ") + source.At("name").Text();
    }
  }
  if (!guessed.empty()) text += "\n" + guessed;
  if (!licences.empty()) text += "\n";
  for (const auto& [licence, names] : licences) text += "licence of " + names + ": " + licence + "\n";
  const JsonValue none = JsonValue::Array();
  for (const JsonValue& source : account.At("sources").items()) {
    const std::string& name = source.At("name").Text();
    AddCounts("dropped from", name, source.At("dropped"), source.At("dropped_examples"), text);
    AddCounts("changed in", name, source.At("changes"), none, text);
  }
  const JsonValue& splits = account.At("splits");
  text += "\n";
  std::vector<std::vector<std::string>> lines = {{"split", "conversations", "packs", "tokens", "targets"}};
  for (size_t i = 0; i < splits.size(); ++i) {
    const JsonValue& split = splits.items()[i];
    lines.push_back({splits.names()[i], Grouped(split.At("conversations").Whole()), Grouped(split.At("packs").Whole()),
                     Grouped(split.At("tokens").Whole()), Grouped(split.At("targets").Whole())});
  }
  text += Table(lines);
  for (const JsonValue& audit : account.At("audits").items()) {
    text += "\naudit " + audit.At("audit").Text() + (audit.At("waived").Bool() ? " (waived)" : "") + ": " +
            (audit.At("source").Text().empty() ? "" : audit.At("source").Text() + ": ") + audit.At("words").Text() +
            "\n";
  }
  AddOverlap(account, text);
  // A source that loses much is named last, where it is seen.
  constexpr double kMuch = 0.1;
  for (const JsonValue& source : account.At("sources").items()) {
    const JsonValue& dropped = source.At("dropped");
    const uint64_t lost = Sum(dropped), all = source.At("conversations").Whole();
    if (ShareOf(lost, all) <= kMuch) continue;
    size_t most = 0;
    for (size_t i = 0; i < dropped.size(); ++i) {
      if (dropped.items()[i].Whole() > dropped.items()[most].Whole()) most = i;
    }
    const std::string& reason = dropped.names()[most];
    const std::string_view key = KeyOfReason(reason);
    text += "\n" + source.At("name").Text() + " loses " + PercentText(ShareOf(lost, all), 1) +
            " of its conversations, most to " + reason + " (" + std::string(ReasonWords(reason)) + ")" +
            (key.empty() ? "" : "; `" + std::string(key) + "` in the recipe decides it") + "\n";
  }
  return text;
}

}  // namespace stablelm
