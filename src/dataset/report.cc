#include "dataset/report.h"

#include <algorithm>
#include <cstdio>

#include "base/html_page.h"
#include "base/number_text.h"
#include "dataset/clean/reasons.h"
#include "dataset/reason_words.h"
#include "dataset/sample_runs.h"

namespace stablelm {
namespace {

// "12.5 %" on one line.
std::string Percent(double share) {
  std::string text = PercentText(share, 1);
  return text.replace(text.find(' '), 1, "&nbsp;");
}

uint64_t Sum(const JsonValue& object) {
  uint64_t sum = 0;
  for (const JsonValue& value : object.items()) sum += value.Whole();
  return sum;
}

void AddSummary(const JsonValue& manifest, HtmlPage& page) {
  const JsonValue& tokenizer = manifest.At("tokenizer");
  page.Add("<p class=\"note\">Tokenizer " + EscapedHtml(tokenizer.At("name").Text()) + ", template " +
           EscapedHtml(manifest.At("template").Text()) + ", sequences of " +
           Grouped(manifest.At("sequence_length").Whole()) + " tokens, seed " +
           std::to_string(manifest.At("seed").Whole()) + ".</p>\n");
  std::vector<std::vector<std::string>> rows = {{"split", "conversations", "samples", "packs", "tokens", "targets"}};
  const JsonValue& splits = manifest.At("splits");
  for (size_t i = 0; i < splits.size(); ++i) {
    const JsonValue& split = splits.items()[i];
    const uint64_t tokens = split.At("tokens").Whole(), targets = split.At("targets").Whole();
    rows.push_back({splits.names()[i], Grouped(split.At("conversations").Whole()),
                    Grouped(split.At("documents").Whole()), Grouped(split.At("packs").Whole()), Grouped(tokens),
                    Grouped(targets) + " (" + Percent(ShareOf(targets, tokens)) + ")"});
  }
  page.Table(rows);
  for (const JsonValue& audit : manifest.At("audits").items()) {
    page.Add("<p class=\"warn\">Audit " + EscapedHtml(audit.At("audit").Text()) +
             (audit.At("waived").Bool() ? " (waived by the recipe)" : "") + ": " +
             EscapedHtml(audit.At("source").Text()) + " " + EscapedHtml(audit.At("words").Text()) + "</p>\n");
  }
  const JsonValue& overlap = manifest.At("overlap");
  for (const JsonValue& set : overlap.At("not_found").items()) {
    page.Add("<p class=\"warn\">Overlap with " + EscapedHtml(set.Text()) +
             " was not looked for: it is not on this machine.</p>\n");
  }
  for (const JsonValue& set : overlap.At("checked").items()) {
    page.Add("<p class=\"note\">Overlap with " + EscapedHtml(set.Text()) + " was looked for.</p>\n");
  }
}

void AddSources(const JsonValue& manifest, HtmlPage& page) {
  page.Head("Sources");
  std::vector<std::vector<std::string>> rows = {
      {"source", "kind", "licence", "rows", "kept", "dropped", "samples", "tokens", "targets"}};
  for (const JsonValue& source : manifest.At("sources").items()) {
    const JsonValue& licence = source.At("licence");
    const uint64_t tokens = source.At("tokens").At("written").Whole();
    rows.push_back({EscapedHtml(source.At("name").Text()), EscapedHtml(source.At("kind").Text()),
                    licence.IsText() ? EscapedHtml(licence.Text()) : "not stated", Grouped(source.At("rows").Whole()),
                    Grouped(source.At("kept").Whole()), Grouped(Sum(source.At("dropped"))),
                    Grouped(source.At("samples").Whole()), Grouped(tokens),
                    Percent(ShareOf(source.At("targets").Whole(), tokens))});
  }
  page.Table(rows);
}

// Bars of samples by length, each twice as long as the one before.
void AddLengths(const JsonValue& lengths, HtmlPage& page) {
  if (lengths.size() == 0) return;
  uint64_t most = 1;
  for (const JsonValue& bin : lengths.items()) most = std::max(most, bin.At("samples").Whole());
  constexpr int kBar = 64, kStep = 72, kHigh = 90;
  const int width = kStep * static_cast<int>(lengths.size());
  std::string svg = "<svg width=\"" + std::to_string(width) + "\" height=\"" + std::to_string(kHigh + 44) +
                    "\" role=\"img\" aria-label=\"Samples by length\">\n";
  for (size_t i = 0; i < lengths.size(); ++i) {
    const JsonValue& bin = lengths.items()[i];
    const uint64_t count = bin.At("samples").Whole(), from = bin.At("from").Whole();
    const int high = std::max(1, static_cast<int>(ShareOf(count, most) * kHigh)), x = kStep * static_cast<int>(i);
    const auto number = [](int n) { return std::to_string(n); };
    svg += "<rect x=\"" + number(x) + "\" y=\"" + number(kHigh - high + 14) + "\" width=\"" + number(kBar) +
           "\" height=\"" + number(high) + "\"/>";
    svg += "<text x=\"" + number(x) + "\" y=\"" + number(kHigh - high + 10) + "\">" + Grouped(count) + "</text>";
    svg += "<text x=\"" + number(x) + "\" y=\"" + number(kHigh + 30) + "\">" + Grouped(from) + "\xE2\x80\x93" +
           Grouped(2 * from - 1) + "</text>\n";
  }
  page.SubHead("Samples by length in tokens");
  page.Add(svg + "</svg>\n");
}

void AddCounts(const std::string& title, const JsonValue& counts, HtmlPage& page) {
  if (counts.size() == 0) return;
  page.SubHead(title);
  std::vector<std::vector<std::string>> rows = {{"reason", "count", ""}};
  for (size_t i = 0; i < counts.size(); ++i) {
    rows.push_back({EscapedHtml(counts.names()[i]), Grouped(counts.items()[i].Whole()),
                    "<span class=\"note\">" + EscapedHtml(ReasonWords(counts.names()[i])) + "</span>"});
  }
  page.Table(rows);
}

void AddTokens(const JsonValue& tokens, HtmlPage& page) {
  page.SubHead("Tokens");
  std::vector<std::vector<std::string>> rows = {{"", "tokens"}, {"read", Grouped(tokens.At("read").Whole())}};
  const std::pair<const char*, const char*> parts[] = {{"added", "+ "}, {"dropped", "\xE2\x88\x92 "}};
  for (const auto& [name, sign] : parts) {
    const JsonValue& part = tokens.At(name);
    for (size_t i = 0; i < part.size(); ++i) {
      if (part.items()[i].Whole() == 0) continue;
      std::string words = part.names()[i];
      std::replace(words.begin(), words.end(), '_', ' ');
      rows.push_back({sign + words, Grouped(part.items()[i].Whole())});
    }
  }
  rows.push_back({"= written", Grouped(tokens.At("written").Whole())});
  page.Table(rows);
}

std::string SampleHtml(const PreviewSample& sample, const Tokenizer& tokenizer) {
  std::string html = "<pre>";
  ForEachRun(sample.ids, sample.targets, tokenizer, [&](const SampleRun& run) {
    const std::string text = EscapedHtml(run.bytes);
    const std::string kind = std::string(run.target ? "target" : "") + (run.control ? " control" : "");
    html += kind.empty() ? text : "<span class=\"" + kind + "\">" + text + "</span>";
  });
  return html + "</pre>\n";
}

}  // namespace

std::string PreparationReport(const JsonValue& manifest, const std::vector<PreviewSample>& samples,
                              const Tokenizer& tokenizer) {
  HtmlPage page(manifest.At("name").Text() + ": prepared data");
  AddSummary(manifest, page);
  AddSources(manifest, page);
  const std::vector<JsonValue>& sources = manifest.At("sources").items();
  for (size_t s = 0; s < sources.size(); ++s) {
    const JsonValue& source = sources[s];
    page.Head(source.At("name").Text());
    const double kept = ShareOf(source.At("kept").Whole(), source.At("conversations").Whole());
    char bar[128];
    std::snprintf(bar, sizeof bar,
                  "<div class=\"bar\"><i style=\"width:%.2f%%\"></i><i style=\"width:%.2f%%\"></i></div>\n", 100 * kept,
                  100 - 100 * kept);
    page.Add(bar);
    page.Add("<p class=\"note\">" + Percent(kept) + " of " + Grouped(source.At("conversations").Whole()) +
             " conversations kept. Kind " + EscapedHtml(source.At("kind").Text()) + " (" +
             EscapedHtml(source.At("kind_from").Text()) + "), loss " + EscapedHtml(source.At("loss").Text()) + ". " +
             Grouped(source.At("control_spellings").Whole()) + " spellings of control tokens stayed text.</p>\n");
    AddCounts("Dropped", source.At("dropped"), page);
    if (const JsonValue& examples = source.At("dropped_examples"); examples.size() > 0) {
      page.Add("<details><summary>Examples of what was dropped</summary>\n");
      std::vector<std::vector<std::string>> rows = {{"place", "reason", "why"}};
      for (const JsonValue& example : examples.items()) {
        rows.push_back({EscapedHtml(example.At("place").Text()), EscapedHtml(example.At("reason").Text()),
                        EscapedHtml(example.At("words").Text())});
      }
      page.Table(rows);
      page.Add("</details>\n");
    }
    AddCounts("Changed", source.At("changes"), page);
    AddTokens(source.At("tokens"), page);
    AddLengths(source.At("lengths"), page);
    bool any = false;
    for (const PreviewSample& sample : samples) {
      if (sample.origin.source != s) continue;
      if (!any) {
        page.SubHead("Samples");
        page.Add("<p class=\"note\">What is marked <span class=\"target\">like this</span> is learned.</p>\n");
      }
      any = true;
      page.Add(SampleHtml(sample, tokenizer));
    }
  }
  page.Head("Recipe");
  page.Add("<pre>" + EscapedHtml(manifest.At("recipe").Text()) + "</pre>\n");
  return page.Finish();
}

}  // namespace stablelm
