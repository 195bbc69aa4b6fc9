#include "cli/generating/generate_many.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/line_reader.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/stopwatch.h"
#include "base/system.h"
#include "cli/app/interrupt.h"
#include "cli/app/version.h"
#include "generate/batch/run_lines.h"
#include "generate/batch/run_record.h"
#include "ops/simd.h"

namespace stablelm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kAheadPerReply = 16;  // prompts read beyond the oldest unfinished one, for each parallel reply

// Returns `path`. Throws Error when it is not a regular file (a pipe cannot be read again).
const std::string& Rereadable(const std::string& path) {
  RequireRegularFile(path, "a file, which can be read again when the run is resumed");
  return path;
}

[[noreturn]] void FailEmpty(const std::string& input) {
  throw Error({.where = input == "-" ? "standard input" : input,
               .what = "there is nothing to generate",
               .found = "no line",
               .expected = "lines such as {\"prompt\": \"Once upon\"}"});
}

uint64_t CountPrompts(LineReader& file) {
  uint64_t count = 0;
  while (file.Next()) ++count;
  file.Rewind();
  return count;
}

// The files of a run: prompts, results, and the record of its settings.
class ManyFiles {
 public:
  ManyFiles(const ManyPrompts& files, const std::optional<uint64_t>& seed)
      : input_path_(files.input), output_path_(files.output), input_(Rereadable(files.input)), lines_(files.output) {
    prompts_ = CountPrompts(input_);
    if (prompts_ == 0) FailEmpty(files.input);
    begun_ = ReadRunRecord(output_path_);
    if (!begun_ && !lines_.empty()) {
      throw Error({.where = files.output,
                   .what = "is there already, and no run that could be gone on with",
                   .found = RunRecordPath(output_path_).string() + " is missing",
                   .hint = "name another --output, or remove it"});
    }
    if (lines_.finished() > prompts_) {
      throw Error({.where = files.output,
                   .what = "has more lines than there are prompts",
                   .found = std::to_string(lines_.finished()),
                   .expected = "at most " + std::to_string(prompts_),
                   .hint = "name another --output"});
    }
    now_.seed = seed ? *seed : RandomSeed();
    if (lines_.finished() == 0) {
      begun_.reset();  // no finished line yet, so the settings may change
    } else if (begun_ && !seed) {
      now_.seed = begun_->seed;
    }
    for (uint64_t i = 0; i < lines_.finished(); ++i) input_.Next();
  }

  // Describes this run, and refuses to resume a run with other settings.
  void Compare(const PromptTasks& tasks, const ModelOfCommand& model, const CommonOptions& common, Output& out) {
    now_.parameters = tasks.Parameters(common);
    if (!model.adapters().empty()) now_.parameters["lora"] = AdaptersJson(model.adapters(), false).Dump();
    now_.program = {{"version", VersionInfo().At("version").Text()}, {"simd", SimdTargetInUse()}};
    Progress progress("reading", BytesOfModelFiles(model.opened()) + fs::file_size(input_path_), Progress::Unit::kBytes,
                      out.show_progress());
    const auto count = [&](size_t bytes) { progress.Add(bytes); };
    now_.input = Sha256HexOfFile(input_path_, count);
    if (begun_) {  // check before hashing the model's files, which may be large
      now_.model = begun_->model;
      RequireSameRun(*begun_, now_, output_path_);
    }
    now_.model = HashModelFiles(model.opened(), count);
    progress.Finish();
    if (!begun_) return;
    RequireSameRun(*begun_, now_, output_path_);
    for (const auto& [name, value] : now_.program) {
      if (const auto old = begun_->program.find(name); old != begun_->program.end() && old->second != value) {
        out.Warning("the lines so far were computed with " + name + " " + old->second + ", the rest will be with " +
                    value + ": numbers, and now and then a token, may differ from those of one run");
      }
    }
  }

  // Writes the run record and opens the results: from here on, the run can be resumed.
  void Begin(Output& out) {
    if (lines_.finished() > 0) {
      out.Note("going on after " + std::to_string(lines_.finished()) + " of " + Counted(prompts_, "prompt"));
    }
    if (!begun_) WriteRunRecord(output_path_, now_);
    lines_.Begin();
  }

  LineReader& input() { return input_; }
  RunLines& lines() { return lines_; }
  uint64_t prompts() const { return prompts_; }
  uint64_t seed() const { return now_.seed; }

 private:
  fs::path input_path_, output_path_;
  LineReader input_;
  RunLines lines_;
  uint64_t prompts_ = 0;
  std::optional<RunRecord> begun_;
  RunRecord now_;
};

// Statistics of a run.
struct RunFacts {
  uint64_t already = 0;  // prompts finished by earlier runs
  uint64_t generated = 0;
  double generate_s = 0;
  bool whole = true;  // not interrupted
};

// Runs the prompts that `input` has left. `index` counts them.
bool RunInput(LineReader& input, PromptTasks& tasks, Engine& engine, int64_t parallel, uint64_t index,
              const std::function<void(std::string_view line)>& write, const std::function<void()>& on_token) {
  PromptRunHooks hooks;
  hooks.next = [&]() -> std::optional<std::variant<PromptTask, std::string>> {
    const std::optional<FileLine> line = input.Next();
    if (!line) return std::nullopt;
    const std::string place = "line " + std::to_string(line->number);
    if (!line->too_long) return tasks.Of(line->text, index++, place);
    return PromptTasks::ErrorLine(index++, place, "longer than " + HumanBytes(LineReader::kMostLineBytes));
  };
  hooks.write = write;
  hooks.on_token = on_token;
  hooks.cancel = &InterruptFlag();
  return RunPrompts(engine, {.parallel = parallel, .most_ahead = kAheadPerReply * parallel}, hooks);
}

bool GenerateRest(ManyFiles& many, PromptTasks& tasks, Engine& engine, int64_t parallel, RunFacts& facts, Output& out) {
  const Stopwatch watch(facts.generate_s);
  Progress progress("prompts", many.prompts(), Progress::Unit::kItems, out.show_progress(),
                    {.already = facts.already, .also = "tokens"});
  const bool whole = RunInput(
      many.input(), tasks, engine, parallel, facts.already,
      [&](std::string_view line) {
        many.lines().Append(line);
        progress.Add(1);
      },
      [&] {
        ++facts.generated;
        progress.AddAlso(1);
      });
  many.lines().Sync();
  return whole;
}

void Report(const ManyPrompts& files, ManyFiles& many, const RunFacts& facts, const ModelOfCommand& model,
            Output& out) {
  const uint64_t finished = many.lines().finished(), failed = many.lines().failed();
  if (out.json()) {
    out.Json({{"output", files.output},
              {"prompts", many.prompts()},
              {"finished", finished},
              {"failed", failed},
              {"already", facts.already},
              {"generated", facts.generated},
              {"seed", many.seed()},
              {"seconds", {{"load", model.load_seconds()}, {"generate", facts.generate_s}}},
              {"peak_bytes", ReadMemoryUse().peak_resident}});
  }
  const std::string of_all = std::to_string(finished) + " of " + Counted(many.prompts(), "prompt");
  if (!out.json()) {
    std::string note = of_all + " are done";
    if (facts.generated > 0) {
      note += "; " + Counted(facts.generated, "token") + " at " +
              Rounded(static_cast<double>(facts.generated) / facts.generate_s, 1) + " tokens/s; seed " +
              std::to_string(many.seed());
    }
    out.Note(note);
  }
  if (failed > 0) {
    out.Warning(Counted(failed, "prompt failed; its line", "prompts failed; their lines") + " in " + files.output +
                (failed == 1 ? " says why" : " say why"));
  }
  if (!facts.whole) {
    out.Warning("interrupted: " + of_all + " are in " + files.output + "; the same command goes on with the rest");
  }
}

// Whether the lines come from or go to a stream, which has no place where an interrupted run could resume.
bool IsStream(const ManyPrompts& files) {
  if (files.output.empty() || files.output == "-" || files.input == "-") return true;
  std::error_code error;
  const fs::file_status status = fs::status(files.input, error);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

int GenerateStream(const ManyPrompts& files, ManyRun& run, ModelOfCommand& model, const ModelDefaults& defaults,
                   const CommonOptions& common, Output& out) {
  PromptTasks tasks(run.tasks, model.config(), model.tokenizer(), defaults);
  const uint64_t seed = run.seed ? *run.seed : RandomSeed();
  tasks.SetSeed(seed);
  LineReader input(files.input);
  std::optional<RunLines> file;
  if (!files.output.empty() && files.output != "-") {
    file.emplace(files.output);
    if (!file->empty()) {
      throw Error({.where = files.output,
                   .what = "file exists",
                   .hint = "name another --output; a run whose prompts come from a pipe cannot be resumed"});
    }
  }
  constexpr int64_t kUnknown = int64_t{1} << 32;
  const EngineSettings settings = EngineSettingsFor(run.engine, common, model, model.config().max_positions, kUnknown,
                                                    run.tasks.details.prompt_logprobs);
  model.Load(ShapeOfEngine(settings, common.threads), run.check_weights);
  if (files.input == "-" && isatty(STDIN_FILENO) == 1) out.Note("reading lines of JSON; end with Ctrl-D");
  const InterruptGuard guard;
  RunFacts facts;
  uint64_t written = 0, failed = 0;
  {
    const Stopwatch watch(facts.generate_s);
    Engine engine(model.model(), settings, model.pool());
    facts.whole = RunInput(
        input, tasks, engine, settings.max_running, 0,
        [&](std::string_view line) {
          if (file && written == 0) file->Begin();
          failed += line.starts_with(RunLineHead(written++) + "\"error\"") ? 1 : 0;
          file ? file->Append(line) : out.Line(line);
        },
        [&] { ++facts.generated; });
  }
  if (written == 0 && facts.whole) FailEmpty(files.input);
  if (file && written > 0) file->Sync();
  std::string note = Counted(written, "prompt");
  if (facts.generated > 0) {
    note += ", " + Counted(facts.generated, "token") + " at " +
            Rounded(static_cast<double>(facts.generated) / facts.generate_s, 1) + " tokens/s";
  }
  out.Note(note + "; seed " + std::to_string(seed));
  if (failed > 0)
    out.Warning(Counted(failed, "prompt failed; its line says why", "prompts failed; their lines say why"));
  if (!facts.whole) return kExitInterrupted;
  return failed > 0 ? kExitFailed : kExitOk;
}

}  // namespace

void AddManyPrompts(CLI::App& app, ManyPrompts& files) {
  AddText(app, "--input", "FILE", files.input,
          "Many prompts: a line of JSON for each, with \"prompt\", \"ids\" or \"messages\", and settings by name that "
          "override the options (- is standard input)");
  AddText(
      app, "--output", "FILE", files.output,
      "With --input: a line of JSON for each prompt, in the same order (default, and with -: standard output). With "
      "files on both sides, the same command resumes after an interruption, by FILE.run.json");
}

void RequireOtherOutput(const ManyPrompts& files) {
  std::error_code error;
  if (files.output.empty() || !fs::equivalent(files.input, files.output, error) || !fs::is_regular_file(files.input)) {
    return;
  }
  throw UsageError({.where = "--output",
                    .what = "is the file of --input, which is only read",
                    .found = Quoted(files.output),
                    .expected = "another file",
                    .hint = "name another --output, or leave it out for standard output"});
}

int GenerateMany(const ManyPrompts& files, ManyRun run, ModelOfCommand& model, const ModelDefaults& defaults,
                 const CommonOptions& common, Output& out) {
  if (IsStream(files)) return GenerateStream(files, run, model, defaults, common, out);
  PromptTasks tasks(run.tasks, model.config(), model.tokenizer(), defaults);
  ManyFiles many(files, run.seed);
  tasks.SetSeed(many.seed());
  many.Compare(tasks, model, common, out);
  RunFacts facts = {.already = many.lines().finished()};
  if (facts.already < many.prompts()) {
    const int64_t rest = static_cast<int64_t>(std::min(many.prompts() - facts.already, uint64_t{1} << 32));
    const EngineSettings settings = EngineSettingsFor(run.engine, common, model, model.config().max_positions,
                                                      rest * run.tasks.samples, run.tasks.details.prompt_logprobs);
    model.Load(ShapeOfEngine(settings, common.threads), run.check_weights);
    many.Begin(out);
    const InterruptGuard guard;
    Engine engine(model.model(), settings, model.pool());
    facts.whole = GenerateRest(many, tasks, engine, settings.max_running, facts, out);
  }
  Report(files, many, facts, model, out);
  if (!facts.whole) return kExitInterrupted;
  return many.lines().failed() > 0 ? kExitFailed : kExitOk;
}

}  // namespace stablelm
