#include <algorithm>

#include "dataset/read/row_formats.h"
#include "dataset/read/window_rows.h"

namespace stablelm {
namespace {

class JsonLines final : public WindowRows {
 public:
  explicit JsonLines(ByteWindow window) : WindowRows(std::move(window), RowFormat::kJsonLines) {}

  std::optional<DataRow> Next() override {
    while (true) {
      window_.Skip(line_bytes_);
      line_bytes_ = 0;
      const uint64_t number = window_.line();
      const bool too_long = !FindLineEnd();
      if (too_long) return Broken(number, kRowTooLong);
      std::string_view line = window_.text().substr(0, line_bytes_);
      const size_t first = line.find_first_not_of(kJsonSpace);
      if (first == std::string_view::npos) {
        if (line.empty()) return std::nullopt;
        continue;
      }
      return Row(number, line.substr(first, line.find_last_not_of(kJsonSpace) + 1 - first));
    }
  }

 private:
  // Sets line_bytes_, with the line's end. False, and past the line, if it is too long.
  bool FindLineEnd() {
    bool fits = true;
    size_t looked_at = 0;
    while (true) {
      const size_t newline = window_.text().find('\n', looked_at);
      looked_at = window_.text().size();
      if (newline != std::string_view::npos) {
        line_bytes_ = newline + 1;
        return fits && newline <= kMostRowBytes;
      }
      if (looked_at > kMostRowBytes) {
        fits = false;
        window_.Skip(looked_at);
        looked_at = 0;
      }
      if (!window_.Fill()) {
        line_bytes_ = looked_at;
        return fits;
      }
    }
  }

  size_t line_bytes_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> JsonLineRows(ByteWindow window) { return std::make_unique<JsonLines>(std::move(window)); }

}  // namespace stablelm
