#include "cli/app/habits.h"

#include <algorithm>
#include <array>

namespace stablelm {
namespace {

using enum HabitKind;
using enum HabitTakes;

// max_new_tokens has no value for "no limit", and a model's files may set one: its largest value ends at the context.
constexpr HabitValue kToTheEnd[] = {{"-1", "2147483648", "to the end of the context"},
                                    {"-2", "2147483648", "to the end of the context"}};
constexpr HabitValue kDefaultForZero[] = {{"0", ""}};
constexpr HabitValue kDefaultThreads[] = {{"-1", ""}, {"0", ""}};
constexpr HabitValue kRandomSeed[] = {{"-1", ""}, {"random", ""}};
constexpr HabitValue kFlags[] = {{"True", "true"}, {"False", "false"}, {"1", "true"},
                                 {"0", "false"},   {"on", "true"},     {"off", "false"}};
constexpr HabitValue kFloats[] = {
    {"auto", "stored"},        {"float32", "fp32"},        {"float", "fp32"},        {"f32", "fp32"},
    {"float16", "fp16"},       {"half", "fp16"},           {"f16", "fp16"},          {"bfloat16", "bf16"},
    {"torch.float16", "fp16"}, {"torch.bfloat16", "bf16"}, {"torch.float32", "fp32"}};
constexpr HabitValue kFileTypes[] = {{"f32", "F32"}, {"f16", "F16"}, {"bf16", "BF16"}, {"q8_0", "Q8_0"}};
constexpr HabitValue kCacheTypes[] = {{"f32", "fp32"}, {"f16", "fp16"}, {"q8_0", "q8"}};

constexpr HabitValue kColored[] = {{"on", ""}, {"auto", ""}};

constexpr HabitValue kOnTheCpu[] = {{"0", ""}, {"cpu", ""}, {"none", ""}};

constexpr std::string_view kOnCpus = "this build runs on CPUs; leave the option out";
constexpr std::string_view kChunks =
    "the size of the chunks of a prompt changes no result and is chosen by the program";
constexpr std::string_view kOneThreadCount = "-t is the number of threads for prompt and reply";
constexpr std::string_view kOwnMemory =
    "weights are in the process's own memory, but for the embedding, which is mapped";
constexpr std::string_view kColors = "a terminal gets colours unless NO_COLOR is set";
constexpr std::string_view kOnlyMemory = "keys and values are in the machine's memory";
constexpr std::string_view kSpeaking = "generate, chat, run";
constexpr std::string_view kWriting = "convert, quantize, init, lora merge";
constexpr std::string_view kOneAnswer =
    "stablelm run MODEL TEXT answers one message, without a model stablelm run -p TEXT";
constexpr std::string_view kAppends =
    "stablelm run MODEL TEXT - < FILE appends a file to the message, without a model stablelm run -p TEXT - < FILE";
constexpr std::string_view kRecipeModel = "the recipe names the model, as from: MODEL; --set from=MODEL does too";
constexpr std::string_view kRecipeRate = "--set optimizer.rate=1e-4";

constexpr auto kHabits = std::to_array<Habit>({
    // What to continue
    {.name = "-p", .option = "TEXT"},
    {.name = "--prompt", .option = "TEXT"},
    {.name = "-f", .option = "--file"},
    {.name = "--system-prompt", .option = "--system"},
    {.name = "-sys", .option = "--system"},
    {.name = "--chat-template", .option = "--template"},
    // How far
    {.name = "-n", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "--max-tokens", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "--n-predict", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "--predict", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "--num-predict", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "--max-new-tokens", .option = "--max-new-tokens", .values = kToTheEnd},
    {.name = "-c", .option = "--context", .values = kDefaultForZero},
    {.name = "--ctx-size", .option = "--context", .values = kDefaultForZero},
    {.name = "--num-ctx", .option = "--context", .values = kDefaultForZero},
    {.name = "--max-model-len", .option = "--context", .values = kDefaultForZero},
    {.name = "--context", .option = "--context", .values = kDefaultForZero},
    {.name = "-r", .option = "--stop", .commands = kSpeaking},
    {.name = "--reverse-prompt", .option = "--stop"},
    // How tokens are chosen
    {.name = "--temp", .option = "--temperature"},
    {.name = "--repeat-penalty", .option = "--repetition-penalty"},
    {.name = "--repeat-last-n", .option = "--penalty-last-n"},
    {.name = "--typical", .option = "--typical-p"},
    {.name = "-s", .option = "--seed", .values = kRandomSeed, .commands = kSpeaking},
    {.name = "-s", .option = "--seed"},
    {.name = "--seed", .option = "--seed", .values = kRandomSeed, .commands = kSpeaking},
    {.name = "--do-sample", .option = "--do-sample", .values = kFlags},
    {.name = "--early-stopping", .option = "--early-stopping", .values = kFlags},
    // How many replies
    {.name = "--num-beams", .option = "--beams"},
    {.name = "--num-return-sequences", .option = "--samples", .commands = "generate", .beside = "--beams --num-return"},
    {.name = "--n",
     .option = "--samples",
     .reason = "--n is the number of replies, as --samples is; -n is the number of tokens",
     .commands = "generate"},
    {.name = "-np", .option = "--parallel"},
    {.name = "-r", .option = "--samples", .commands = "bench model"},
    {.name = "--repetitions", .option = "--samples", .commands = "bench model"},
    // The model and the machine
    {.name = "-t", .option = "--threads", .values = kDefaultThreads},
    {.name = "--threads", .option = "--threads", .values = kDefaultThreads},
    {.name = "--num-threads", .option = "--threads", .values = kDefaultThreads},
    {.name = "--num-thread", .option = "--threads", .values = kDefaultThreads},
    {.name = "-hf", .option = "--model"},
    {.name = "--hf-repo", .option = "--model"},
    {.name = "--model-path", .option = "--model"},
    {.name = "--model-name-or-path", .option = "--model"},
    {.name = "--torch-dtype", .option = "--dtype", .values = kFloats},
    {.name = "--dtype", .option = "--dtype", .values = kFloats},
    {.name = "--outtype", .option = "--dtype", .values = kFloats},
    {.name = "--outtype", .option = "--type", .values = kFileTypes, .commands = "quantize"},
    {.name = "-ctk", .option = "--kv", .values = kCacheTypes, .part = 'k'},
    {.name = "-ctv", .option = "--kv", .values = kCacheTypes, .part = 'v'},
    {.name = "--cache-type-k", .option = "--kv", .values = kCacheTypes, .part = 'k'},
    {.name = "--cache-type-v", .option = "--kv", .values = kCacheTypes, .part = 'v'},
    {.name = "--kv-cache-dtype", .option = "--kv", .values = kCacheTypes},
    {.name = "--kv", .option = "--kv", .values = kCacheTypes},
    // Files that are written
    {.name = "-o", .option = "--output"},
    {.name = "--out", .option = "--output"},
    {.name = "--output", .option = "--out"},
    {.name = "--output-file", .option = "--out"},
    {.name = "--outfile", .option = "--out"},
    {.name = "-o", .option = "OUT", .commands = kWriting},
    {.name = "--out", .option = "OUT", .commands = kWriting},
    {.name = "--output", .option = "OUT", .commands = kWriting},
    {.name = "--outfile", .option = "OUT", .commands = kWriting},
    // What the program does anyway
    {.kind = kAlreadySo, .name = "-fa", .takes = kOptionalWord, .reason = "attention never stores the score matrix"},
    {.kind = kAlreadySo,
     .name = "--flash-attn",
     .takes = kOptionalWord,
     .reason = "attention never stores the score matrix"},
    {.kind = kAlreadySo, .name = "--no-display-prompt", .reason = "the prompt is shown with --echo only"},
    {.kind = kAlreadySo, .name = "--verbose", .reason = "notes on standard error are on unless --quiet is given"},
    {.kind = kAlreadySo, .name = "-v", .reason = "notes on standard error are on unless --quiet is given"},
    {.kind = kAlreadySo, .name = "--no-warmup", .reason = "there is no warm-up"},
    {.kind = kAlreadySo, .name = "--color", .values = kColored, .takes = kOptionalWord, .reason = kColors},
    {.kind = kAlreadySo, .name = "-co", .values = kColored, .takes = kOptionalWord, .reason = kColors},
    {.kind = kAlreadySo, .name = "--no-kv-offload", .reason = kOnlyMemory},
    {.kind = kAlreadySo, .name = "-nkvo", .reason = kOnlyMemory},
    {.kind = kAlreadySo, .name = "--jinja", .reason = "templates are built in", .commands = kSpeaking},
    {.kind = kAlreadySo,
     .name = "--no-context-shift",
     .reason = "a full context shifts with --context-policy shift only",
     .commands = kSpeaking},
    {.kind = kAlreadySo, .name = "-cnv", .reason = "a chat is a conversation", .commands = "chat, run"},
    {.kind = kAlreadySo, .name = "--conversation", .reason = "a chat is a conversation", .commands = "chat, run"},
    {.kind = kAlreadySo, .name = "-i", .reason = "a chat is interactive", .commands = "chat, run"},
    {.kind = kAlreadySo, .name = "--interactive", .reason = "a chat is interactive", .commands = "chat, run"},
    {.kind = kAlreadySo, .name = "-no-cnv", .reason = "the prompt is continued as it is", .commands = "generate"},
    {.kind = kAlreadySo,
     .name = "--no-conversation",
     .reason = "the prompt is continued as it is",
     .commands = "generate"},
    {.kind = kAlreadySo, .name = "-st", .reason = "generate gives one reply", .commands = "generate"},
    {.kind = kAlreadySo, .name = "--single-turn", .reason = "generate gives one reply", .commands = "generate"},
    // What it does not do
    {.kind = kNotHere, .name = "-cnv", .reason = "stablelm chat -m MODEL is a conversation"},
    {.kind = kNotHere, .name = "--conversation", .reason = "stablelm chat -m MODEL is a conversation"},
    {.kind = kNotHere, .name = "-i", .reason = "stablelm chat -m MODEL is interactive"},
    {.kind = kNotHere, .name = "-p", .takes = kValue, .reason = kOneAnswer, .commands = "chat"},
    {.kind = kNotHere, .name = "--prompt", .takes = kValue, .reason = kOneAnswer, .commands = "chat"},
    {.kind = kNotHere, .name = "-f", .takes = kValue, .reason = kAppends, .commands = "chat, run"},
    {.kind = kNotHere, .name = "--file", .takes = kValue, .reason = kAppends, .commands = "chat, run"},
    {.kind = kNotHere, .name = "-st", .reason = kOneAnswer},
    {.kind = kNotHere, .name = "--single-turn", .reason = kOneAnswer},
    {.kind = kNotHere, .name = "-no-cnv", .reason = "stablelm generate -m MODEL PROMPT continues a text as it is"},
    {.kind = kNotHere,
     .name = "--dtype",
     .takes = kValue,
     .reason = "--set precision=bf16 is the arithmetic, --set save_dtype=fp16 the type of the saved weights",
     .commands = "finetune"},
    {.kind = kNotHere,
     .name = "--dtype",
     .option = "--precision",
     .takes = kValue,
     .reason = "--precision is the arithmetic of training"},
    {.kind = kNotHere, .name = "-m", .takes = kValue, .reason = kRecipeModel, .commands = "finetune"},
    {.kind = kNotHere, .name = "--model", .takes = kValue, .reason = kRecipeModel, .commands = "finetune"},
    {.kind = kNotHere,
     .name = "--lora",
     .takes = kValue,
     .reason = "an adapter is trained with --set lora.rank=16, or lora: {rank: 16} in the recipe",
     .commands = "finetune"},
    {.kind = kNotHere,
     .name = "--batch-size",
     .takes = kValue,
     .reason = "a step takes --set rows=N packs at once, --set micro_batches=M times",
     .commands = "finetune"},
    {.kind = kNotHere, .name = "--epochs", .takes = kValue, .reason = "--set epochs=3", .commands = "finetune"},
    {.kind = kNotHere, .name = "--steps", .takes = kValue, .reason = "--set steps=100", .commands = "finetune"},
    {.kind = kNotHere, .name = "--lr", .takes = kValue, .reason = kRecipeRate, .commands = "finetune"},
    {.kind = kNotHere, .name = "--learning-rate", .takes = kValue, .reason = kRecipeRate, .commands = "finetune"},
    {.kind = kNotHere, .name = "-ngl", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--gpu-layers", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--n-gpu-layers", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--num-gpu", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--device", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--device-map", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "-dev", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--main-gpu", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "-mg", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--split-mode", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "-sm", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--tensor-split", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "-ts", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--tensor-parallel-size", .values = kOnTheCpu, .takes = kValue, .reason = kOnCpus},
    {.kind = kNotHere, .name = "--batch-size", .takes = kValue, .reason = kChunks},
    {.kind = kNotHere, .name = "-b", .takes = kValue, .reason = kChunks},
    {.kind = kNotHere, .name = "--ubatch-size", .takes = kValue, .reason = kChunks},
    {.kind = kNotHere, .name = "-ub", .takes = kValue, .reason = kChunks},
    {.kind = kNotHere, .name = "--threads-batch", .takes = kValue, .reason = kOneThreadCount},
    {.kind = kNotHere, .name = "-tb", .takes = kValue, .reason = kOneThreadCount},
    {.kind = kNotHere,
     .name = "--lora",
     .takes = kValue,
     .reason = "this command runs no adapter; stablelm lora merge makes a model of one"},
    {.kind = kNotHere, .name = "--lora-scaled", .takes = kValue, .reason = "--lora DIR:SCALE scales an adapter"},
    {.kind = kNotHere, .name = "--grammar", .takes = kValue, .reason = "grammars come with a later version"},
    {.kind = kNotHere, .name = "--json-schema", .takes = kValue, .reason = "grammars come with a later version"},
    {.kind = kNotHere,
     .name = "--context-shift",
     .reason = "--context-policy shift shifts a full context",
     .commands = kSpeaking},
    {.kind = kNotHere, .name = "--mlock", .reason = kOwnMemory},
    {.kind = kNotHere, .name = "--no-mmap", .reason = kOwnMemory},
    {.kind = kNotHere, .name = "--log-disable", .reason = "--quiet hides notes and progress"},
});

constexpr struct {
  std::string_view name, means;
} kCommands[] = {{"show", "inspect"}, {"perplexity", "score"}, {"ppl", "score"}};

constexpr std::string_view kLater = "comes with a later version of stablelm";
constexpr std::string_view kDownload =
    "comes with a later version of stablelm; `hf download ORG/NAME` fills the cache that every command reads";
constexpr struct {
  std::string_view name, about;
} kMissing[] = {
    {"serve", kLater},
    {"server", kLater},
    {"pull", kDownload},
    {"download", kDownload},
    {"train", "is stablelm finetune"},
    {"eval", kLater},
    {"evaluate", kLater},
    {"merge", "is stablelm lora merge"},
    {"export", "is stablelm convert for models, stablelm data export for prepared data"},
    {"list", "is not needed: models stay where they are, and -m names their path"},
    {"ps", "is not needed: no model stays loaded when a command has ended"},
    {"stop", "is not needed: no model stays loaded when a command has ended"},
    {"rm", "is not needed: a model is a file or folder of yours, to remove as any other"},
    {"create",
     "is not needed: options of a chat, or a file stablelm_chat.json beside the model, do what a Modelfile does"},
};

// Whether "convert, lora merge" has a name.
bool Lists(std::string_view names, std::string_view name) {
  constexpr std::string_view kBetween = ", ";
  while (!names.empty()) {
    const size_t end = std::min(names.find(kBetween), names.size());
    if (names.substr(0, end) == name) return true;
    names.remove_prefix(std::min(end + kBetween.size(), names.size()));
  }
  return false;
}

}  // namespace

std::span<const Habit> Habits() { return kHabits; }

const Habit* FindHabit(std::string_view name, std::string_view command,
                       const std::function<bool(std::string_view option)>& has_option) {
  for (const Habit& habit : kHabits) {
    if (habit.name != name || (!habit.commands.empty() && !Lists(habit.commands, command))) continue;
    const bool needs_option = habit.kind == kOption || !habit.option.empty();
    if (!needs_option || has_option(habit.option)) return &habit;
  }
  return nullptr;
}

const Habit* FindHabit(std::string_view name) {
  const auto* found = std::ranges::find(kHabits, name, &Habit::name);
  return found == kHabits.end() ? nullptr : found;
}

std::optional<std::string> HabitValueOf(const Habit& habit, const std::string& typed) {
  for (const HabitValue& value : habit.values) {
    if (value.typed != typed) continue;
    if (value.means.empty()) return std::nullopt;
    return std::string(value.means);
  }
  return typed;
}

std::string_view CommandOfHabit(std::string_view name) {
  for (const auto& row : kCommands) {
    if (row.name == name) return row.means;
  }
  return name;
}

std::string_view AboutMissingCommand(std::string_view name) {
  for (const auto& row : kMissing) {
    if (row.name == name) return row.about;
  }
  return {};
}

}  // namespace stablelm
