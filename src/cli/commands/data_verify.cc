// stablelm data verify: checks prepared data.
#include "base/progress.h"
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "dataset/manifest.h"
#include "dataset/verify.h"

namespace stablelm {
namespace {

class DataVerify : public Command {
 public:
  std::string Name() const override { return "data verify"; }
  std::string Summary() const override { return "Check that prepared data is whole and as it was written"; }
  std::string Examples() const override {
    return "  stablelm data verify my-chats\n"
           "\n"
           "Compares the files with the hashes of the manifest, and checks every id and target.";
  }
  unsigned Takes() const override { return 0; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "FOLDER", "FOLDER", folder_, "A folder that `stablelm prepare` made");
  }

  int Run(Output& out) override {
    RequireGiven(!folder_.empty(), "FOLDER", "stablelm prepare makes one");
    uint64_t bytes = 0;
    for (const ShardFile& file : ReadManifest(folder_).shards) bytes += file.bytes;
    Progress progress("verifying", bytes, Progress::Unit::kBytes, out.show_progress());
    const VerifiedData data = VerifyPreparedData(folder_, [&](size_t chunk) { progress.Add(chunk); });
    progress.Finish();
    if (out.json()) {
      out.Json({{"files", data.files},
                {"bytes", data.bytes},
                {"packs", data.packs},
                {"documents", data.documents},
                {"tokens", data.tokens},
                {"targets", data.targets}});
    } else {
      out.Text("whole: " + std::to_string(data.files) + " files, " + std::to_string(data.packs) + " packs, " +
               std::to_string(data.documents) + " samples, " + std::to_string(data.tokens) + " tokens, " +
               std::to_string(data.targets) + " of them targets\n");
    }
    return kExitOk;
  }

 private:
  std::string folder_;
};

}  // namespace

std::unique_ptr<Command> MakeDataVerify() { return std::make_unique<DataVerify>(); }

}  // namespace stablelm
