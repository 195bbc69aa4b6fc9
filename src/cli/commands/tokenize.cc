// stablelm tokenize: encodes text into ids, with the text and offset of every token.

#include "base/error.h"
#include "base/json_value.h"
#include "base/utf8.h"
#include "cli/app/command.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/options.h"

namespace stablelm {
namespace {

class Tokenize : public Command {
 public:
  std::string Name() const override { return "tokenize"; }
  std::string Summary() const override { return "Show the tokens of a text: ids, pieces, offsets"; }
  std::string Examples() const override {
    return "  stablelm tokenize -m DIR \"Hello, world!\"\n"
           "  stablelm tokenize --tokenizer tokenizer.json --ids --file notes.txt\n"
           "  printf '<|USER|>hi' | stablelm tokenize -m DIR --parse-special --json\n"
           "Without --json and --ids: a line per token with its id, the bytes [begin, end) of the input that it "
           "covers,\n"
           "and its text. Where a piece is part of a character, its text shows the bytes; with --json it has U+FFFD.";
  }
  unsigned Takes() const override { return kTakesModel; }

  void AddOptions(CLI::App& app) override {
    AddTextInput(app, input_, "TEXT");
    AddText(app, "--tokenizer", "FILE", tokenizer_file_, "A tokenizer.json, instead of a model folder");
    AddFlag(app, "--parse-special", encode_.parse_special,
            "Take the strings of special tokens, such as <|USER|>, as these tokens; without it they are plain text");
    AddFlag(app, "--ids", ids_only_, "Print the ids alone, on one line");
  }

  bool ModelIsNamed() const override { return !common.model.empty() || !tokenizer_file_.empty(); }
  int Run(Output& out) override {
    const Tokenizer tokenizer = LoadTokenizer(common.model, tokenizer_file_, out, input_.text.value_or(""));
    const std::string text = ReadTextInput(input_, out);
    const Encoding encoding = tokenizer.EncodeWithOffsets(text, encode_);
    if (out.json()) {
      PrintJson(tokenizer, encoding, out);
    } else if (ids_only_) {
      std::string line;
      for (const int32_t id : encoding.ids) {
        if (!line.empty()) line.push_back(' ');
        line.append(std::to_string(id));
      }
      line.push_back('\n');
      out.Text(line);
    } else {
      for (size_t i = 0; i < encoding.ids.size(); ++i) {
        const auto [begin, end] = encoding.offsets[i];
        std::string line = std::to_string(encoding.ids[i]);
        line.append("\t").append(std::to_string(begin)).append("-").append(std::to_string(end)).append("\t");
        line.append(Quoted(tokenizer.TokenBytes(encoding.ids[i]), 4096)).append("\n");
        out.Text(line);
      }
    }
    return kExitOk;
  }

 private:
  void PrintJson(const Tokenizer& tokenizer, const Encoding& encoding, Output& out) const {
    JsonValue line = {{"ids", encoding.ids}};
    if (!ids_only_) {
      JsonValue pieces = JsonValue::Array(), offsets = pieces;
      for (size_t i = 0; i < encoding.ids.size(); ++i) {
        pieces.push_back(utf8::ReplaceInvalid(tokenizer.TokenBytes(encoding.ids[i])));
        offsets.push_back({encoding.offsets[i].begin, encoding.offsets[i].end});
      }
      line["pieces"] = std::move(pieces);
      line["offsets"] = std::move(offsets);
    }
    out.Json(line);
  }

  TextInput input_;
  std::string tokenizer_file_;
  EncodeOptions encode_;
  bool ids_only_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeTokenize() { return std::make_unique<Tokenize>(); }

}  // namespace stablelm
