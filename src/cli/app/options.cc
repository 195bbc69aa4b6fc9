#include "cli/app/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "base/nearest.h"
#include "base/system.h"
#include "checkpoint/rewrite/quant_mix.h"

namespace stablelm {
namespace {

template <typename T>
T ParseWith(std::string_view text, const std::string& where, T min, T max, const char* kind) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  bool parsed = result.ec == std::errc() && result.ptr == end && !text.empty();
  if constexpr (std::is_floating_point_v<T>) parsed = parsed && std::isfinite(value);
  if (parsed && value >= min && value <= max) return value;
  // A negative number where there are none.
  const bool negative = std::is_unsigned_v<T> && text.size() > 1 && text[0] == '-' &&
                        text.find_first_not_of("0123456789", 1) == text.npos;
  const bool has_min = min != std::numeric_limits<T>::lowest();
  const bool has_max = max != std::numeric_limits<T>::max();
  std::string expected = kind;
  std::ostringstream low, high;
  low << min;
  high << max;
  if (has_min && has_max) {
    expected += " from " + low.str() + " to " + high.str();
  } else if (has_min) {
    expected += ", at least " + low.str();
  } else if (has_max) {
    expected += ", at most " + high.str();
  }
  throw UsageError({.where = where,
                    .what = parsed || negative || result.ec == std::errc::result_out_of_range ? "number out of range"
                                                                                              : "not a number",
                    .found = Quoted(text),
                    .expected = expected});
}

// The quantized types that --quantize accepts.
const QuantMix& ParseLoadMix(const std::string& text) {
  const QuantMix& mix = QuantMixByName(text, "--quantize");
  if (IsQuantized(mix.base)) return mix;
  throw UsageError({.where = "--quantize",
                    .what = "not a quantized type",
                    .found = Quoted(text),
                    .expected = "Q8_0, Q6_K, Q5_K_M, Q5_K, Q4_K_M, Q4_K or Q4_0",
                    .hint = "--dtype fp32, fp16 or bf16 converts the weights"});
}

}  // namespace

void AddValue(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
              std::function<void(const std::string& bytes)> set) {
  CLI::callback_t callback = [set = std::move(set)](const CLI::results_t& results) {
    set(results.empty() ? std::string() : results.front());
    return true;
  };
  CLI::Option* option = app.add_option(name, callback, help);
  option->type_name(name.starts_with("-") ? metavar : "");
  option->type_size(1);
  option->expected(1);
}

void AddValues(CLI::App& app, const std::string& name, const std::string& metavar, const std::string& help,
               std::function<void(const std::string& bytes)> set) {
  CLI::callback_t callback = [set = std::move(set)](const CLI::results_t& results) {
    for (const std::string& result : results) set(result);
    return true;
  };
  CLI::Option* option = app.add_option(name, callback, help + " (may be given more than once)");
  option->type_name(metavar);
  option->type_size(1);
  // Each occurrence takes one value, so the option does not swallow the next argument. CLI11 honours that only from
  // this count on; from the largest count on it would print dots after the name.
  option->expected(1, CLI::detail::expected_max_vector_size / 16);
  option->allow_extra_args(false);
}

void AddFlag(CLI::App& app, const std::string& name, bool& value, const std::string& help) {
  app.add_flag_callback(
      name, [&value] { value = true; }, help);
}

int64_t ParseInteger(std::string_view text, const std::string& where, int64_t min, int64_t max) {
  return ParseWith<int64_t>(text, where, min, max, "a whole number");
}
uint64_t ParseUnsigned(std::string_view text, const std::string& where, uint64_t min, uint64_t max) {
  return ParseWith<uint64_t>(text, where, min, max, "a whole number");
}
double ParseReal(std::string_view text, const std::string& where, double min, double max) {
  return ParseWith<double>(text, where, min, max, "a number");
}

std::vector<int32_t> ParseIds(std::string_view text, const std::string& where) {
  constexpr std::string_view kSpace = " \t\r\n", kBetween = " \t\r\n,";
  const size_t first = text.find_first_not_of(kSpace);
  text.remove_prefix(first == std::string_view::npos ? text.size() : first);
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const std::string place =
        where.empty() ? "id " + std::to_string(ids.size() + 1) : where + ": index " + std::to_string(ids.size());
    ids.push_back(static_cast<int32_t>(ParseInteger(text.substr(at, end - at), place, INT32_MIN, INT32_MAX)));
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

void AddChoice(CLI::App& app, const std::string& name, std::vector<std::string> choices, const std::string& help,
               std::function<void(size_t index)> set) {
  const std::string metavar = Joined(choices, "|");
  AddValue(app, name, metavar, help,
           [name, metavar, choices = std::move(choices), set = std::move(set)](const std::string& text) {
             for (size_t i = 0; i < choices.size(); ++i) {
               if (choices[i] == text) return set(i);
             }
             throw UsageError({.where = name,
                               .what = "unknown value",
                               .found = Quoted(text),
                               .expected = metavar,
                               .hint = DidYouMean(text, choices)});
           });
}

void BeginGroup(CLI::App& app, const std::string& heading) { app.option_defaults()->group(heading); }

void AddModelArgument(CLI::App& app, unsigned takes, CommonOptions& common) {
  if ((takes & kTakesModelFirst) == kTakesModelFirst) {
    AddText(app, "MODEL", "MODEL", common.model, "The model; -m names it too");
  }
}

void AddCommonOptions(CLI::App& app, unsigned takes, CommonOptions& common) {
  common.threads = PhysicalCores();
  BeginGroup(app, "Model and machine");
  if (takes & kTakesModel) {
    AddText(app, "-m,--model", "DIR|FILE|ID", common.model,
            std::string("Model folder in Hugging Face's layout, a .gguf file, or a hub id that is in the Hugging Face "
                        "cache (default: STABLELM_MODEL of the environment") +
                (takes & kModelOptional ? ", else the small model that comes with stablelm)" : ")"));
  }
  if (takes & kTakesThreads) {
    AddNumber(app, "--threads", common.threads, Limits<uint64_t>{1, 1024},
              "Threads to compute with (default: the physical cores that the process may use). Results are the same "
              "with any number");
  }
  if (takes & kTakesDtype) {
    AddChoice(app, "--dtype", {"stored", "fp32", "fp16", "bf16"}, "Type of the weights in memory (default: stored)",
              [&common](size_t i) {
                constexpr std::optional<DType> kTypes[] = {std::nullopt, DType::kF32, DType::kF16, DType::kBF16};
                common.dtype = kTypes[i];
              });
  }
  if (takes & kTakesDtype) {
    AddValue(
        app, "--quantize", "TYPE",
        "Quantize the weights while they are loaded, as `stablelm quantize --type TYPE` would: Q8_0, Q6_K, Q5_K_M, "
        "Q5_K, Q4_K_M, Q4_K or Q4_0",
        [&common](const std::string& text) { common.quantize = &ParseLoadMix(text); });
    AddChoice(
        app, "--compute", {"exact", "fast"},
        "Products with fp32, fp16 and bf16 weights: exact, or fast, with weights and activations rounded to bf16. "
        "Quantized weights have one arithmetic (default: exact)",
        [&common](size_t i) { common.compute = i == 0 ? Compute::kExact : Compute::kFast; });
  }
  if (takes & kTakesLora) AddLora(app, common.lora);
  if (takes & kTakesKv) {
    AddChoice(app, "--kv", {"fp32", "fp16", "q8"},
              "Type of the stored keys and values (default: fp32). q8 is 8-bit integers: a quarter of the memory",
              [&common](size_t i) {
                constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kI8};
                common.kv = kTypes[i];
              });
  }
  if (takes & kTakesActivation) {
    AddChoice(app, "--activation", {"gelu", "gelu_tanh"},
              "The MLP's GELU, exact (erf) or by tanh, instead of the one that the model names",
              [&common](size_t i) { common.activation = i == 0 ? Activation::kGeluErf : Activation::kGeluTanh; });
  }
  BeginGroup(app, kCommonGroup);
  AddFlag(app, "--json", common.json, "Print one JSON object per line on standard output");
  AddFlag(app, "--quiet", common.quiet, "No notes and no progress on standard error");
}

LoraOption ParseLora(const std::string& text) {
  std::error_code ignored;
  const size_t colon = text.rfind(':');
  if (std::filesystem::exists(text, ignored) || colon == std::string::npos) return {.path = text};
  constexpr double kMostScale = 1000;
  return {.path = text.substr(0, colon),
          .scale = ParseReal(std::string_view(text).substr(colon + 1), "--lora: scale", -kMostScale, kMostScale)};
}

void AddLora(CLI::App& app, std::vector<LoraOption>& lora) {
  AddValues(app, "--lora", "DIR[:SCALE]",
            "A LoRA adapter of the model: a folder in PEFT's format, its effect times SCALE (default: 1)",
            [&lora](const std::string& text) { lora.push_back(ParseLora(text)); });
}

void RequireGiven(bool given, const std::string& option, const std::string& hint) {
  if (given) return;
  throw UsageError({.where = option, .what = "is needed and was not given", .hint = hint});
}

}  // namespace stablelm
