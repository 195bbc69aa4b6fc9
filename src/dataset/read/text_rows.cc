#include "dataset/read/json_text.h"
#include "dataset/read/row_formats.h"
#include "dataset/read/window_rows.h"

namespace stablelm {
namespace {

class Text final : public WindowRows {
 public:
  explicit Text(ByteWindow window) : WindowRows(std::move(window), RowFormat::kText) {}

  std::optional<DataRow> Next() override {
    if (done_) return std::nullopt;
    done_ = true;
    bool fits = true;
    while (window_.Fill()) {
      if (window_.text().size() <= kMostRowBytes) continue;
      fits = false;
      window_.Skip(window_.text().size());
    }
    if (fits) {
      json_ = "{\"text\": ";
      AppendJsonString(window_.text(), json_);
      json_ += '}';
      json_.reserve(json_.size() + kRowPadding);
      if (json_.size() <= kMostRowBytes) return Row(1, json_);
    }
    return Broken(1, "longer than 64 MB: split the file (`split -C 50M`)");
  }

 private:
  bool done_ = false;
  std::string json_;
};

}  // namespace

std::unique_ptr<RowReader> TextRows(ByteWindow window) { return std::make_unique<Text>(std::move(window)); }

}  // namespace stablelm
