#include "dataset/prepare.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <unordered_set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/system.h"
#include "base/temporary_paths.h"
#include "base/thread_pool.h"
#include "base/write_error.h"
#include "dataset/audits.h"
#include "dataset/manifest.h"
#include "dataset/packing.h"
#include "dataset/rows/guess_kind.h"
#include "dataset/run_record.h"
#include "dataset/source_files.h"
#include "dataset/source_pass.h"
#include "dataset/token_shards.h"

namespace stablelm {
namespace {

constexpr size_t kRowsToGuess = 100;

// A conversation that was kept, and its samples [first, first + count).
struct KeptConversation {
  uint32_t source = 0;
  uint32_t first = 0;
  uint32_t count = 0;
  uint64_t split_hash = 0;   // of the first user text: pieces and repetitions of a question fall on one side
  uint64_t weight_hash = 0;  // of its place: which conversations a fractional weight takes
};

struct Key {
  uint64_t low = 0, high = 0;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const { return key.low; }
};

uint64_t Hash(std::string_view text, uint64_t seed) { return XXH3_64bits_withSeed(text.data(), text.size(), seed); }
double UnitOf(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1p-53; }

Key KeyOf(const SourceConversation& conversation) {
  std::string text = conversation.document.value_or("");
  for (const SourceTurn& turn : conversation.turns) {
    text += static_cast<char>(turn.role);
    text += std::to_string(turn.text.size()) + ":" + turn.text;
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

struct OpenSource {
  const SourceRecipe* recipe = nullptr;
  std::vector<SourceFile> files;
  SourceKind kind = SourceKind::kAuto;
  ColumnNames columns;
};

// Takes the rows of one source after another: counts, duplicates, the spool.
class Collector : public PassSink {
 public:
  Collector(const PrepareSetup& setup, SampleSpool& spool) : setup_(setup), spool_(spool) {}

  void BeginSource(const SourceRecipe& recipe, SourceAccount account) {
    recipe_ = &recipe;
    source_ = static_cast<uint32_t>(accounts_.size());
    accounts_.push_back(std::move(account));
  }
  void BeginFile(uint32_t file, const std::string& format) override {
    accounts_.back().files[file].format = format;
    before_file_ = accounts_.back();
    kept_before_file_ = kept_.size();
    new_keys_.clear();
  }
  void DropFile(uint32_t file, const std::string& why) override {
    const uint64_t rows = accounts_.back().rows - before_file_.rows;
    accounts_.back() = before_file_;
    kept_.resize(kept_before_file_);
    for (const Key& key : new_keys_) seen_.erase(key);
    new_keys_.clear();
    SourceAccount& account = accounts_.back();
    account.rows += rows;
    account.conversations += rows;
    for (uint64_t i = 0; i < std::max<uint64_t>(rows, 1); ++i) account.Drop("bad-file", account.files[file].name, why);
  }
  void Take(PassedRow& row) override {
    SourceAccount& account = accounts_.back();
    FileAccount& file = account.files[row.file];
    ++account.rows;
    ++file.rows;
    account.repairs += row.repairs;
    account.changes += row.changes;
    uint32_t piece = 0;
    for (size_t i = 0; i < row.conversations.size(); ++i) {
      ++account.conversations;
      TakeConversation(row, i, file, piece);
    }
  }

  std::vector<SourceAccount>& accounts() { return accounts_; }
  const std::vector<KeptConversation>& kept() const { return kept_; }

 private:
  static std::string Place(const PassedRow& row, const FileAccount& file) {
    return row.line > 0 ? file.name + ":" + std::to_string(row.line) : file.name + ": row " + std::to_string(row.row);
  }
  void TakeConversation(PassedRow& row, size_t number, const FileAccount& file, uint32_t& piece) {
    SourceAccount& account = accounts_.back();
    PassedConversation& one = row.conversations[number];
    if (one.reason.empty() && recipe_->clean.exact_duplicates) {
      const Key key = KeyOf(one.conversation);
      if (seen_.insert(key).second) {
        new_keys_.push_back(key);
      } else {
        one.reason = NameOf(DropReason::kExactDuplicate);
        one.words = WordsOf(DropReason::kExactDuplicate);
        one.encoded.account = {};
      }
    }
    if (one.checked) {
      ++account.texts_checked;
      account.texts_changed += one.encoded.round_trip ? 0 : 1;
    }
    account.tokens.Add(one.encoded.account);
    if (!one.reason.empty()) return account.Drop(one.reason, Place(row, file), one.words);
    account.control_spellings += one.encoded.control_spellings;
    account.open_answers += one.encoded.open_answers;
    ++account.kept;
    KeptConversation kept{.source = source_,
                          .first = spool_.size(),
                          .count = static_cast<uint32_t>(one.encoded.samples.size()),
                          .split_hash = Hash(FirstText(one.conversation), setup_.recipe.seed),
                          .weight_hash = Hash(account.name + "\n" + file.name + "\n" + std::to_string(row.row) + "\n" +
                                                  std::to_string(number),
                                              setup_.recipe.seed)};
    for (const Sample& sample : one.encoded.samples) {
      const uint32_t index =
          spool_.Add(sample, {.source = source_, .file = row.file, .row = row.row, .piece = piece++});
      ++account.samples;
      account.targets += spool_.targets(index);
      size_t bin = 0;
      while (bin + 1 < account.lengths.size() && (sample.ids.size() >> (bin + 1)) > 0) ++bin;
      ++account.lengths[bin];
    }
    kept_.push_back(kept);
  }
  static std::string_view FirstText(const SourceConversation& conversation) {
    constexpr size_t kOfDocument = 256;
    if (conversation.document) return std::string_view(*conversation.document).substr(0, kOfDocument);
    for (const SourceTurn& turn : conversation.turns) {
      if (turn.role == Role::kUser) return turn.text;
    }
    return {};
  }

  const PrepareSetup& setup_;
  SampleSpool& spool_;
  const SourceRecipe* recipe_ = nullptr;
  uint32_t source_ = 0;
  std::vector<SourceAccount> accounts_;
  std::vector<KeptConversation> kept_;
  std::unordered_set<Key, KeyHash> seen_;
  // To forget a file that turns out to be bad.
  SourceAccount before_file_;
  size_t kept_before_file_ = 0;
  std::vector<Key> new_keys_;
};

// A sample in a split, perhaps one of several copies.
struct Instance {
  uint32_t sample = 0;
  uint32_t repeat = 0;
};

struct Split {
  std::string name;
  std::vector<Instance> instances;
  std::vector<uint32_t> lengths;
  SplitAccount account;
};

void Distribute(const PrepareSetup& setup, const SampleSpool& spool, const std::vector<KeptConversation>& kept,
                std::vector<SourceAccount>& accounts, Split& train, Split& validation) {
  for (const KeptConversation& one : kept) {
    const bool held_out = UnitOf(one.split_hash) < setup.recipe.validation;
    Split& split = held_out ? validation : train;
    const double weight = setup.recipe.sources[one.source].weight;
    const double whole = std::floor(weight);
    uint32_t copies = static_cast<uint32_t>(whole) + (UnitOf(one.weight_hash) < weight - whole ? 1 : 0);
    if (held_out) copies = std::min(copies, 1U);  // nobody validates twice on the same
    SourceAccount& account = accounts[one.source];
    uint64_t tokens = 0;
    for (uint32_t i = one.first; i < one.first + one.count; ++i) tokens += spool.length(i);
    if (copies == 0) {
      account.samples_left_out += one.count;
      account.tokens_left_out += tokens;
      continue;
    }
    account.samples_repeated += uint64_t{copies - 1} * one.count;
    account.tokens_repeated += (copies - 1) * tokens;
    ++split.account.conversations;
    for (uint32_t repeat = 0; repeat < copies; ++repeat) {
      for (uint32_t i = one.first; i < one.first + one.count; ++i) {
        split.instances.push_back({.sample = i, .repeat = repeat});
        split.lengths.push_back(spool.length(i));
      }
    }
  }
}

// Packs and writes one split; returns the names of its files. `folder` empty: writes nothing.
std::vector<std::string> FinishSplit(const PrepareSetup& setup, SampleSpool& spool, Split& split,
                                     const std::filesystem::path& folder) {
  const DataRecipe& recipe = setup.recipe;
  const Packs packs = PackSamples(split.lengths, recipe.sequence_length, recipe.packing, recipe.seed);
  SplitAccount& account = split.account;
  account.documents = packs.documents.size();
  account.packs = packs.size();
  account.fill = packs.Fill(recipe.sequence_length);
  uint64_t given = 0;
  for (const uint32_t length : split.lengths) given += length;
  for (const PackedDocument& document : packs.documents) {
    account.tokens += document.length;
    if (document.offset == 0) account.targets += spool.targets(split.instances[document.sample].sample);
  }
  account.lone_tokens = given - account.tokens;
  STABLELM_CHECK(recipe.packing == Packing::kConcat || account.lone_tokens == 0);
  if (folder.empty() || packs.size() == 0) return {};
  const auto describe = [&](uint32_t instance) {
    const Instance& one = split.instances[instance];
    const SampleOrigin& origin = spool.origin(one.sample);
    return TokenDocument{
        .row = origin.row, .source = origin.source, .file = origin.file, .piece = origin.piece, .repeat = one.repeat};
  };
  const auto read = [&](uint32_t instance) { return spool.Read(split.instances[instance].sample); };
  return WriteTokenShards(folder,
                          {.split = split.name,
                           .sequence_length = recipe.sequence_length,
                           .vocab_size = setup.tokenizer.model_vocab_size()},
                          packs, describe, read);
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

std::vector<OpenSource> OpenSources(const DataRecipe& recipe) {
  std::vector<OpenSource> sources;
  for (const SourceRecipe& one : recipe.sources) {
    OpenSource source{
        .recipe = &one, .files = FindSourceFiles(one, recipe.folder), .kind = one.kind, .columns = one.columns};
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

void KeepPreview(const PrepareSetup& setup, SampleSpool& spool, PreparedData& data) {
  for (uint32_t i = 0; i < spool.size() && data.preview.size() < setup.preview; ++i) {
    const SampleTokens tokens = spool.Read(i);
    data.preview.push_back({.ids = {tokens.ids.begin(), tokens.ids.end()},
                            .targets = {tokens.targets.begin(), tokens.targets.end()},
                            .origin = spool.origin(i)});
  }
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

}  // namespace

PreparedData PrepareData(const PrepareSetup& setup, const std::filesystem::path& out) {
  const RunWatch watch;
  const DataRecipe& recipe = setup.recipe;
  std::vector<OpenSource> sources = OpenSources(recipe);
  std::vector<SourceFile> files;
  for (const OpenSource& source : sources) files.insert(files.end(), source.files.begin(), source.files.end());
  const std::string key = ContentKey(setup, files);
  PreparedData data;
  if (!setup.dry_run && std::filesystem::exists(out)) {
    if (HoldsPreparation(out, key)) {
      data.unchanged = true;
      return data;
    }
    throw Error({.where = out.string(),
                 .what = "it exists, and does not hold these data as prepared by this recipe",
                 .hint = "name another folder (-o), or remove this one"});
  }

  const EncodingSetup encoding = EncodingOf(setup);
  ThreadPool pool(setup.threads);
  // Beside `out`; of a run that writes nothing in the system's folder for temporary files.
  const std::filesystem::path beside =
      setup.dry_run ? std::filesystem::temp_directory_path() / "stablelm-prepare" : out;
  SampleSpool spool(beside, setup.tokenizer.model_vocab_size() <= 65536 ? 2 : 4);
  Collector collector(setup, spool);
  uint64_t bytes = 0;
  for (const SourceFile& file : files) bytes += std::filesystem::file_size(file.path);
  Progress progress("preparing", bytes, Progress::Unit::kBytes, setup.show_progress);
  for (OpenSource& source : sources) {
    SourceAccount account = AccountFor(source, recipe, pool);
    const LossRule loss = account.loss;
    collector.BeginSource(*source.recipe, std::move(account));
    std::optional<uint64_t> limit = source.recipe->limit;
    if (setup.limit) limit = std::min(limit.value_or(*setup.limit), *setup.limit);
    PassSource({.source = *source.recipe,
                .encoding = encoding,
                .kind = source.kind,
                .columns = source.columns,
                .loss = loss,
                .limit = limit,
                .skip_bad_files = recipe.skip_bad_files,
                .duckdb = recipe.duckdb},
               source.files, pool, progress, collector);
    if (collector.accounts().back().rows == 0) {
      throw Error({.where = "source " + source.recipe->name,
                   .what = "it has no rows",
                   .found = Joined(source.recipe->paths),
                   .hint = "leave the source out of the recipe, or mend its path"});
    }
  }
  progress.Finish();
  data.sources = std::move(collector.accounts());

  Split train{.name = kTrainSplit, .instances = {}, .lengths = {}, .account = {}};
  Split validation{.name = kValidationSplit, .instances = {}, .lengths = {}, .account = {}};
  Distribute(setup, spool, collector.kept(), data.sources, train, validation);
  KeepPreview(setup, spool, data);
  data.findings = AuditPreparation(setup, data.sources);
  const bool stops = std::any_of(data.findings.begin(), data.findings.end(),
                                 [](const AuditFinding& finding) { return !finding.waived; });
  if (stops && !setup.dry_run) ThrowFindings(data.findings);

  std::optional<TemporaryPath> folder;
  if (!setup.dry_run) folder.emplace(out, TemporaryPath::Kind::kFolder);
  std::vector<ShardFile> shards;
  for (Split* split : {&train, &validation}) {
    for (const std::string& name : FinishSplit(setup, spool, *split, folder ? folder->path() : "")) {
      shards.push_back({.name = name,
                        .bytes = std::filesystem::file_size(folder->path() / name),
                        .sha256 = Sha256HexOfFile(folder->path() / name)});
    }
  }
  data.train = train.account;
  data.validation = validation.account;
  RequireBalance(data);
  if (!folder) return data;
  if (data.train.packs == 0) {
    throw Error({.where = recipe.name,
                 .what = "nothing is left to train on",
                 .found = std::to_string(data.validation.conversations) + " conversations for validation, none for "
                                                                          "training",
                 .hint = "--dry-run shows what was dropped and why"});
  }
  WriteTextFileAtomically(folder->path() / kManifestFile, ManifestOf(setup, data, shards).Dump(2) + "\n");
  WriteTextFileAtomically(folder->path() / kRunFile, watch.Json(setup, files, key).Dump(2) + "\n");
  if (const int error = folder->MoveTo(out, false); error != 0)
    FailToWrite(out, "cannot move the finished folder", error);
  return data;
}

}  // namespace stablelm
