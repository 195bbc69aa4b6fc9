// stablelm data show: samples of prepared data, with the targets in colour.
#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/command.h"
#include "cli/app/options.h"
#include "cli/data/prepared_folder.h"
#include "cli/data/sample_text.h"
#include "dataset/token_shards.h"

namespace stablelm {
namespace {

class DataShow : public Command {
 public:
  std::string Name() const override { return "data show"; }
  std::string Summary() const override { return "Show samples of prepared data, the tokens to learn in colour"; }
  std::string Examples() const override {
    return "  stablelm data show my-chats\n"
           "  stablelm data show my-chats --sample 17\n"
           "  stablelm data show my-chats --pack 3 --split validation --json\n"
           "\n"
           "A sample is a document of a pack: a conversation, or a piece of a long one. Samples are numbered in the\n"
           "order in which they are stored. On a terminal the tokens that are learned are green and control tokens "
           "are\n"
           "reversed; elsewhere double brackets stand around what is learned.";
  }
  unsigned Takes() const override { return kTakesModel; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "FOLDER", "FOLDER", folder_, "A folder that `stablelm prepare` made");
    AddChoice(app, "--split", {kTrainSplit, kValidationSplit}, "Which part (default: train)",
              [this](size_t i) { split_ = i == 0 ? kTrainSplit : kValidationSplit; });
    AddNumber(app, "--sample", sample_, Limits<uint64_t>{}, "Show this sample");
    AddNumber(app, "--pack", pack_, Limits<uint64_t>{}, "Show all samples of this pack");
    AddNumber(app, "--count", count_, Limits<uint64_t>{1}, "Show the first N samples (default: 3)");
  }
  bool ModelIsNamed() const override { return true; }  // the folder knows its tokenizer

  int Run(Output& out) override {
    RequireGiven(!folder_.empty(), "FOLDER", "stablelm prepare makes one");
    if (sample_ && pack_) {
      throw UsageError({.where = "--sample, --pack", .what = "one of them", .hint = "leave one out"});
    }
    const Manifest manifest = ReadManifest(folder_);
    if (!TokenShards::Exists(folder_, split_)) {
      throw Error({.where = folder_,
                   .what = "it has no " + split_ + " split",
                   .hint = "`validation` in the recipe sets its share"});
    }
    const TokenShards shards(folder_, split_);
    const Tokenizer tokenizer = TokenizerOfPrepared(folder_, manifest, common.model, out);
    const uint64_t documents = shards.documents().size();
    uint64_t begin = 0, end = std::min(count_, documents);
    if (sample_) {
      RequireBelow("--sample", *sample_, documents);
      begin = *sample_;
      end = begin + 1;
    } else if (pack_) {
      RequireBelow("--pack", *pack_, shards.packs());
      begin = shards.FirstDocument(*pack_);
      end = begin + shards.Pack(*pack_).size();
    }
    for (uint64_t d = begin; d < end; ++d) Show(d, shards, manifest, tokenizer, out);
    return kExitOk;
  }

 private:
  static void RequireBelow(const std::string& option, uint64_t number, uint64_t count) {
    if (number < count) return;
    throw UsageError({.where = option,
                      .what = "there is no such one",
                      .found = std::to_string(number),
                      .expected = count == 0 ? "nothing: there are none" : "0 to " + std::to_string(count - 1),
                      .hint = "leave " + option + " out for the first ones"});
  }
  void Show(uint64_t number, const TokenShards& shards, const Manifest& manifest, const Tokenizer& tokenizer,
            Output& out) const {
    const TokenDocument& document = shards.documents()[number];
    std::vector<int32_t> ids(document.length);
    std::vector<uint8_t> targets(document.length);
    shards.Read(document, ids, targets);
    const uint64_t pack = shards.PackOf(number);
    const bool known =
        document.source < manifest.sources.size() && document.file < manifest.files[document.source].size();
    const std::string source = known ? manifest.sources[document.source] : "";
    const std::string file = known ? manifest.files[document.source][document.file] : "";
    if (out.json()) {
      JsonValue bits = JsonValue::Array();
      for (const uint8_t target : targets) bits.push_back(static_cast<int>(target));
      out.Json({{"sample", number},
                {"pack", pack},
                {"source", source},
                {"file", file},
                {"row", document.row},
                {"piece", document.piece},
                {"repeat", document.repeat},
                {"text", tokenizer.DecodeBytes(ids)},
                {"ids", ids},
                {"targets", bits}});
      return;
    }
    out.Text("sample " + std::to_string(number) + ", pack " + std::to_string(pack) + ": " + source + ", " + file +
             ", row " + std::to_string(document.row) +
             (document.piece > 0 ? ", piece " + std::to_string(document.piece) : "") + "; " +
             std::to_string(document.length) + " tokens, " + std::to_string(document.targets) + " learned\n");
    out.Styled(SampleText(ids, targets, tokenizer, out.color()) + "\n\n");
  }

  std::string folder_;
  std::string split_ = kTrainSplit;
  std::optional<uint64_t> sample_, pack_;
  uint64_t count_ = 3;
};

}  // namespace

std::unique_ptr<Command> MakeDataShow() { return std::make_unique<DataShow>(); }

}  // namespace stablelm
