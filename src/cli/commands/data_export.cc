// stablelm data export: prepared data back to conversations.
#include "base/error.h"
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "cli/data/prepared_folder.h"
#include "dataset/export.h"
#include "dataset/token_shards.h"

namespace stablelm {
namespace {

class DataExport : public Command {
 public:
  std::string Name() const override { return "data export"; }
  std::string Summary() const override { return "Print prepared data as conversations, in JSON lines"; }
  std::string Examples() const override {
    return "  stablelm data export my-chats > chats.jsonl\n"
           "  stablelm data export my-chats --split validation | head -n 3\n"
           "\n"
           "A line per conversation, as OpenAI's fine-tuning takes them: {\"messages\": [{\"role\", \"content\"}]}.\n"
           "Pieces of one conversation are joined; answers that are not learned have \"weight\": 0. Prepared again "
           "with\n"
           "the same settings they give the same samples, unless a part of them had been dropped.";
  }
  unsigned Takes() const override { return kTakesModel; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "FOLDER", "FOLDER", folder_, "A folder that `stablelm prepare` made");
    AddChoice(app, "--split", {kTrainSplit, kValidationSplit}, "Which part (default: train)",
              [this](size_t i) { split_ = i == 0 ? kTrainSplit : kValidationSplit; });
  }
  bool ModelIsNamed() const override { return true; }  // the folder knows its tokenizer

  int Run(Output& out) override {
    RequireGiven(!folder_.empty(), "FOLDER", "stablelm prepare makes one");
    const Manifest manifest = ReadManifest(folder_);
    const Tokenizer tokenizer = TokenizerOfPrepared(folder_, manifest, common.model, out);
    ExportConversations(folder_, split_, manifest, tokenizer, [&](const std::string& line) { out.Line(line); });
    return kExitOk;
  }

 private:
  std::string folder_;
  std::string split_ = kTrainSplit;
};

}  // namespace

std::unique_ptr<Command> MakeDataExport() { return std::make_unique<DataExport>(); }

}  // namespace stablelm
