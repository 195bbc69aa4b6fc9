// stablelm prepare: data sets to masked, packed tokens.
#include <filesystem>

#include "base/error.h"
#include "base/json_value.h"
#include "base/number_text.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/options.h"
#include "cli/data/account_text.h"
#include "cli/data/prepare_input.h"
#include "cli/data/sample_text.h"
#include "dataset/manifest.h"
#include "dataset/run_record.h"

namespace stablelm {
namespace {

class Prepare : public Command {
 public:
  std::string Name() const override { return "prepare"; }
  std::string Summary() const override { return "Turn data sets into tokens to train on"; }
  std::string Examples() const override {
    return "  stablelm prepare my-chats.jsonl -m models/stablelm-3b -o my-chats\n"
           "  stablelm prepare recipes/data/stablelm-tuned-alpha.yaml -m models/stablelm-3b -o tuned --limit "
           "1000\n"
           "  stablelm prepare my-chats.jsonl -m models/stablelm-3b --dry-run --preview 3\n"
           "  stablelm prepare --guess table.csv > table.yaml\n"
           "\n"
           "Reads the files of a recipe (JSON, JSON lines, CSV, text, Parquet; plain, .gz or .zst), cleans the\n"
           "conversations, encodes them in the model's template, marks which tokens are to be learned, packs them "
           "into\n"
           "sequences, and writes a folder that training reads. Every row that is dropped or changed is counted, by\n"
           "reason and source. The same files, recipe and tokenizer give the same bytes. docs/data.md tells more.";
  }
  unsigned Takes() const override { return kTakesModel | kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "RECIPE", "RECIPE|FILE", what_,
            "A recipe (.yaml), or a data file, which is prepared with every default");
    AddText(app, "-o,--out", "OUT", out_folder_, "The folder to make; it must not exist, or be empty");
    AddValues(app, "--set", "KEY=VALUE", "Change a setting of the recipe: sources.alpaca.limit=100",
              [this](const std::string& text) { sets_.push_back(text); });
    AddNumber(app, "--limit", limit_, Limits<uint64_t>{1}, "Rows of each source at most");
    AddFlag(app, "--dry-run", dry_run_, "Print every setting and the whole account, write nothing");
    AddFlag(app, "--resume", resume_, "Continue an interrupted run, if there is one");
    AddNumber(app, "--preview", preview_, Limits<uint64_t>{1, 1000},
              "Show the first N samples, with the targets marked");
    AddText(app, "--guess", "FILE", guess_, "Print a recipe to start from for a data file, and do nothing else");
  }
  bool ModelIsNamed() const override { return true; }  // a recipe may name the tokenizer

  int Run(Output& out) override {
    if (guess_) {
      out.Text(RecipeToStartFrom(*guess_));
      return kExitOk;
    }
    RequireGiven(!what_.empty(), "RECIPE|FILE", "stablelm prepare FILE -m MODEL -o OUT");
    if (what_ == "-") {
      throw UsageError({.where = "RECIPE|FILE",
                        .what = "data is not read from standard input, because it is read more than once",
                        .found = Quoted(what_),
                        .expected = "the name of a file",
                        .hint = "write it to a file first"});
    }
    while (out_folder_.size() > 1 && out_folder_.ends_with('/')) out_folder_.pop_back();
    if (!dry_run_) RequireGiven(!out_folder_.empty(), "-o OUT", "or --dry-run, which writes nothing");
    PrepareInput input = ReadPrepareInput(what_, common.model, sets_, out);
    if (dry_run_ && !out.json()) PrintSettings(input, out);
    PrepareSetup& setup = input.setup;
    setup.threads = common.threads;
    setup.limit = limit_;
    setup.dry_run = dry_run_;
    setup.preview = preview_;
    setup.log.resume = resume_;
    setup.show_progress = out.show_progress();
    const PreparedData data = [&] {
      std::optional<InterruptNote> note;
      if (!dry_run_ && !common.quiet) {
        note.emplace("interrupted: the same command with --resume continues from what was saved");
      }
      return PrepareData(setup, out_folder_);
    }();
    for (const std::string& sentence : data.left_out) out.Warning(sentence);
    if (data.unchanged) {
      if (out.json()) out.Json({{"out", out_folder_}, {"unchanged", true}});
      out.Note(out_folder_ + " holds these data already, prepared from the same files by the same recipe");
      return kExitOk;
    }
    if (data.resumed_rows > 0) {
      out.Note("resumed: " + Grouped(data.resumed_rows) + " rows were taken from the interrupted run");
    }
    JsonValue account = AccountJson(data);
    if (out.json()) {
      account["out"] = dry_run_ ? JsonValue(nullptr) : JsonValue(out_folder_);
      account["unchanged"] = false;
      account["step_seconds"] = StepsJson(data);
      account["temporary_bytes"] = data.temporary_bytes;
      account["resumed_rows"] = data.resumed_rows;
      if (preview_ > 0) account["preview"] = PreviewJson(data, setup.tokenizer);
      out.Json(account);
      return kExitOk;
    }
    for (const PreviewSample& sample : data.preview) {
      const SourceAccount& source = data.sources[sample.origin.source];
      out.Text(source.name + ", " + source.files[sample.origin.file].name + ", row " +
               std::to_string(sample.origin.row) + ":\n");
      out.Styled(SampleText(sample.ids, sample.targets, setup.tokenizer, out.color()) + "\n\n");
    }
    out.Text(AccountText(account));
    out.Note(StepsText(data));
    if (!dry_run_)
      out.Note("wrote " + out_folder_ + "; `stablelm data show " + ShellWord(out_folder_) + "` shows what is in it");
    return kExitOk;
  }

 private:
  // The share of each step in the time of all threads, and what did not fit the memory.
  static std::string StepsText(const PreparedData& data) {
    double all = 0;
    for (const double seconds : data.step_seconds) all += seconds;
    std::string text = "time:";
    for (size_t i = 0; i < kPrepareSteps.size(); ++i) {
      text += std::string(i == 0 ? " " : ", ") + kPrepareSteps[i] + " " +
              PercentText(all > 0 ? data.step_seconds[i] / all : 0, 0);
    }
    if (data.temporary_bytes > 0) text += "; temporary files of keys: " + HumanBytes(data.temporary_bytes);
    return text;
  }
  static JsonValue PreviewJson(const PreparedData& data, const Tokenizer& tokenizer) {
    JsonValue samples = JsonValue::Array();
    for (const PreviewSample& sample : data.preview) {
      const SourceAccount& source = data.sources[sample.origin.source];
      JsonValue targets = JsonValue::Array();
      for (const uint8_t target : sample.targets) targets.push_back(static_cast<int>(target));
      samples.push_back({{"source", source.name},
                         {"file", source.files[sample.origin.file].name},
                         {"row", sample.origin.row},
                         {"piece", sample.origin.piece},
                         {"text", tokenizer.DecodeBytes(sample.ids)},
                         {"ids", sample.ids},
                         {"targets", targets}});
    }
    return samples;
  }
  static void PrintSettings(const PrepareInput& input, Output& out) {
    out.Text("settings in force (# where they are not the recipe's own):\n" + input.settings.Yaml(true) + "\n");
    out.Text("tokenizer " + input.setup.tokenizer_from + ", template " + NameOf(input.setup.prompt_template) + "\n\n");
  }

  std::string what_, out_folder_;
  std::vector<std::string> sets_;
  std::optional<uint64_t> limit_;
  bool dry_run_ = false, resume_ = false;
  uint64_t preview_ = 0;
  std::optional<std::string> guess_;
};

}  // namespace

std::unique_ptr<Command> MakePrepare() { return std::make_unique<Prepare>(); }

}  // namespace stablelm
