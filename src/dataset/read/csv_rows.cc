// Follows RFC 4180, with what is met beside it: tabs as separators, lines that end in LF alone, a byte order mark, a
// last line without end, quotes inside a field that does not begin with one.
#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "base/utf8.h"
#include "dataset/read/json_text.h"
#include "dataset/read/row_formats.h"
#include "dataset/read/window_rows.h"

namespace stablelm {
namespace {

constexpr size_t kMostFields = size_t{1} << 14;
constexpr size_t kMostHeaderBytes = size_t{1} << 20;  // each row repeats the names

struct Field {
  size_t begin = 0, end = 0;  // in the text, without the quotes
  bool quoted = false;
  bool doubled = false;  // holds doubled quotes
};

enum class Record {
  kWhole,
  kMore,        // goes on after the text
  kAfterQuote,  // text after the quote that ends a field
  kManyFields,  // more than kMostFields
};

// Finds the fields of the record that begins the text, and its length with the line's end. `last`: the file ends with
// the text.
Record SplitRecord(std::string_view text, char separator, bool last, std::vector<Field>& fields, size_t& bytes) {
  fields.clear();
  size_t at = 0;
  while (true) {
    Field field;
    if (at < text.size() && text[at] == '"') {
      field.begin = ++at;
      field.quoted = true;
      while (true) {
        const size_t quote = text.find('"', at);
        if (quote == std::string_view::npos || (quote + 1 == text.size() && !last)) return Record::kMore;
        field.end = quote;
        at = quote + 1;
        if (at == text.size() || text[at] != '"') break;
        field.doubled = true;
        ++at;
      }
    } else {
      field.begin = at;
      while (at < text.size() && text[at] != separator && text[at] != '\n') ++at;
      field.end = at;
    }
    if (fields.size() == kMostFields) return Record::kManyFields;
    fields.push_back(field);
    if (at < text.size() && text[at] == separator) {
      ++at;
      continue;
    }
    if (at < text.size() && text[at] == '\r') ++at;  // after a quote
    if (at == text.size()) {
      if (!last) return Record::kMore;
      bytes = at;
    } else if (text[at] == '\n') {
      bytes = at + 1;
    } else {
      return Record::kAfterQuote;
    }
    Field& end = fields.back();
    if (!end.quoted && end.end > end.begin && text[end.end - 1] == '\r') --end.end;
    return Record::kWhole;
  }
}

class Csv final : public WindowRows {
 public:
  Csv(ByteWindow window, std::string file, RowFormat format)
      : WindowRows(std::move(window), format),
        file_(std::move(file)),
        separator_(format == RowFormat::kCsv ? ',' : '\t') {
    ReadHeader();
  }

  std::vector<std::string> columns() const override { return columns_; }

  std::optional<DataRow> Next() override {
    while (true) {
      window_.Skip(record_bytes_);
      record_bytes_ = 0;
      if (window_.text().empty() && !window_.Fill()) return std::nullopt;
      const uint64_t line = window_.line();
      const std::string problem = ReadRecord();
      if (!problem.empty()) {
        SkipLine();
        return Broken(line, problem);
      }
      if (IsBlank()) continue;
      if (fields_.size() != columns_.size()) {
        return Broken(line, "wrong number of fields: found " + std::to_string(fields_.size()) + ", expected " +
                                std::to_string(columns_.size()) + " as in the first line");
      }
      json_ = "{";
      for (size_t i = 0; i < fields_.size(); ++i) {
        json_.append(i > 0 ? ", " : "").append(keys_[i]);
        AppendJsonString(Value(fields_[i]), json_);
      }
      json_ += '}';
      if (json_.size() > kMostRowBytes) return Broken(line, kRowTooLong);
      json_.reserve(json_.size() + kRowPadding);
      return Row(line, json_);
    }
  }

 private:
  // Whether the record is a line without anything.
  bool IsBlank() const { return fields_.size() == 1 && fields_[0].begin == fields_[0].end && !fields_[0].quoted; }

  // Sets fields_ and record_bytes_; returns what is wrong.
  std::string ReadRecord() {
    bool last = false;
    while (true) {
      const Record record = SplitRecord(window_.text(), separator_, last, fields_, record_bytes_);
      const size_t searched = window_.text().size();
      if (record == Record::kWhole) return record_bytes_ > kMostRowBytes ? kRowTooLong : "";
      record_bytes_ = 0;
      if (record == Record::kAfterQuote) return "text after the quote that ends a field";
      if (record == Record::kManyFields) return "more than " + std::to_string(kMostFields) + " fields";
      if (last || searched > kMostRowBytes) {
        if (searched > kMostSearchedAgain - searched_again_) {
          throw Error({.where = file_ + ": line " + std::to_string(window_.line()),
                       .what = "too many rows are too long or have quotes that are never closed",
                       .hint = "is this a CSV file? write a quote inside of a field twice (\"\")"});
        }
        searched_again_ += searched;
        return last ? "a quote is never closed" : kRowTooLong;
      }
      // Twice as much before the next try, so that long records are not searched again and again.
      last = !window_.FillTo(2 * searched);
    }
  }

  // To behind the end of the first line of a broken record: its quotes say nothing about where the next record begins.
  void SkipLine() {
    if (record_bytes_ > 0) return;
    while (true) {
      const size_t newline = window_.text().find('\n');
      if (newline != std::string_view::npos) return window_.Skip(newline + 1);
      window_.Skip(window_.text().size());
      if (!window_.Fill()) return;
    }
  }

  // Valid until the next call or Fill.
  std::string_view Value(const Field& field) {
    const std::string_view text = window_.text().substr(field.begin, field.end - field.begin);
    if (!field.doubled) return text;
    value_.clear();
    size_t done = 0;
    for (size_t quote; (quote = text.find('"', done)) != std::string_view::npos; done = quote + 2) {
      value_.append(text.substr(done, quote + 1 - done));
    }
    value_.append(text.substr(done));
    return value_;
  }

  [[noreturn]] void FailHeader(const std::string& what, const std::string& found = {}, const std::string& expected = {},
                               const std::string& hint = "the first line of a CSV file names its columns") const {
    throw Error({.where = file_ + ": line " + std::to_string(window_.line()),
                 .what = what,
                 .found = found,
                 .expected = expected,
                 .hint = hint});
  }

  void ReadHeader() {
    do {
      window_.Skip(record_bytes_);
      record_bytes_ = 0;
      if (window_.text().empty() && !window_.Fill()) {
        FailHeader("the file is empty", {}, "a first line with the names of the columns");
      }
      const std::string problem = ReadRecord();
      if (!problem.empty()) FailHeader("the names of the columns cannot be read: " + problem);
    } while (IsBlank());
    if (record_bytes_ > kMostHeaderBytes) {
      FailHeader("the names of the columns are too long", HumanBytes(record_bytes_), "at most 1 MB");
    }
    for (const Field& field : fields_) {
      const std::string name = utf8::ReplaceInvalid(Value(field));
      if (std::find(columns_.begin(), columns_.end(), name) != columns_.end()) {
        FailHeader("two columns have the same name", Quoted(name), "different names");
      }
      if (name.find('\r') != std::string::npos) {
        FailHeader("lines end in CR alone", Quoted(name, 40), "LF or CR LF", "tr '\\r' '\\n' < FILE > NEW");
      }
      keys_.emplace_back();
      AppendJsonString(name, keys_.back());
      keys_.back() += ": ";
      columns_.push_back(name);
    }
    if (columns_.size() == 1 && columns_[0].find_first_of(separator_ == ',' ? "\t;" : ",;") != std::string::npos) {
      FailHeader("another separator than the file's name says", Quoted(columns_[0]),
                 separator_ == ',' ? "commas" : "tabs", "tabs belong into files that end in .tsv, commas in .csv");
    }
  }

  std::string file_;
  char separator_;
  std::vector<std::string> columns_;
  std::vector<std::string> keys_;  // `"name": `
  std::vector<Field> fields_;      // of the record, in the window
  size_t record_bytes_ = 0;
  size_t searched_again_ = 0;
  std::string value_;
  std::string json_;
};

}  // namespace

std::unique_ptr<RowReader> CsvRows(ByteWindow window, const std::string& file, RowFormat format) {
  return std::make_unique<Csv>(std::move(window), file, format);
}

}  // namespace stablelm
