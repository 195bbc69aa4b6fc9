#include "dataset/source_pass.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "dataset/clean/clean_conversation.h"
#include "dataset/read/row_reader.h"
#include "dataset/rows/row_shapes.h"

namespace stablelm {
namespace {

constexpr size_t kBatchBytes = size_t{4} << 20;
constexpr size_t kBatchRows = 4096;
constexpr size_t kTaskRows = 16;
constexpr uint64_t kCheckEvery = 64;       // in one row of this many the texts are compared with those of their ids
constexpr uint64_t kRowsForColumns = 100;  // that lack a needed column, and none has it: the recipe is wrong

struct BatchRow {
  DataRow row;  // `json` is a place in the batch's bytes
  size_t begin = 0, size = 0;
};

// Rows of one file.
struct Batch {
  std::string bytes;
  std::vector<BatchRow> rows;
  bool last = false;               // of the file
  std::optional<ErrorInfo> error;  // the file cannot be read on
  std::vector<PassedRow> passed;

  std::string_view Json(size_t i) const { return std::string_view(bytes).substr(rows[i].begin, rows[i].size); }
};

// Reads a file in batches.
class BatchReader {
 public:
  BatchReader(const SourceFile& file, const PassSetup& setup, uint64_t most, Progress& progress)
      : reader_(OpenRows(file.path, {.format = {}, .columns = {}, .duckdb = setup.duckdb})),
        left_(most),
        progress_(progress) {}

  const char* format() const { return NameOf(reader_->format()); }
  void Fill(Batch& batch) {
    batch = {};
    try {
      while (batch.rows.size() < kBatchRows && batch.bytes.size() < kBatchBytes) {
        std::optional<DataRow> row;
        if (left_ > 0) row = reader_->Next();
        if (!row) {
          batch.last = true;
          break;
        }
        --left_;
        batch.rows.push_back({.row = *row, .begin = batch.bytes.size(), .size = row->json.size()});
        batch.bytes += row->json;
      }
    } catch (const Error& error) {
      batch.last = true;
      batch.error = error.info();
    }
    const uint64_t consumed = reader_->consumed();
    progress_.Add(consumed - told_);
    told_ = consumed;
  }

 private:
  std::unique_ptr<RowReader> reader_;
  uint64_t left_;
  Progress& progress_;
  uint64_t told_ = 0;
};

// What a thread keeps between rows.
class Worker {
 public:
  explicit Worker(const PassSetup& setup)
      : setup_(setup),
        shaper_({.kind = setup.kind,
                 .columns = setup.columns,
                 .manner = setup.source.manner,
                 .placeholders = setup.source.clean.placeholders}),
        encoder_(setup.encoding) {}

  PassedRow Pass(const DataRow& row, std::string_view json, uint32_t file) {
    PassedRow passed{
        .file = file, .row = row.index, .line = row.line, .repairs = row.repairs, .changes = {}, .conversations = {}};
    if (!row.problem.empty()) {
      passed.conversations.push_back(Dropped("broken-row", row.problem));
      return passed;
    }
    ShapedRow shaped = shaper_.Shape(json);
    passed.changes[TextChange::kPlaceholders] += shaped.placeholders;
    if (shaped.conversations.empty()) {
      passed.conversations.push_back(Dropped(shaped.problem.name, shaped.problem.words));
      return passed;
    }
    for (SourceConversation& conversation : shaped.conversations) {
      PassedConversation one;
      const std::optional<DropReason> reason = CleanConversation(conversation, setup_.source.clean, passed.changes);
      const std::optional<Overlap> overlap =
          reason || setup_.evaluation == nullptr ? std::nullopt : setup_.evaluation->Find(conversation);
      if (reason) {
        one = Dropped(std::string(NameOf(*reason)), std::string(WordsOf(*reason)));
      } else if (overlap) {
        one = Dropped(std::string(NameOf(DropReason::kEvaluationOverlap)),
                      "text of " + setup_.evaluation->names()[overlap->set]);
      } else {
        one.checked = row.index % kCheckEvery == 0;
        one.encoded = encoder_.Encode(conversation, setup_.source.system, setup_.loss, one.checked);
        if (one.encoded.samples.empty()) {
          Explain(one);
        } else {
          if (setup_.source.clean.exact_duplicates) one.key = KeyOf(conversation);
          if (setup_.signer != nullptr) one.near = setup_.signer->Sign(conversation);
        }
      }
      one.conversation = std::move(conversation);
      passed.conversations.push_back(std::move(one));
    }
    return passed;
  }

 private:
  static PassedConversation Dropped(std::string reason, std::string words) {
    PassedConversation one;
    one.reason = std::move(reason);
    one.words = std::move(words);
    return one;
  }
  static void Explain(PassedConversation& one) {
    const TokenAccount& account = one.encoded.account;
    if (account.exchanges_too_long > 0) {
      one.reason = "too-long";
      one.words = "a question and its answer of " + std::to_string(account.read) + " tokens do not fit the sequence";
    } else {
      one.reason = "no-targets";
      one.words = "no token of it is to be learned";
    }
  }

  const PassSetup& setup_;
  RowShaper shaper_;
  ConversationEncoder encoder_;
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
                         "file is"});
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

  void File(const SourceFile& file, uint32_t number) {
    if (setup_.skip_bad_files) {
      try {
        ReadThrough(file);
      } catch (const Error& error) {
        sink_.DropFile(number, WithoutFolder(error.what(), file));
        return;
      }
    }
    ReadFile(file, number);
  }

 private:
  // Throws Error when the file cannot be read to its end.
  void ReadThrough(const SourceFile& file) const {
    const std::unique_ptr<RowReader> reader =
        OpenRows(file.path, {.format = {}, .columns = {}, .duckdb = setup_.duckdb});
    while (reader->Next()) {
    }
  }
  void ReadFile(const SourceFile& file, uint32_t number) {
    BatchReader reader(file, setup_, left_, progress_);
    sink_.BeginFile(number, reader.format());
    ColumnWatch columns;
    uint64_t rows = 0;
    Batch now, next;
    reader.Fill(now);
    for (;;) {
      now.passed.resize(now.rows.size());
      const size_t tasks = (now.rows.size() + kTaskRows - 1) / kTaskRows;
      // The first task reads ahead while the others work.
      pool_.ForEach(tasks + 1, [&](size_t task, size_t worker) {
        if (task == 0) {
          if (!now.last) reader.Fill(next);
          return;
        }
        const size_t end = std::min(task * kTaskRows, now.rows.size());
        for (size_t i = (task - 1) * kTaskRows; i < end; ++i) {
          now.passed[i] = workers_[worker].Pass(now.rows[i].row, now.Json(i), number);
        }
      });
      for (PassedRow& row : now.passed) {
        columns.See(row, file);
        sink_.Take(row);
      }
      rows += now.rows.size();
      if (now.error) throw Error(*now.error);
      if (now.last) break;
      std::swap(now, next);
    }
    columns.Require(file);
    left_ -= rows;
  }

  const PassSetup& setup_;
  ThreadPool& pool_;
  Progress& progress_;
  PassSink& sink_;
  std::vector<Worker> workers_;
  uint64_t left_;
};

}  // namespace

void PassSource(const PassSetup& setup, const std::vector<SourceFile>& files, ThreadPool& pool, Progress& progress,
                PassSink& sink) {
  Pass pass(setup, pool, progress, sink);
  for (uint32_t i = 0; i < files.size() && !pass.Done(); ++i) pass.File(files[i], i);
}

std::vector<std::string> FirstRows(const SourceFile& file, size_t most, const std::string& duckdb) {
  const std::unique_ptr<RowReader> reader = OpenRows(file.path, {.format = {}, .columns = {}, .duckdb = duckdb});
  std::vector<std::string> rows;
  while (rows.size() < most) {
    const std::optional<DataRow> row = reader->Next();
    if (!row) break;
    if (row->problem.empty()) rows.emplace_back(row->json);
  }
  return rows;
}

}  // namespace stablelm
