// stablelm report: the report of a training run.
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "train/run_report.h"

namespace stablelm {
namespace {

class ReportCommand : public Command {
 public:
  std::string Name() const override { return "report"; }
  std::string Summary() const override { return "Write the report of a training run"; }
  std::string Examples() const override {
    return "  stablelm report runs/tiny\n"
           "  stablelm report runs/tiny --json\n"
           "\n"
           "Writes RUN/report.html from RUN/log.jsonl, also while the run goes on: one file for a browser, with the\n"
           "curves of loss, rate, gradient norm and speed, validation by source, the answers to the sample prompts "
           "over\n"
           "time, the data and every setting. `stablelm finetune` writes it at the end of a run.";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "RUN", "RUN", run_, "The folder of a run of `stablelm finetune`");
  }

  int Run(Output& out) override {
    RequireGiven(!run_.empty(), "RUN", "stablelm finetune makes one");
    const std::string report = WriteRunReport(run_).string();
    out.json() ? out.Json({{"report", report}}) : out.Text(report + "\n");
    return kExitOk;
  }

 private:
  std::string run_;
};

}  // namespace

std::unique_ptr<Command> MakeReport() { return std::make_unique<ReportCommand>(); }

}  // namespace stablelm
