// stablelm bench tokenizer: encoding and decoding speed in megabytes per second, and load time.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_value.h"
#include "base/strict_json.h"
#include "base/system.h"
#include "cli/app/command.h"
#include "cli/app/interrupt.h"
#include "cli/app/load_tokenizer.h"
#include "cli/app/options.h"
#include "cli/commands/bench_text.h"
#include "tokenizer/tokenizer_speed.h"

namespace stablelm {
namespace {

class BenchTokenizer : public Command {
 public:
  std::string Name() const override { return "bench tokenizer"; }
  std::string Summary() const override { return "Speed of encoding and decoding, and the time to load a tokenizer"; }
  std::string Examples() const override {
    return "  stablelm bench tokenizer -m models/stablelm-3b --file book.txt\n"
           "  stablelm bench tokenizer --tokenizer tokenizer.json --hard --json\n"
           "\n"
           "MB/s count 10^6 bytes of text per second of processor time, on one thread; loading too. Without --file "
           "and\n"
           "--texts the text is made of the tokenizer's own tokens, and far less repetitive than what people write.";
  }
  unsigned Takes() const override { return kTakesModel | kTakesThreads; }
  void AddOptions(CLI::App& app) override {
    AddText(app, "--tokenizer", "FILE", tokenizer_file_, "A tokenizer.json, instead of a model folder");
    AddValues(app, "--file", "TEXT", "A text to encode, as one piece; - for standard input",
              [this](const std::string& path) { files_.push_back(path); });
    AddValues(app, "--texts", "FILE", "A JSON list of texts, each encoded by itself, also over several threads",
              [this](const std::string& path) { lists_.push_back(path); });
    AddFlag(app, "--hard", hard_, "Texts too that are hard for careless tokenizers");
    AddNumber(app, "--samples", samples_, Limits<uint64_t>{1, 100000},
              "Samples of each, after one that warms up; the median counts (default: 9)");
  }

  bool ModelIsNamed() const override { return !common.model.empty() || !tokenizer_file_.empty(); }
  int Run(Output& out) override {
    const InterruptGuard guard;
    const Tokenizer tokenizer = LoadTokenizer(common.model, tokenizer_file_, out);
    std::vector<TimedTexts> all;
    for (const std::string& path : files_) {
      const std::string name = path == "-" ? "standard input" : path;
      all.push_back({.name = name, .texts = {RequiredUtf8(ReadFileOrPipe(path), name)}});
    }
    for (const std::string& path : lists_) all.push_back({.name = path, .texts = ReadList(path)});
    if (all.empty()) all.push_back(TextOfTokens(tokenizer));
    if (hard_) {
      for (TimedTexts& texts : HardTexts()) all.push_back(std::move(texts));
    }
    const auto load_again = [&] {  // the warnings are already printed
      const Tokenizer loaded = tokenizer_file_.empty() ? ModelSource::Open(common.model)->ReadTokenizer({})
                                                       : Tokenizer::FromFile(tokenizer_file_);
      STABLELM_CHECK(loaded.size() == tokenizer.size());
    };
    const Samples load = MeasureLoad(load_again, samples_, ThrowIfInterrupted);
    std::vector<TextSpeed> speeds;
    for (const TimedTexts& texts : all) {
      out.Note(texts.name + " ...");
      speeds.push_back(MeasureTexts(tokenizer, texts, common.threads, samples_, ThrowIfInterrupted));
    }
    out.json() ? PrintJson(load, all, speeds, out) : Print(load, all, speeds, out);
    return kExitOk;
  }

 private:
  static std::vector<std::string> ReadList(const std::string& path) {
    const std::string bytes = RequiredUtf8(ReadFileOrPipe(path), path), hint = "--file takes a text as it is";
    nlohmann::json json;
    try {
      json = ParseStrictJson(bytes, path);
    } catch (const Error& error) {
      ErrorInfo info = error.info();
      info.hint = hint;
      throw Error(info);
    }
    const bool right = json.is_array() && !json.empty() &&
                       std::all_of(json.begin(), json.end(), [](const auto& text) { return text.is_string(); });
    if (!right) {
      throw Error({.where = path,
                   .what = "not a list of texts",
                   .found = ShownJson(json),
                   .expected = "[\"a text\", ...]",
                   .hint = hint});
    }
    return json.get<std::vector<std::string>>();
  }

  static JsonValue JsonOf(const Samples& s) { return {{"median", s.median}, {"min", s.min}, {"max", s.max}}; }

  void PrintJson(const Samples& load, const std::vector<TimedTexts>& all, const std::vector<TextSpeed>& speeds,
                 Output& out) const {
    JsonValue results = JsonValue::Array();
    for (size_t i = 0; i < all.size(); ++i) {
      const TextSpeed& speed = speeds[i];
      JsonValue row = {{"text", all[i].name},
                       {"hard", all[i].hard},
                       {"count", all[i].texts.size()},
                       {"bytes", speed.bytes},
                       {"tokens", speed.tokens},
                       {"sha256", speed.sha256},
                       {"encode_mb_per_s", JsonOf(speed.encode)}};
      if (!all[i].hard) {
        row["encode_with_offsets_mb_per_s"] = JsonOf(speed.with_offsets);
        row["decode_mb_per_s"] = JsonOf(speed.decode);
      }
      for (const BatchSpeed& batch : speed.batches) {
        row["batches"].push_back({{"threads", batch.threads}, {"mb_per_s", JsonOf(batch.mb_per_s)}});
      }
      results.push_back(std::move(row));
    }
    out.Json({{"bench", "tokenizer"},
              {"cpu", CpuModelName()},
              {"samples", samples_},
              {"load_ms", JsonOf(load)},
              {"results", results}});
  }

  void Print(const Samples& load, const std::vector<TimedTexts>& all, const std::vector<TextSpeed>& speeds,
             Output& out) const {
    char line[200];
    std::snprintf(line, sizeof line, "%s, %llu samples\nload %.1f ms %s\n", CpuModelName().c_str(),
                  static_cast<unsigned long long>(samples_), load.median, Range(load).c_str());
    out.Text(line);
    out.Text("     bytes    tokens  encode MB/s  with offsets  decode MB/s  text\n");
    for (size_t i = 0; i < all.size(); ++i) {
      const TextSpeed& speed = speeds[i];
      std::snprintf(line, sizeof line, "%10llu  %8llu  %11.1f", static_cast<unsigned long long>(speed.bytes),
                    static_cast<unsigned long long>(speed.tokens), speed.encode.median);
      out.Text(line);
      std::snprintf(line, sizeof line, "  %12.1f  %11.1f  ", speed.with_offsets.median, speed.decode.median);
      out.Text(all[i].hard ? std::string(29, ' ') : std::string(line));
      out.Text(all[i].name + "\n");
      for (const BatchSpeed& batch : speed.batches) {
        std::snprintf(line, sizeof line, "                      %11.1f  with %zu thread%s\n", batch.mb_per_s.median,
                      batch.threads, batch.threads == 1 ? "" : "s, by the clock on the wall");
        out.Text(line);
      }
    }
  }

  std::string tokenizer_file_;
  std::vector<std::string> files_, lists_;
  uint64_t samples_ = 9;
  bool hard_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeBenchTokenizer() { return std::make_unique<BenchTokenizer>(); }

}  // namespace stablelm
