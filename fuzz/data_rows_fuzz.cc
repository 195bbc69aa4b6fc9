// Reads any bytes as rows, in every text format, compressed or not, in pieces of any length: each file is read or
// refused with an Error, and its rows do not depend on the pieces. The first byte chooses the format, the second the
// length of the pieces.
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "dataset/read/byte_source.h"
#include "dataset/read/byte_window.h"
#include "dataset/read/json_text.h"
#include "dataset/read/row_formats.h"

namespace {

using namespace stablelm;

class Pieces final : public ByteSource {
 public:
  Pieces(std::string_view text, size_t most) : text_(text), most_(most) {}
  size_t Read(char* into, size_t bytes) override {
    const size_t n = std::min({bytes, most_, text_.size() - consumed_});
    std::memcpy(into, text_.data() + consumed_, n);
    consumed_ += n;
    return n;
  }
  uint64_t consumed() const override { return consumed_; }

 private:
  std::string_view text_;
  size_t most_;
  size_t consumed_ = 0;
};

struct Row {
  uint64_t line = 0;
  std::string text;  // the JSON, or the problem
  bool operator==(const Row&) const = default;
};

std::unique_ptr<RowReader> Reader(RowFormat format, ByteWindow window) {
  switch (format) {
    case RowFormat::kJsonArray:
      return JsonArrayRows(std::move(window), "fuzz");
    case RowFormat::kJsonLines:
      return JsonLineRows(std::move(window));
    case RowFormat::kText:
      return TextRows(std::move(window));
    default:
      return CsvRows(std::move(window), "fuzz", format);
  }
}

struct Result {
  std::vector<Row> rows;  // then the place of the Error that ended them
  bool decompressed = true;
};

Result ReadRows(RowFormat format, std::string_view text, size_t most) {
  Result result;
  std::vector<Row>& rows = result.rows;
  simdjson::dom::parser parser;
  const bool made = format != RowFormat::kJsonArray && format != RowFormat::kJsonLines;  // the JSON is the reader's own
  try {
    const std::unique_ptr<RowReader> reader =
        Reader(format, ByteWindow(Decompressed(std::make_unique<Pieces>(text, most), "fuzz")));
    uint64_t line = 1;
    while (const std::optional<DataRow> row = reader->Next()) {
      STABLELM_CHECK(row->index == rows.size() && row->line >= line);
      line = row->line;
      STABLELM_CHECK(utf8::FirstInvalid(row->json) == utf8::kValid);
      std::string again;
      STABLELM_CHECK(RepairJson(row->json, again) == 0);
      if (row->problem.empty()) {
        // kRowPadding: the parser reads behind the row without a copy.
        simdjson::dom::element value;
        const bool valid = parser.parse(row->json.data(), row->json.size(), false).get(value) == simdjson::SUCCESS;
        STABLELM_CHECK(valid || !made);
      }
      rows.push_back({row->line, row->problem.empty() ? std::string(row->json) : row->problem});
      STABLELM_CHECK(rows.size() <= 1000000);
    }
  } catch (const Error& error) {
    rows.push_back({0, error.info().where});
    result.decompressed = error.info().where.rfind("fuzz: byte", 0) != 0;
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static constexpr RowFormat kFormats[] = {RowFormat::kJsonArray, RowFormat::kJsonLines, RowFormat::kCsv,
                                           RowFormat::kTsv, RowFormat::kText};
  const RowFormat format = kFormats[data[0] % std::size(kFormats)];
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Result whole = ReadRows(format, text, SIZE_MAX), pieces = ReadRows(format, text, size_t{data[1]} + 1);
  // Where a decompressor meets a fault, and what it gives before, is its own matter.
  STABLELM_CHECK(whole.rows == pieces.rows || !whole.decompressed || !pieces.decompressed);
  return 0;
}
