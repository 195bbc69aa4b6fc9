// stablelm detokenize: decodes ids into text.
#include <unistd.h>

#include <algorithm>

#include "base/counted.h"
#include "base/error.h"
#include "base/json_value.h"
#include "cli/app/command.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/options.h"

namespace stablelm {
namespace {

class Detokenize : public Command {
 public:
  std::string Name() const override { return "detokenize"; }
  std::string Summary() const override { return "Turn token ids back into text"; }
  std::string Examples() const override {
    return "  stablelm detokenize -m DIR \"12092 13 1533 2\"\n"
           "  stablelm detokenize --tokenizer tokenizer.json --skip-special --file ids.txt\n"
           "  stablelm tokenize -m DIR --ids --file notes.txt | stablelm detokenize -m DIR\n"
           "The text is printed as it is, with no newline behind it (but on a terminal).";
  }
  unsigned Takes() const override { return kTakesModel; }

  void AddOptions(CLI::App& app) override {
    AddText(app, "IDS", "IDS", input_.text, "The ids, \"1 2 3\" or \"[1, 2, 3]\"; - or nothing for standard input");
    AddText(app, "--file", "FILE", input_.file, "Read the ids from FILE (- is standard input)");
    AddText(app, "--tokenizer", "FILE", tokenizer_file_, "A tokenizer.json, instead of a model folder");
    AddFlag(app, "--skip-special", decode_.skip_special, "Leave out special tokens");
    AddFlag(app, "--clean-up-spaces", decode_.clean_up_spaces,
            "Remove spaces before punctuation as transformers did in 2023: for comparisons, it changes the text");
  }

  bool ModelIsNamed() const override { return !common.model.empty() || !tokenizer_file_.empty(); }
  int Run(Output& out) override {
    const Tokenizer tokenizer = LoadTokenizer(common.model, tokenizer_file_, out, input_.text.value_or(""));
    const std::vector<int32_t> ids = ParseIds(ReadRawInput(input_, out), "");
    const std::string text = tokenizer.Decode(ids, decode_);
    const auto silent = std::ranges::count_if(ids, [&](int32_t id) { return tokenizer.TokenBytes(id).empty(); });
    if (silent > 0) {
      const auto first = std::ranges::find_if(ids, [&](int32_t id) { return tokenizer.TokenBytes(id).empty(); });
      out.Warning(Counted(silent, "id has", "ids have") + " no text, the first is " + std::to_string(*first) +
                  ": padding of the vocabulary");
    }
    if (out.json()) {
      out.Json({{"ids", ids}, {"text", text}});
    } else {
      out.Text(text);
      if (isatty(STDOUT_FILENO) == 1) out.Text("\n");
    }
    return kExitOk;
  }

 private:
  TextInput input_;
  std::string tokenizer_file_;
  DecodeOptions decode_;
};

}  // namespace

std::unique_ptr<Command> MakeDetokenize() { return std::make_unique<Detokenize>(); }

}  // namespace stablelm
