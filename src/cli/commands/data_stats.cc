// stablelm data stats: the account of prepared data.
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "cli/data/account_text.h"
#include "dataset/manifest.h"

namespace stablelm {
namespace {

class DataStats : public Command {
 public:
  std::string Name() const override { return "data stats"; }
  std::string Summary() const override { return "Print what went into prepared data, and what did not"; }
  std::string Examples() const override {
    return "  stablelm data stats my-chats\n"
           "  stablelm data stats my-chats --json\n"
           "\n"
           "Rows, what was kept, dropped and changed for which reason, tokens and targets, by source; the splits.";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "FOLDER", "FOLDER", folder_, "A folder that `stablelm prepare` made");
  }

  int Run(Output& out) override {
    RequireGiven(!folder_.empty(), "FOLDER", "stablelm prepare makes one");
    const Manifest manifest = ReadManifest(folder_);
    if (out.json()) {
      out.Json(manifest.json);
    } else {
      out.Text(AccountText(manifest.json));
    }
    return kExitOk;
  }

 private:
  std::string folder_;
};

}  // namespace

std::unique_ptr<Command> MakeDataStats() { return std::make_unique<DataStats>(); }

}  // namespace stablelm
