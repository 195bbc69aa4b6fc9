// What a command of the program is: a name, a page of help, options and a Run. One file per command; the list is in
// cli/app/commands.h, the dispatch in cli/app/program.h.
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

// Options that several commands share: same name, same meaning, same parsing everywhere.
struct CommonOptions {
  std::string model;           // -m, --model: a folder, a GGUF file or a hub id in the cache; empty when not given
  uint64_t threads = 1;        // --threads, by default the physical cores
  std::optional<DType> dtype;  // --dtype: empty for "stored"
  const QuantMix* quantize = nullptr;    // --quantize: null for none
  Compute compute = Compute::kExact;     // --compute
  DType kv = DType::kF32;                // --kv: kF32, kF16 or kI8
  std::optional<Activation> activation;  // --activation: empty for the model's own
  bool json = false;                     // --json, every command
  bool quiet = false;                    // --quiet, every command
};
// kTakesDtype: --dtype, --quantize and --compute.
enum : unsigned { kTakesModel = 1, kTakesThreads = 2, kTakesDtype = 4, kTakesKv = 8, kTakesActivation = 16 };

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string Name() const = 0;        // "tokenize"; two words for a command of a group: "bench memory"
  virtual std::string Summary() const = 0;     // one line for the list of commands
  virtual std::string Examples() const = 0;    // lines for the end of --help, each "  stablelm ..."
  virtual unsigned Takes() const = 0;          // which common options beside --json and --quiet: kTakes... | ...
  virtual void AddOptions(CLI::App& app) = 0;  // its own options (cli/app/options.h)
  // Returns an exit code. Throws UsageError for wrong usage, Error for the world's faults.
  virtual int Run(Output& out) = 0;

  CommonOptions common;  // filled in before Run
};

}  // namespace stablelm
