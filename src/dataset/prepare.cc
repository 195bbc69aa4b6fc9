#include "dataset/prepare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/new_folder.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/system.h"
#include "base/temporary_paths.h"
#include "base/thread_pool.h"
#include "dataset/audits.h"
#include "dataset/evaluation_sets.h"
#include "dataset/manifest.h"
#include "dataset/packing.h"
#include "dataset/report.h"
#include "dataset/rows/guess_kind.h"
#include "dataset/run_record.h"
#include "dataset/sample_collector.h"
#include "dataset/source_files.h"
#include "dataset/source_pass.h"
#include "dataset/token_shards.h"

namespace stablelm {
namespace {

constexpr size_t kRowsToGuess = 100;
constexpr size_t kBudgetParts = 8;  // of PrepareSetup::memory_bytes: 4 the collector, 1 each the other users

double UnitOf(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1p-53; }

struct FileStamp {
  uint64_t bytes = 0;
  std::filesystem::file_time_type time;
  bool operator==(const FileStamp&) const = default;
};

std::vector<FileStamp> StampsOf(const std::vector<SourceFile>& files) {
  std::vector<FileStamp> stamps;
  for (const SourceFile& file : files) {
    std::error_code gone;  // as a file of another size
    stamps.push_back({.bytes = std::filesystem::file_size(file.path, gone),
                      .time = std::filesystem::last_write_time(file.path, gone)});
  }
  return stamps;
}

// The hashes of the manifest are those of the bytes that were read.
void RequireUnchanged(const std::vector<SourceFile>& files, const std::vector<FileStamp>& before) {
  const std::vector<FileStamp> now = StampsOf(files);
  for (size_t i = 0; i < files.size(); ++i) {
    if (now[i] == before[i]) continue;
    throw Error({.where = files[i].path.string(),
                 .what = "the file was changed while it was read",
                 .hint = "prepare again when nothing writes to it, or prepare a copy"});
  }
}

struct OpenSource {
  const SourceRecipe* recipe = nullptr;
  std::vector<SourceFile> files;
  SourceKind kind = SourceKind::kAuto;
  ColumnNames columns;
};

// A sample in a split, perhaps one of several copies.
struct Instance {
  uint32_t sample = 0;
  uint32_t repeat = 0;
};

struct Split {
  Split(std::string of, const SpillOptions& part)
      : name(std::move(of)), instances(part.Share(4)), lengths(part.Share(4)) {}

  std::string name;
  SpillVector<Instance> instances;
  SpillVector<uint32_t> lengths;  // of the instances
  SplitAccount account;
};

// Puts a conversation into its split, as often as the weight of its source says.
void Distribute(const DataRecipe& recipe, const CollectedConversation& one,
                std::span<const SampleSpool::Record> samples, SourceAccount& account, Split& train, Split& validation) {
  const bool held_out = UnitOf(one.split_hash) < recipe.validation;
  Split& split = held_out ? validation : train;
  const double weight = recipe.sources[one.source].weight;
  const double whole = std::floor(weight);
  uint32_t copies = static_cast<uint32_t>(whole) + (UnitOf(one.weight_hash) < weight - whole ? 1 : 0);
  if (held_out) copies = std::min(copies, 1U);  // nobody validates twice on the same
  uint64_t tokens = 0;
  for (uint32_t i = one.first; i < one.first + one.count; ++i) tokens += samples[i].length;
  if (copies == 0) {
    account.samples_left_out += one.count;
    account.tokens_left_out += tokens;
    return;
  }
  account.samples_repeated += uint64_t{copies - 1} * one.count;
  account.tokens_repeated += (copies - 1) * tokens;
  ++split.account.conversations;
  for (uint32_t repeat = 0; repeat < copies; ++repeat) {
    for (uint32_t i = one.first; i < one.first + one.count; ++i) {
      split.instances.Append({.sample = i, .repeat = repeat});
      split.lengths.Append(samples[i].length);
    }
  }
}

// What WriteTokenShards counts, where nothing is written.
uint64_t CountTargets(const Packs& packs, std::span<const Instance> instances, SampleSpool& spool) {
  const std::span<const SampleSpool::Record> samples = spool.Records();
  uint64_t targets = 0;
  std::vector<uint8_t> bits;
  for (const PackedDocument& document : packs.documents) {
    const uint32_t sample = instances[document.sample].sample;
    if (document.length == samples[sample].length) {
      targets += samples[sample].targets;
      continue;
    }
    const std::span<const uint8_t> of_document = TargetsOfDocument(document, spool.Read(sample), bits);
    targets += static_cast<uint64_t>(std::count(of_document.begin(), of_document.end(), 1));
  }
  return targets;
}

// Packs and writes one split; returns the names of its files. `folder` empty: writes nothing. `part`: memory for the
// packs.
std::vector<std::string> FinishSplit(const PrepareSetup& setup, SampleSpool& spool, Split& split,
                                     const std::filesystem::path& folder, const SpillOptions& part, StepTimes& times,
                                     PreparedData& data) {
  const DataRecipe& recipe = setup.recipe;
  StepWatch watch(times, PrepareStep::kPacking);
  const std::span<const uint32_t> lengths = split.lengths.Values();
  const std::span<const Instance> instances = split.instances.Values();
  const Packs packs = PackSamples(lengths, recipe.sequence_length, recipe.packing, recipe.seed, part);
  data.temporary_bytes += packs.spilled_bytes + split.lengths.spilled_bytes() + split.instances.spilled_bytes();
  SplitAccount& account = split.account;
  account.documents = packs.documents.size();
  account.packs = packs.size();
  account.fill = packs.Fill(recipe.sequence_length);
  uint64_t given = 0;
  for (const uint32_t length : lengths) given += length;
  for (const PackedDocument& document : packs.documents) account.tokens += document.length;
  account.lone_tokens = given - account.tokens;
  STABLELM_CHECK(recipe.packing == Packing::kConcat || account.lone_tokens == 0);
  watch.Next(PrepareStep::kWriting);
  if (folder.empty() || packs.size() == 0) {
    account.targets = CountTargets(packs, instances, spool);
    return {};
  }
  const std::span<const SampleSpool::Record> samples = spool.Records();
  const auto describe = [&](uint32_t instance) {
    const Instance& one = instances[instance];
    const SampleOrigin& origin = samples[one.sample].origin;
    return TokenDocument{
        .row = origin.row, .source = origin.source, .file = origin.file, .piece = origin.piece, .repeat = one.repeat};
  };
  const auto read = [&](uint32_t instance) { return spool.Read(instances[instance].sample); };
  WrittenShards written = WriteTokenShards(folder,
                                           {.split = split.name,
                                            .sequence_length = recipe.sequence_length,
                                            .vocab_size = setup.tokenizer.model_vocab_size()},
                                           packs, describe, read);
  account.targets = written.targets;
  return std::move(written.names);
}

EncodingSetup EncodingOf(const PrepareSetup& setup) {
  const Tokenizer& tokenizer = setup.tokenizer;
  EncodingSetup encoding{.builder = PromptBuilder(tokenizer, setup.prompt_template),
                         .system = setup.system,
                         .stops = {},
                         .long_turn = setup.recipe.long_turn,
                         .sequence_length = setup.recipe.sequence_length,
                         .end_id = {},
                         .specials = SpecialSpellings(tokenizer)};
  for (const std::string& stop : setup.stop_tokens) {
    if (const std::optional<int32_t> id = SpecialTokenId(tokenizer, stop)) encoding.stops.push_back(*id);
  }
  if (setup.recipe.end == EndRule::kEndOfText) {
    encoding.end_id = SpecialTokenId(tokenizer, "<|endoftext|>");
    if (!encoding.end_id) {
      throw Error({.where = setup.tokenizer_from,
                   .what = "the tokenizer has no special token \"<|endoftext|>\" to end conversations with",
                   .hint = "`end: none` in the recipe leaves it out"});
    }
  }
  return encoding;
}

std::vector<OpenSource> OpenSources(const DataRecipe& recipe, std::vector<std::string>& left_out) {
  std::vector<OpenSource> sources;
  for (const SourceRecipe& one : recipe.sources) {
    OpenSource source{.recipe = &one,
                      .files = FindSourceFiles(one, recipe.folder, &left_out),
                      .kind = one.kind,
                      .columns = one.columns};
    sources.push_back(std::move(source));
  }
  return sources;
}

SourceAccount AccountFor(OpenSource& source, const DataRecipe& recipe, ThreadPool& pool) {
  SourceAccount account;
  account.name = source.recipe->name;
  account.kind_from = "recipe";
  if (source.kind == SourceKind::kAuto) {
    const SourceFile& first = source.files.front();
    const KindGuess guess = GuessKind(FirstRows(first, kRowsToGuess, recipe.duckdb), first.name);
    source.kind = guess.kind;
    source.columns = guess.columns;
    account.kind_from = guess.why;
  }
  account.kind = source.kind;
  account.loss = source.recipe->loss.value_or(DefaultLoss(source.kind));
  account.licence = source.recipe->licence;
  account.files.resize(source.files.size());
  pool.ForEach(source.files.size(), [&](size_t i, size_t) {
    account.files[i].name = source.files[i].name;
    account.files[i].bytes = std::filesystem::file_size(source.files[i].path);
    account.files[i].sha256 = Sha256HexOfFile(source.files[i].path);
  });
  return account;
}

PreviewSample PreviewOf(SampleSpool& spool, uint32_t sample) {
  const SampleTokens tokens = spool.Read(sample);
  return {.ids = {tokens.ids.begin(), tokens.ids.end()},
          .targets = {tokens.targets.begin(), tokens.targets.end()},
          .origin = spool.Records()[sample].origin};
}

// For the report: the first samples of each source that are not long.
std::vector<PreviewSample> SomeOfEachSource(const PrepareSetup& setup, Split& split, SampleSpool& spool) {
  constexpr size_t kOfEach = 3;
  constexpr uint32_t kLongest = 1000;
  std::vector<size_t> taken(setup.recipe.sources.size());
  std::vector<PreviewSample> samples;
  const std::span<const uint32_t> lengths = split.lengths.Values();
  const std::span<const Instance> instances = split.instances.Values();
  for (size_t i = 0; i < instances.size(); ++i) {
    const uint32_t sample = instances[i].sample;
    size_t& of_source = taken[spool.Records()[sample].origin.source];
    if (instances[i].repeat > 0 || lengths[i] > kLongest || of_source >= kOfEach) continue;
    ++of_source;
    samples.push_back(PreviewOf(spool, sample));
  }
  return samples;
}

[[noreturn]] void ThrowNothingLeft(const DataRecipe& recipe, const PreparedData& data) {
  std::map<std::string, uint64_t> dropped;
  uint64_t all = 0;
  for (const SourceAccount& source : data.sources) {
    all += source.conversations;
    for (const auto& [reason, count] : source.dropped) dropped[reason] += count;
  }
  std::string found =
      std::to_string(all) + " conversations: " + std::to_string(data.validation.conversations) + " for validation";
  for (const auto& [reason, count] : dropped) found += ", " + std::to_string(count) + " dropped as " + reason;
  throw Error(
      {.where = recipe.name,
       .what = "nothing is left to train on",
       .found = found,
       .hint = (dropped.contains("too-long") ? "`sequence_length` is " + std::to_string(recipe.sequence_length) + "; "
                                             : "") +
               "--dry-run shows what was dropped and why"});
}

void RequireBalance(const PreparedData& data) {
  uint64_t samples = 0;
  for (const SourceAccount& account : data.sources) {
    STABLELM_CHECK(account.tokens.Balances());
    STABLELM_CHECK(account.kept + account.Dropped() == account.conversations);
    samples += account.tokens.written + account.tokens_repeated - account.tokens_left_out;
  }
  STABLELM_CHECK(samples ==
                 data.train.tokens + data.train.lone_tokens + data.validation.tokens + data.validation.lone_tokens);
}

// NewFolder refuses these too, but knows no recipe.
void RequireUnprepared(const std::filesystem::path& out) {
  std::error_code error;
  if (!std::filesystem::exists(out / kManifestFile, error)) return;
  throw Error({.where = out.string(),
               .what = "it exists, and does not hold these data as prepared by this recipe",
               .hint = "name another folder (-o), or remove this one"});
}

}  // namespace

PreparedData PrepareData(const PrepareSetup& setup, const std::filesystem::path& out) {
  const RunWatch watch;
  const DataRecipe& recipe = setup.recipe;
  PreparedData data;
  std::vector<OpenSource> sources = OpenSources(recipe, data.left_out);
  std::vector<SourceFile> files;
  for (const OpenSource& source : sources) files.insert(files.end(), source.files.begin(), source.files.end());
  std::vector<SourceFile> inputs = EvaluationFiles(recipe);
  inputs.insert(inputs.end(), files.begin(), files.end());
  const std::vector<FileStamp> stamps = StampsOf(inputs);
  const std::string key = PreparationKey(setup, inputs);
  std::optional<NewFolder> folder;  // none: a run that writes nothing
  std::optional<PassLog> log;       // removed after the folder is there
  if (!setup.dry_run) {
    if (HoldsPreparation(out, key)) {
      // Of a run that was killed after its folder was there.
      PassLog::RemoveLeftOver(out, key);
      RemoveWhatKilledRunsLeft(out.has_filename() ? out : out.parent_path());
      data.unchanged = true;
      return data;
    }
    RequireUnprepared(out);
    MakeParentFolder(out);
    log.emplace(out, key, setup.log);
    folder.emplace(out);
  }

  const EncodingSetup encoding = EncodingOf(setup);
  ThreadPool pool(setup.threads);
  // Beside `out`; of a run that writes nothing in the system's folder for temporary files.
  const std::filesystem::path beside =
      folder ? folder->target() : std::filesystem::temp_directory_path() / "stablelm-prepare";
  const SpillOptions budget = {.memory_bytes = setup.memory_bytes, .target = beside};
  const SpillOptions part = budget.Share(kBudgetParts);
  const size_t id_bytes = setup.tokenizer.model_vocab_size() <= 65536 ? 2 : 4;
  StepTimes times;
  StepWatch step(times, PrepareStep::kReading);
  SampleCollector collector(recipe, budget.Share(kBudgetParts / 4), id_bytes);
  SampleSpool& spool = collector.spool();
  const EvaluationSets evaluation = ReadEvaluationSets(recipe, part);
  data.overlap_checked = evaluation.checked;
  data.overlap_not_found = evaluation.not_found;
  const NearSigner signer;
  uint64_t bytes = 0;
  for (const SourceFile& file : files) bytes += std::filesystem::file_size(file.path);
  Progress progress("preparing", bytes, Progress::Unit::kBytes, setup.show_progress);
  for (OpenSource& source : sources) {
    step.Next(PrepareStep::kReading);
    SourceAccount account = AccountFor(source, recipe, pool);
    const LossRule loss = account.loss;
    std::vector<std::string> hashes;
    for (const FileAccount& file : account.files) hashes.push_back(file.sha256);
    const auto number = static_cast<uint32_t>(collector.accounts().size());
    collector.BeginSource(*source.recipe, std::move(account));
    std::optional<uint64_t> limit = source.recipe->limit;
    if (setup.limit) limit = std::min(limit.value_or(*setup.limit), *setup.limit);
    step.Pause();
    PassSource({.source = *source.recipe,
                .encoding = encoding,
                .kind = source.kind,
                .columns = source.columns,
                .loss = loss,
                .limit = limit,
                .skip_bad_files = recipe.skip_bad_files,
                .duckdb = recipe.duckdb,
                .evaluation = evaluation.empty() ? nullptr : &evaluation.texts,
                .signer = source.recipe->clean.near_duplicates ? &signer : nullptr,
                // With the loss on the last answers alone each row of a dialogue teaches another one.
                .prompts = source.kind == SourceKind::kHh && loss != LossRule::kLastAssistant,
                .seed = recipe.seed,
                .id_bytes = id_bytes,
                .times = times,
                .log = log ? &*log : nullptr,
                .source_number = number},
               source.files, hashes, pool, progress, collector);
    if (collector.accounts().back().rows == 0) {
      throw Error({.where = "source " + source.recipe->name,
                   .what = "it has no rows",
                   .found = Joined(source.recipe->paths),
                   .hint = "leave the source out of the recipe, or mend its path"});
    }
  }
  progress.Finish();
  RequireUnchanged(inputs, stamps);

  step.Next(PrepareStep::kDuplicates);
  Split train(kTrainSplit, part), validation(kValidationSplit, part);
  collector.Finish([&](const CollectedConversation& one) {
    Distribute(recipe, one, spool.Records(), collector.accounts()[one.source], train, validation);
  });
  step.Pause();
  data.sources = std::move(collector.accounts());
  data.temporary_bytes = collector.spilled_bytes();
  data.resumed_rows = log ? log->replayed_rows() : 0;
  for (size_t i = 0; i < train.instances.size() && i < setup.preview; ++i) {
    data.preview.push_back(PreviewOf(spool, train.instances.Values()[i].sample));
  }
  data.findings = AuditPreparation(setup, data.sources);
  const bool stops = std::any_of(data.findings.begin(), data.findings.end(),
                                 [](const AuditFinding& finding) { return !finding.waived; });
  if (stops && !setup.dry_run) ThrowFindings(data.findings);

  std::vector<ShardFile> shards;
  for (Split* split : {&train, &validation}) {
    for (const std::string& name : FinishSplit(setup, spool, *split, folder ? folder->path() : "", part, times, data)) {
      const StepWatch hashing(times, PrepareStep::kWriting);
      shards.push_back({.name = name,
                        .bytes = std::filesystem::file_size(folder->path() / name),
                        .sha256 = Sha256HexOfFile(folder->path() / name)});
    }
  }
  data.train = train.account;
  data.validation = validation.account;
  RequireBalance(data);
  data.step_seconds = times.Seconds();
  if (!folder) return data;
  if (data.train.packs == 0) ThrowNothingLeft(recipe, data);
  const JsonValue manifest = ManifestOf(setup, data, shards);
  WriteTextFileAtomically(folder->path() / kManifestFile, manifest.Dump(2) + "\n");
  WriteTextFileAtomically(folder->path() / kReportFile,
                          PreparationReport(manifest, SomeOfEachSource(setup, train, spool), setup.tokenizer));
  WriteTextFileAtomically(folder->path() / kRunFile, watch.Json(setup, data, files, key).Dump(2) + "\n");
  folder->Commit();
  return data;
}

}  // namespace stablelm
