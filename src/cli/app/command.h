// The interface of a command: name, help, options, Run. Each command has its own file. cli/app/commands.h lists them,
// cli/app/program.h dispatches.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "cli/app/output.h"
#include "ops/compute.h"

namespace CLI {
class App;
}

namespace stablelm {

struct Arguments;  // cli/app/arguments.h
struct QuantMix;   // checkpoint/rewrite/quant_mix.h

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// --lora DIR[:SCALE]
struct LoraOption {
  std::string path;
  double scale = 1;
};

// Options that several commands share, with the same name, meaning and parsing everywhere.
struct CommonOptions {
  std::string model;     // -m, --model, or the first argument: a folder, a GGUF file or a hub id; empty: not given
  uint64_t threads = 1;  // --threads; default: the number of physical cores
  std::optional<DType> dtype;            // --dtype: empty for "stored"
  const QuantMix* quantize = nullptr;    // --quantize: null for none
  Compute compute = Compute::kExact;     // --compute
  std::vector<LoraOption> lora = {};     // --lora, in order
  DType kv = DType::kF32;                // --kv: kF32, kF16 or kI8
  std::optional<Activation> activation;  // --activation: empty for the model's activation
  bool json = false;                     // --json, every command
  bool quiet = false;                    // --quiet, every command
  bool bundled = false;                  // no model was named: `model` is the bundled one (TakeBundledModel)
};
// kTakesDtype: --dtype, --quantize and --compute. kTakesModelFirst: the first positional argument, or -m, names the
// model; for commands whose argument is not text. kModelOptional: without a model the command takes the bundled one.
enum : unsigned {
  kTakesModel = 1,
  kTakesThreads = 2,
  kTakesDtype = 4,
  kTakesKv = 8,
  kTakesActivation = 16,
  kTakesModelFirst = 32 | kTakesModel,
  kTakesLora = 64,
  kModelOptional = 128,
};

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string Name() const = 0;     // "tokenize"; two words for a command in a group: "bench memory"
  virtual std::string Summary() const = 0;  // one line for the list of commands
  // Lines of commands for --help, each "  stablelm ...", then a blank line and paragraphs about the command.
  virtual std::string Examples() const = 0;
  virtual unsigned Takes() const = 0;          // common options besides --json and --quiet: kTakes... | ...
  virtual void AddOptions(CLI::App& app) = 0;  // the command's own options (cli/app/options.h)
  // Whether the options name a model, or a tokenizer or shape in its place. Otherwise STABLELM_MODEL does, if it is
  // set.
  virtual bool ModelIsNamed() const { return !common.model.empty(); }
  // With kTakesModelFirst, where STABLELM_MODEL names the model: how many positional arguments the command takes beside
  // it. If more are given, the first is the model. At least one is given.
  virtual size_t NeededAfterModel(const Arguments& /*arguments*/) const { return 0; }
  // The arguments of another command that this one stands for; empty when it runs itself.
  virtual std::vector<std::string> StandsFor(const Arguments& /*arguments*/) const { return {}; }
  // Returns an exit code. Throws UsageError for wrong usage, Error for a bad file, request or machine.
  virtual int Run(Output& out) = 0;

  CommonOptions common;  // filled in before Run
};

}  // namespace stablelm
