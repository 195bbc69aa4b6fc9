#include "dataset/source_pass.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "dataset/clean/clean_conversation.h"
#include "dataset/clean/words.h"
#include "dataset/pass_log.h"
#include "dataset/read/row_reader.h"
#include "dataset/rows/row_shapes.h"

namespace stablelm {
namespace {

constexpr size_t kBatchBytes = size_t{4} << 20;
constexpr size_t kBatchRows = 4096;
constexpr size_t kTaskRows = 16;
constexpr size_t kLargeRowBytes = size_t{1} << 20;
constexpr uint64_t kCheckEvery = 64;       // in one row of this many the texts are compared with those of their ids
constexpr uint64_t kRowsForColumns = 100;  // that lack a needed column, and none has it: the recipe is wrong

struct BatchRow {
  DataRow row;  // `json` is a place in the batch's bytes, or of a large row in the reader's
  size_t begin = 0, size = 0;
};

// Rows of one file, or one large row.
struct Batch {
  std::string bytes;
  std::vector<BatchRow> rows;
  bool large = false;
  bool last = false;               // of the file
  std::optional<ErrorInfo> error;  // the file cannot be read on
  std::vector<PassedRow> passed;

  // kRowPadding bytes follow.
  std::string_view Json(size_t i) const {
    return large ? rows[i].row.json : std::string_view(bytes).substr(rows[i].begin, rows[i].size);
  }
  void Clear() {
    bytes.clear();
    rows.clear();
    passed.clear();
    large = last = false;
    error.reset();
  }
};

// Reads a file in batches.
class BatchReader {
 public:
  BatchReader(const SourceFile& file, const PassSetup& setup, uint64_t most, Progress& progress)
      : reader_(OpenRows(file.path, ReadOptionsOf(setup))), left_(most), times_(setup.times), progress_(progress) {}

  const char* format() const { return NameOf(reader_->format()); }
  void Skip(uint64_t rows) {
    const StepWatch watch(times_, PrepareStep::kReading);
    for (; rows > 0 && left_ > 0 && reader_->Next(); --rows) --left_;
    TellProgress();
  }
  // A large row is valid until the next call.
  void Fill(Batch& batch) {
    const StepWatch watch(times_, PrepareStep::kReading);
    batch.Clear();
    try {
      while (batch.rows.size() < kBatchRows && batch.bytes.size() < kBatchBytes) {
        std::optional<DataRow> row = std::exchange(waiting_, std::nullopt);
        if (!row && left_ > 0) {
          row = reader_->Next();
          if (row) --left_;
        }
        if (!row) {
          batch.last = true;
          break;
        }
        if (row->json.size() > kLargeRowBytes) {
          if (!batch.rows.empty()) {
            waiting_ = std::move(row);
            break;
          }
          batch.large = true;
          batch.rows.push_back({.row = *std::move(row)});
          break;
        }
        batch.rows.push_back({.row = *row, .begin = batch.bytes.size(), .size = row->json.size()});
        batch.bytes += row->json;
      }
    } catch (const Error& error) {
      batch.last = true;
      batch.error = error.info();
    }
    batch.bytes.append(kRowPadding, ' ');
    TellProgress();
  }

  static ReadOptions ReadOptionsOf(const PassSetup& setup) {
    return {.columns =
                [&setup](const std::vector<std::string>& present) {
                  return ColumnsToRead({.kind = setup.kind, .columns = setup.columns}, present);
                },
            .duckdb = setup.duckdb};
  }

 private:
  void TellProgress() {
    const uint64_t consumed = reader_->consumed();
    progress_.Add(consumed - told_);
    told_ = consumed;
  }

  std::unique_ptr<RowReader> reader_;
  std::optional<DataRow> waiting_;  // a large row that came behind others
  uint64_t left_;
  StepTimes& times_;
  Progress& progress_;
  uint64_t told_ = 0;
};

// The beginning of the document or of the first user text.
std::string_view FirstText(const SourceConversation& conversation) {
  constexpr size_t kOfDocument = 256, kOfTurn = size_t{64} << 10;
  if (conversation.document) return std::string_view(*conversation.document).substr(0, kOfDocument);
  for (const SourceTurn& turn : conversation.turns) {
    if (turn.role != Role::kUser) continue;
    size_t end = std::min(turn.text.size(), kOfTurn);
    while (end < turn.text.size() && (turn.text[end] & 0xC0) == 0x80) --end;  // whole characters
    return std::string_view(turn.text).substr(0, end);
  }
  return {};
}

// What a thread keeps between rows.
class Worker {
 public:
  explicit Worker(const PassSetup& setup)
      : setup_(setup),
        shaper_(RulesOf(setup)),
        split_system_(SystemOfSplitRow(RulesOf(setup))),
        encoder_(setup.encoding) {}

  PassedRow Pass(const DataRow& row, std::string_view json, uint32_t file) {
    PassedRow passed{
        .file = file, .row = row.index, .line = row.line, .repairs = row.repairs, .changes = {}, .conversations = {}};
    if (!row.problem.empty()) {
      passed.conversations.push_back(Dropped("broken-row", row.problem));
      return passed;
    }
    StepWatch watch(setup_.times, PrepareStep::kCleaning);
    ShapedRow shaped = shaper_.Shape(json);
    passed.changes[TextChange::kPlaceholders] += shaped.placeholders;
    if (shaped.conversations.empty()) {
      passed.conversations.push_back(Dropped(shaped.problem.name, shaped.problem.words));
      return passed;
    }
    const bool check = row.index % kCheckEvery == 0 && json.size() <= kLargeRowBytes;
    for (SourceConversation& conversation : shaped.conversations) {
      watch.Next(PrepareStep::kCleaning);
      const uint64_t end_markers = passed.changes[TextChange::kEndMarkers];
      const std::optional<DropReason> reason = CleanConversation(conversation, setup_.source.clean, passed.changes);
      if (split_system_ && passed.changes[TextChange::kEndMarkers] > end_markers && conversation.turns.size() > 2) {
        conversation.system = split_system_;
      }
      const std::optional<Overlap> overlap =
          reason || setup_.evaluation == nullptr ? std::nullopt : setup_.evaluation->Find(conversation);
      if (reason) {
        passed.conversations.push_back(Dropped(std::string(NameOf(*reason)), std::string(WordsOf(*reason))));
      } else if (overlap) {
        passed.conversations.push_back(Dropped(std::string(NameOf(DropReason::kEvaluationOverlap)),
                                               "text of " + setup_.evaluation->names()[overlap->set]));
      } else {
        watch.Next(PrepareStep::kTokenizing);
        passed.conversations.push_back(Encode(conversation, check));
        watch.Next(PrepareStep::kDuplicates);
        if (passed.conversations.back().reason.empty()) AddKeys(conversation, passed.conversations.back());
      }
      conversation = {};
    }
    return passed;
  }

 private:
  static ShapeRules RulesOf(const PassSetup& setup) {
    return {.kind = setup.kind,
            .columns = setup.columns,
            .manner = setup.source.manner,
            .placeholders = setup.source.clean.placeholders};
  }
  static PassedConversation Dropped(std::string reason, std::string words) {
    PassedConversation one;
    one.reason = std::move(reason);
    one.words = std::move(words);
    return one;
  }

  PassedConversation Encode(SourceConversation& conversation, bool check) {
    EncodedConversation encoded = encoder_.Encode(conversation, setup_.source.system, setup_.loss, check);
    PassedConversation one;
    one.tokens = encoded.account;
    if (encoded.samples.empty()) {
      Explain(one);
      return one;
    }
    one.control_spellings = encoded.control_spellings;
    one.open_answers = encoded.open_answers;
    one.checked = check;
    one.changed = check && !encoded.round_trip;
    size_t bytes = 0;
    for (const Sample& sample : encoded.samples) bytes += SampleBytes::BytesOf(sample.ids.size(), setup_.id_bytes);
    one.samples.bytes.reserve(bytes);
    for (Sample& sample : encoded.samples) {
      one.samples.Add(sample, setup_.id_bytes);
      sample = {};
    }
    return one;
  }
  static void Explain(PassedConversation& one) {
    if (one.tokens.exchanges_too_long > 0) {
      one.reason = "too-long";
      one.words = "a question and its answer of " + std::to_string(one.tokens.read) + " tokens do not fit the sequence";
    } else {
      one.reason = "no-targets";
      one.words = "no token of it is to be learned";
    }
  }

  void AddKeys(const SourceConversation& conversation, PassedConversation& one) {
    const std::string_view first = FirstText(conversation);
    hashes_.clear();
    if (!conversation.document) words_.AppendHashes(first, hashes_);
    const uint64_t text = hashes_.empty() ? Hash64(first) : HashOfWords(hashes_);
    one.split_hash = Hash64(std::to_string(setup_.seed) + "\n" + std::to_string(text));
    if (setup_.source.clean.exact_duplicates) one.key = KeyOf(conversation);
    if (setup_.signer != nullptr) one.near = setup_.signer->Sign(conversation);
    if (setup_.prompts) one.prompts = PromptPrefixes::PromptsOf(conversation);
  }

  const PassSetup& setup_;
  RowShaper shaper_;
  std::optional<std::string> split_system_;
  ConversationEncoder encoder_;
  WordSplitter words_;
  std::vector<uint64_t> hashes_;
};

// Rows that lack a column that the kind needs, until one has all.
class ColumnWatch {
 public:
  void See(const PassedRow& row, const SourceFile& file) {
    const PassedConversation& one = row.conversations.front();
    if (one.reason == "missing-column") {
      if (missing_++ == 0) words_ = one.words;
    } else if (one.reason != "not-json" && one.reason != "broken-row") {
      found_ = true;
    }
    if (missing_ >= kRowsForColumns) Require(file);
  }
  void Require(const SourceFile& file) const {
    if (found_ || missing_ == 0) return;
    throw Error({.where = file.name,
                 .what = "the rows do not have the columns that this kind of source needs: " + words_,
                 .hint = "`kind: columns` with `columns:` in the recipe names them; `kind: auto` finds out what the "
                         "file is; files of other columns than the first are a source of their own"});
  }

 private:
  uint64_t missing_ = 0;
  bool found_ = false;
  std::string words_;
};

// What goes into the manifest names the file as the manifest does, not where it lies on this machine.
std::string WithoutFolder(std::string words, const SourceFile& file) {
  const std::string path = file.path.string();
  for (size_t at = 0; (at = words.find(path, at)) != std::string::npos; at += file.name.size()) {
    words.replace(at, path.size(), file.name);
  }
  return words;
}

class Pass {
 public:
  Pass(const PassSetup& setup, ThreadPool& pool, Progress& progress, PassSink& sink)
      : setup_(setup), pool_(pool), progress_(progress), sink_(sink), left_(setup.limit.value_or(~uint64_t{0})) {
    for (size_t i = 0; i < pool.NumThreads(); ++i) workers_.emplace_back(setup);
  }

  bool Done() const { return left_ == 0; }

  void File(const SourceFile& file, uint32_t number, const std::string& sha256) {
    ColumnWatch columns;
    const PassLog::FileId id = {.source = setup_.source_number, .file = number, .sha256 = sha256};
    uint64_t replayed = 0;
    if (setup_.log != nullptr) {
      const StepWatch watch(setup_.times, PrepareStep::kReading);
      const auto begin = [&](const std::string& format) {
        if (!format.empty()) sink_.BeginFile(number, format);
      };
      const auto take = [&](PassedRow& row) {
        columns.See(row, file);
        sink_.Take(row);
      };
      if (const std::optional<PassLog::Replayed> had = setup_.log->Replay(id, begin, take)) {
        if (had->dropped) sink_.DropFile(number, *had->dropped);
        left_ -= had->rows;
        if (had->ended) {
          progress_.Add(std::filesystem::file_size(file.path));
          return;
        }
        replayed = had->rows;
      }
    }
    if (setup_.skip_bad_files && replayed == 0) {
      try {
        ReadThrough(file);
      } catch (const Error& error) {
        const std::string why = WithoutFolder(error.what(), file);
        sink_.DropFile(number, why);
        if (setup_.log != nullptr) {
          setup_.log->BeginFile(id, "");
          setup_.log->DropFile(why);
        }
        return;
      }
    }
    ReadFile(file, id, replayed, columns);
  }

 private:
  // Throws Error when the file cannot be read to its end.
  void ReadThrough(const SourceFile& file) const {
    const StepWatch watch(setup_.times, PrepareStep::kReading);
    const std::unique_ptr<RowReader> reader = OpenRows(file.path, BatchReader::ReadOptionsOf(setup_));
    while (reader->Next()) {
    }
  }

  // From row `begin` on.
  void ReadFile(const SourceFile& file, const PassLog::FileId& id, uint64_t begin, ColumnWatch& columns) {
    BatchReader reader(file, setup_, begin + left_, progress_);
    reader.Skip(begin);
    if (begin == 0) {
      sink_.BeginFile(id.file, reader.format());
      if (setup_.log != nullptr) setup_.log->BeginFile(id, reader.format());
    }
    Batch now, next;
    reader.Fill(now);
    for (;;) {
      now.passed.resize(now.rows.size());
      const size_t tasks = (now.rows.size() + kTaskRows - 1) / kTaskRows;
      // The first task reads ahead while the others work, but for a large row, which lies in the reader's memory.
      const bool ahead = !now.last && !now.large;
      pool_.ForEach(tasks + 1, [&](size_t task, size_t worker) {
        if (task == 0) {
          if (ahead) reader.Fill(next);
          return;
        }
        const size_t end = std::min(task * kTaskRows, now.rows.size());
        for (size_t i = (task - 1) * kTaskRows; i < end; ++i) {
          now.passed[i] = workers_[worker].Pass(now.rows[i].row, now.Json(i), id.file);
        }
      });
      const StepWatch watch(setup_.times, PrepareStep::kWriting);
      for (PassedRow& row : now.passed) {
        columns.See(row, file);
        sink_.Take(row);
        if (setup_.log != nullptr) setup_.log->Row(row);
      }
      left_ -= now.rows.size();
      if (now.error) throw Error(*now.error);
      if (now.last) break;
      if (!ahead) {
        now.passed.clear();
        reader.Fill(next);
      }
      std::swap(now, next);
    }
    columns.Require(file);
    if (setup_.log != nullptr) setup_.log->EndFile();
  }

  const PassSetup& setup_;
  ThreadPool& pool_;
  Progress& progress_;
  PassSink& sink_;
  std::vector<Worker> workers_;
  uint64_t left_;
};

}  // namespace

void PassSource(const PassSetup& setup, const std::vector<SourceFile>& files, const std::vector<std::string>& hashes,
                ThreadPool& pool, Progress& progress, PassSink& sink) {
  Pass pass(setup, pool, progress, sink);
  for (uint32_t i = 0; i < files.size() && !pass.Done(); ++i) pass.File(files[i], i, hashes[i]);
}

std::vector<std::string> FirstRows(const SourceFile& file, size_t most, const std::string& duckdb) {
  const std::unique_ptr<RowReader> reader = OpenRows(file.path, {.duckdb = duckdb});
  std::vector<std::string> rows;
  while (rows.size() < most) {
    const std::optional<DataRow> row = reader->Next();
    if (!row) break;
    if (row->problem.empty()) rows.emplace_back(row->json);
  }
  return rows;
}

}  // namespace stablelm
