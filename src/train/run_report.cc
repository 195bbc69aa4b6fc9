#include "train/run_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/html_page.h"
#include "base/line_chart.h"
#include "base/number_text.h"
#include "base/system.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStyle = R"(
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.facts div { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }
.facts b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
.facts span { font-size: .85rem; opacity: .75; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .2rem 1.6rem; }
.round { display: grid; grid-template-columns: 6rem minmax(0, 1fr); gap: 0 .8rem; margin: .4rem 0; }
.round > span { text-align: right; opacity: .75; padding-top: .5rem; font-size: .85rem; }
.round pre { margin: 0; padding: .5rem .8rem; } .end { opacity: .6; font: italic 13px system-ui, sans-serif; }
blockquote { margin: 1.6rem 0 .5rem; padding-left: .8rem; border-left: 3px solid var(--good); font-weight: 600;
             white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin-top: .8rem; } .settings td { text-align: left; overflow-wrap: anywhere; }
.settings th { text-align: left; } .settings td:is(:first-child, :last-child) { white-space: nowrap; } .settings tr:has(.set) { font-weight: 600; }
@media (max-width: 36rem) { .round { grid-template-columns: 1fr; } .round > span { text-align: left; }
  th, td { padding: .25rem .35rem; font-size: .85rem; } }
)";

std::string Loss(double value) { return std::isfinite(value) ? Rounded(value, 4) : "not finite"; }

void AddFact(const std::string& value, const std::string& what, HtmlPage& page) {
  page.Add("<div><b>" + value + "</b><span>" + EscapedHtml(what) + "</span></div>\n");
}

void AddTrainingLoss(const LoggedRun& run, HtmlPage& page) {
  const auto applied = static_cast<uint64_t>(std::ranges::count(run.steps, false, &StepLog::skipped));
  if (applied == 0) return;
  AddFact(Loss(run.steps.back().smoothed_loss),
          "training loss, mean of the last " + Counted(std::min<uint64_t>(applied, kRecentSteps), "step"), page);
}

const LoggedValidation& Best(const LoggedRun& run) {
  return *std::ranges::min_element(run.validations, {},
                                   [](const LoggedValidation& v) { return std::isfinite(v.loss) ? v.loss : INFINITY; });
}

void AddFacts(const LoggedRun& run, HtmlPage& page) {
  const StepLog& last = run.steps.back();
  int64_t tokens = 0, skipped = 0;
  double seconds = 0;
  uint64_t memory = 0;
  for (const StepLog& step : run.steps) {
    tokens += step.tokens;
    skipped += step.skipped ? 1 : 0;
    seconds += step.seconds;
    memory = std::max(memory, step.memory_bytes);
  }
  const uint64_t all = run.start.parameters, trained = run.start.trained;
  if (all > 0) {
    page.Add("<p class=\"note\">" +
             (run.start.model == "init" ? "From random weights" : "From " + EscapedHtml(run.start.model)) + ": " +
             Grouped(all) + " parameters, " + (all == trained ? "all" : Grouped(trained)) + " trained. Data " +
             EscapedHtml(run.start.data) + ".</p>\n");
  }
  if (last.step < last.steps) {
    page.Add("<p class=\"warn\">Not finished: " + Grouped(last.step) + " of " + Grouped(last.steps) + " steps.</p>\n");
  }
  page.Add("<div class=\"facts\">\n");
  AddTrainingLoss(run, page);
  if (!run.validations.empty()) {
    const LoggedValidation& best = Best(run);
    AddFact(Loss(run.validations.back().loss), "validation loss, " + Loss(run.validations.front().loss) + " before",
            page);
    if (&best != &run.validations.back()) {
      AddFact(Loss(best.loss), "lowest validation loss, at step " + Grouped(best.step), page);
    }
  }
  if (!run.samples.empty()) {
    AddFact(PercentText(run.samples.back().stop_rate, 0), "of the sample answers end by themselves", page);
    AddFact(PercentText(run.samples.back().self_dialogue_rate, 0), "of them talk to themselves", page);
  }
  AddFact(Grouped(last.step), "steps, " + Rounded(last.epoch, last.epoch < 10 ? 2 : 1) + " epochs", page);
  AddFact(Grouped(tokens), "tokens", page);
  if (skipped > 0) AddFact(Grouped(skipped), "steps skipped", page);
  if (seconds > 0) AddFact(Grouped(std::llround(static_cast<double>(tokens) / seconds)), "tokens per second", page);
  AddFact(DurationText(seconds + run.other_seconds), "of steps, validation and answers", page);
  if (memory > 0) AddFact(HumanBytes(memory), "of memory at most", page);
  page.Add("</div>\n");
}

ChartSeries Series(const LoggedRun& run, std::string name, std::string style, double StepLog::*member) {
  ChartSeries series = {.name = std::move(name), .style = std::move(style), .points = {}};
  for (const StepLog& step : run.steps) series.points.emplace_back(static_cast<double>(step.step), step.*member);
  return series;
}

std::vector<ChartMark> Marks(const LoggedRun& run) {
  std::vector<ChartMark> marks;
  for (const LoggedGuard& guard : run.guards) {
    marks.push_back({static_cast<double>(guard.step), "step " + Grouped(guard.step) + ": " + guard.found});
  }
  return marks;
}

// The value that `share` of the finite ones do not exceed: some steps far above the others would press a curve flat.
std::optional<double> ValueAt(const LoggedRun& run, double StepLog::*member, double share) {
  std::vector<double> values;
  for (const StepLog& step : run.steps) {
    if (std::isfinite(step.*member)) values.push_back(step.*member);
  }
  if (values.empty()) return std::nullopt;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::optional<double> LossLimit(const LoggedRun& run) {
  std::optional<double> limit = ValueAt(run, &StepLog::loss, 0.99);
  for (const LoggedValidation& validation : run.validations) {
    if (limit && std::isfinite(validation.loss)) limit = std::max(*limit, validation.loss);
  }
  if (const auto smoothed = ValueAt(run, &StepLog::smoothed_loss, 1)) limit = std::max(limit.value_or(0), *smoothed);
  return limit;
}

void AddLoss(const LoggedRun& run, HtmlPage& page) {
  page.Head("Loss");
  LineChart chart = {.label = "Loss by step",
                     .width = 920,
                     .height = 340,
                     .x_most = static_cast<double>(run.steps.back().step),
                     .y_most = LossLimit(run),
                     .series = {},
                     .marks = Marks(run)};
  chart.series.push_back(Series(run, "training, each step", "raw", &StepLog::loss));
  chart.series.push_back(Series(run, "training, smoothed", "c0", &StepLog::smoothed_loss));
  if (!run.validations.empty()) {
    ChartSeries all = {.name = "validation", .style = "c1", .dots = true, .points = {}};
    for (const LoggedValidation& v : run.validations) all.points.emplace_back(static_cast<double>(v.step), v.loss);
    chart.series.push_back(std::move(all));
  }
  page.Add(SvgOf(chart));
}

void AddValidation(const LoggedRun& run, HtmlPage& page) {
  if (run.validations.empty()) return;
  std::map<std::string, std::vector<std::pair<double, double>>> sources;
  for (const LoggedValidation& v : run.validations) {
    for (const auto& [source, loss] : v.sources) sources[source].emplace_back(static_cast<double>(v.step), loss);
  }
  page.Head("Validation by source");
  LineChart chart = {.label = "Validation loss by source and step",
                     .width = 920,
                     .height = 260,
                     .x_most = static_cast<double>(run.steps.back().step),
                     .series = {},
                     .marks = {}};
  std::vector<std::vector<std::string>> rows = {{"source", "before", "lowest", "at step", "at the end", "change"}};
  const auto add_row = [&](const std::string& name, const std::vector<std::pair<double, double>>& points) {
    const auto best = *std::ranges::min_element(
        points, {}, [](const auto& point) { return std::isfinite(point.second) ? point.second : INFINITY; });
    const double change = points.back().second - points.front().second;
    rows.push_back({name, Loss(points.front().second), Loss(best.second), Grouped(std::llround(best.first)),
                    Loss(points.back().second), (change > 0 ? "+" : "") + Loss(change)});
  };
  size_t number = 0;
  for (const auto& [source, points] : sources) {
    if (number < 8) {  // more colours nobody can tell apart
      chart.series.push_back({.name = source, .style = "c" + std::to_string(number), .dots = true, .points = points});
    }
    ++number;
    add_row(EscapedHtml(source), points);
  }
  std::vector<std::pair<double, double>> all;
  for (const LoggedValidation& v : run.validations) all.emplace_back(static_cast<double>(v.step), v.loss);
  if (sources.size() > 1) add_row("<b>all, by tokens</b>", all);
  if (run.validations.size() > 1) page.Add(SvgOf(chart));
  page.Add("<div class=\"wide\">\n");
  page.Table(rows);
  page.Add("</div>\n");
}

void AddCharts(const LoggedRun& run, HtmlPage& page) {
  page.Head("Steps");
  page.Add("<div class=\"charts\">\n");
  const auto add = [&](const std::string& title, std::vector<ChartSeries> series, std::optional<double> most = {}) {
    page.Add("<div>");
    page.SubHead(title);
    page.Add(SvgOf({.label = title + " by step",
                    .width = 440,
                    .height = 190,
                    .x_most = static_cast<double>(run.steps.back().step),
                    .y_most = most,
                    .from_zero = true,
                    .series = std::move(series),
                    .marks = Marks(run)}));
    page.Add("</div>\n");
  };
  add("Learning rate", {Series(run, "", "c0", &StepLog::rate)});
  add("Gradient norm", {Series(run, "", "c0", &StepLog::gradient_norm)}, ValueAt(run, &StepLog::gradient_norm, 0.995));
  ChartSeries speed = {.style = "c0", .points = {}};
  for (const StepLog& step : run.steps) {
    speed.points.emplace_back(static_cast<double>(step.step), step.TokensPerSecond());
  }
  add("Tokens per second", {std::move(speed)});
  const auto scaled = [](const StepLog& step) { return step.loss_scale != 1; };
  if (std::ranges::any_of(run.steps, scaled)) add("Loss scale", {Series(run, "", "c0", &StepLog::loss_scale)});
  if (run.samples.size() > 1) {
    ChartSeries stops = {.name = "end by themselves", .style = "c0", .dots = true, .points = {}};
    ChartSeries selves = {.name = "talk to themselves", .style = "c2", .dots = true, .points = {}};
    for (const LoggedSamples& round : run.samples) {
      stops.points.emplace_back(static_cast<double>(round.step), 100 * round.stop_rate);
      selves.points.emplace_back(static_cast<double>(round.step), 100 * round.self_dialogue_rate);
    }
    add("Sample answers, %", {std::move(stops), std::move(selves)});
  }
  page.Add("</div>\n");
}

void AddGuard(const LoggedRun& run, HtmlPage& page) {
  if (run.guards.empty()) return;
  page.Head("Guard");
  std::vector<std::vector<std::string>> rows = {{"step", "found", "what was done", ""}};
  constexpr size_t kMost = 50;
  for (size_t i = 0; i < std::min(kMost, run.guards.size()); ++i) {
    const LoggedGuard& guard = run.guards[i];
    const std::string words = guard.found == "spike"
                                  ? "loss " + Loss(guard.loss) + ", " + Rounded(guard.z, 1) + " deviations above " +
                                        Loss(guard.mean) +
                                        (guard.rate_factor < 1 ? "; rate x " + NumberText(guard.rate_factor) : "")
                                  : guard.place;
    rows.push_back({Grouped(guard.step), EscapedHtml(guard.found), EscapedHtml(guard.action),
                    "<span class=\"note\">" + EscapedHtml(words) + "</span>"});
  }
  page.Table(rows);
  if (run.guards.size() > kMost) {
    page.Add("<p class=\"note\">and " + Grouped(run.guards.size() - kMost) + " more, in log.jsonl.</p>\n");
  }
}

void AddRound(const LoggedSamples& round, size_t prompt, HtmlPage& page) {
  const LoggedAnswer& answer = round.answers[prompt];
  std::string end = answer.end == "stop" ? "" : " <span class=\"end\">cut off: " + EscapedHtml(answer.end) + "</span>";
  if (answer.self_dialogue) end += " <span class=\"end warn\">talks to itself</span>";
  page.Add("<div class=\"round\"><span>step " + Grouped(round.step) + "</span><pre>" + EscapedHtml(answer.answer) +
           end + "</pre></div>\n");
}

// The first and the last answer to each prompt, those between behind a click.
void AddSamples(const LoggedRun& run, HtmlPage& page) {
  if (run.samples.empty()) return;
  page.Head("Answers");
  const LoggedSamples& last = run.samples.back();
  for (size_t prompt = 0; prompt < last.answers.size(); ++prompt) {
    page.Add("<blockquote>" + EscapedHtml(last.answers[prompt].prompt) + "</blockquote>\n");
    std::vector<const LoggedSamples*> rounds;
    for (const LoggedSamples& round : run.samples) {  // prompts may have changed when a run was resumed
      const bool same = prompt < round.answers.size() && round.answers[prompt].prompt == last.answers[prompt].prompt;
      if (same) rounds.push_back(&round);
    }
    AddRound(*rounds.front(), prompt, page);
    constexpr size_t kBetween = 20;
    if (rounds.size() > 2) {
      const size_t between = rounds.size() - 2, shown = std::min(between, kBetween);
      page.Add("<details><summary>" + Grouped(shown) +
               (shown < between ? " of " + Grouped(between) + " answers" : " more") + " between</summary>\n");
      for (size_t i = 0; i < shown; ++i) AddRound(*rounds[1 + i * between / shown], prompt, page);
      page.Add("</details>\n");
    }
    if (rounds.size() > 1) AddRound(*rounds.back(), prompt, page);
  }
}

void AddData(const LoggedStart& start, HtmlPage& page) {
  if (start.sources.empty()) return;
  page.Head("Data");
  std::vector<std::vector<std::string>> rows = {{"split", "conversations", "packs", "tokens", "targets"}};
  for (const LoggedStart::Split& split : start.splits) {
    rows.push_back({EscapedHtml(split.name), Grouped(split.conversations), Grouped(split.packs), Grouped(split.tokens),
                    Grouped(split.targets) + " (" + PercentText(ShareOf(split.targets, split.tokens), 1) + ")"});
  }
  page.Add("<div class=\"wide\">\n");
  page.Table(rows);
  rows = {{"source", "kind", "licence", "rows", "kept", "samples", "tokens", "targets"}};
  for (const LoggedStart::Source& source : start.sources) {
    rows.push_back({EscapedHtml(source.name), EscapedHtml(source.kind),
                    source.licence.empty() ? "not stated" : EscapedHtml(source.licence), Grouped(source.rows),
                    Grouped(source.kept), Grouped(source.samples), Grouped(source.tokens),
                    PercentText(ShareOf(source.targets, source.tokens), 1)});
  }
  page.Add("<br>\n");
  page.Table(rows);
  page.Add("</div>\n");
}

void AddSettings(const LoggedStart& start, HtmlPage& page) {
  if (start.settings.empty()) return;
  page.Head("Settings");
  std::vector<std::vector<std::string>> rows = {{"key", "value", "from"}};
  for (const LoggedStart::Setting& setting : start.settings) {
    const std::string origin = EscapedHtml(setting.origin);
    rows.push_back({EscapedHtml(setting.key), EscapedHtml(setting.value),
                    setting.origin == "default" ? origin : "<span class=\"set\">" + origin + "</span>"});
  }
  page.Add("<div class=\"settings\">\n");
  page.Table(rows);
  page.Add("</div>\n");
}

}  // namespace

std::string RunReport(const LoggedRun& run) {
  const std::string name = run.start.name.empty() ? "training run" : run.start.name + ": training run";
  HtmlPage page(name, std::string(ChartStyle()) + std::string(kStyle));
  if (run.steps.empty()) {
    page.Add("<p class=\"warn\">No step was made yet.</p>\n");
  } else {
    AddFacts(run, page);
    AddLoss(run, page);
    AddValidation(run, page);
    AddCharts(run, page);
  }
  AddGuard(run, page);
  AddSamples(run, page);
  AddData(run.start, page);
  AddSettings(run.start, page);
  return page.Finish();
}

fs::path WriteRunReport(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run / kLogFile, error)) {
    throw Error(
        {.where = run.string(),
         .what = fs::is_directory(run, error) ? "the folder is not that of a training run" : "there is no such folder",
         .found = "no " + std::string(kLogFile),
         .expected = "a folder that `stablelm finetune` made",
         .hint = "name the one that its -o named"});
  }
  const fs::path report = run / kRunReportFile;
  WriteTextFileAtomically(report, RunReport(ReadRunLog(run / kLogFile)));
  return report;
}

}  // namespace stablelm
