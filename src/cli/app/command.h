// The interface of a command: name, help, options, Run. Each command has its own file. cli/app/commands.h lists them,
// cli/app/program.h dispatches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/dtype.h"
#include "checkpoint/describe/config.h"
#include "cli/app/output.h"
#include "ops/compute.h"

namespace CLI {
class App;
}

namespace stablelm {

struct QuantMix;  // checkpoint/rewrite/quant_mix.h

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// Options that several commands share, with the same name, meaning and parsing everywhere.
struct CommonOptions {
  std::string model;           // -m, --model: a folder, a GGUF file or a hub id in the cache; empty when not given
  uint64_t threads = 1;        // --threads; default: the number of physical cores
  std::optional<DType> dtype;  // --dtype: empty for "stored"
  const QuantMix* quantize = nullptr;    // --quantize: null for none
  Compute compute = Compute::kExact;     // --compute
  DType kv = DType::kF32;                // --kv: kF32, kF16 or kI8
  std::optional<Activation> activation;  // --activation: empty for the model's activation
  bool json = false;                     // --json, every command
  bool quiet = false;                    // --quiet, every command
};
// kTakesDtype: --dtype, --quantize and --compute.
enum : unsigned { kTakesModel = 1, kTakesThreads = 2, kTakesDtype = 4, kTakesKv = 8, kTakesActivation = 16 };

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string Name() const = 0;        // "tokenize"; two words for a command in a group: "bench memory"
  virtual std::string Summary() const = 0;     // one line for the list of commands
  virtual std::string Examples() const = 0;    // lines for the end of --help, each "  stablelm ..."
  virtual unsigned Takes() const = 0;          // common options besides --json and --quiet: kTakes... | ...
  virtual void AddOptions(CLI::App& app) = 0;  // the command's own options (cli/app/options.h)
  // Returns an exit code. Throws UsageError for wrong usage, Error for a bad file, request or machine.
  virtual int Run(Output& out) = 0;

  CommonOptions common;  // filled in before Run
};

}  // namespace stablelm
