#include "cli/terminal/markdown_rows.h"

#include <md4c.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "cli/terminal/html_entity.h"
#include "cli/terminal/markdown_table.h"
#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

// Handles md4c's callbacks; lays out each block as rows when it ends.
class Renderer {
 public:
  Renderer(std::string_view source, size_t width, bool color) : source_(source), width_(width), color_(color) {}

  void EnterBlock(MD_BLOCKTYPE type, void* detail) {
    switch (type) {
      case MD_BLOCK_QUOTE: {
        Flush();
        const std::string mark = color_ ? "| " : "> ";
        prefixes_.push_back({.first = mark, .rest = mark});
        break;
      }
      case MD_BLOCK_UL: {
        Flush();
        const auto* list = static_cast<MD_BLOCK_UL_DETAIL*>(detail);
        lists_.push_back({.tight = list->is_tight != 0, .mark = list->mark});
        break;
      }
      case MD_BLOCK_OL: {
        Flush();
        const auto* list = static_cast<MD_BLOCK_OL_DETAIL*>(detail);
        lists_.push_back(
            {.ordered = true, .tight = list->is_tight != 0, .next = list->start, .mark = list->mark_delimiter});
        break;
      }
      case MD_BLOCK_LI: {
        Flush();
        List& list = lists_.back();
        if (!list.tight || (list.first && lists_.size() == 1)) Gap();
        list.first = false;
        const std::string mark = (list.ordered ? std::to_string(list.next++) : std::string()) + list.mark + " ";
        prefixes_.push_back({.first = mark, .rest = std::string(mark.size(), ' ')});
        break;
      }
      case MD_BLOCK_HR:
        Gap();
        rows_.push_back(Prefix() + std::string(width_ < 20 ? width_ : 20, '-'));
        break;
      case MD_BLOCK_H:
        Gap();
        heading_ = true;
        if (!color_) Text(std::string(static_cast<MD_BLOCK_H_DETAIL*>(detail)->level, '#') + " ");
        break;
      case MD_BLOCK_CODE: {
        Gap();
        const auto* code = static_cast<MD_BLOCK_CODE_DETAIL*>(detail);
        fence_ = code->fence_char == 0 ? std::string() : std::string(3, code->fence_char);
        if (!color_ && !fence_.empty()) rows_.push_back(Prefix() + fence_ + Of(code->info));
        code_block_ = true;
        break;
      }
      case MD_BLOCK_TABLE:
        Gap();
        table_.emplace();
        break;
      case MD_BLOCK_TR:
        table_->lines.emplace_back();
        break;
      case MD_BLOCK_TH:
        heading_ = true;
        table_->align.push_back(AlignOf(static_cast<MD_BLOCK_TD_DETAIL*>(detail)->align));
        break;
      case MD_BLOCK_P:
        if (lists_.empty() || !item_begins_) Gap();
        break;
      default:
        break;
    }
    item_begins_ = type == MD_BLOCK_LI;
  }

  void LeaveBlock(MD_BLOCKTYPE type) {
    switch (type) {
      case MD_BLOCK_CODE:
        LeaveCode();
        return;
      case MD_BLOCK_TH:
      case MD_BLOCK_TD:
        heading_ = false;
        table_->lines.back().push_back(std::exchange(texts_, {}));
        return;
      case MD_BLOCK_TABLE:
        LeaveTable();
        return;
      case MD_BLOCK_THEAD:
      case MD_BLOCK_TBODY:
      case MD_BLOCK_TR:
        return;
      default:
        break;
    }
    Flush();
    switch (type) {
      case MD_BLOCK_QUOTE:
      case MD_BLOCK_LI:
        if (!prefixes_.empty()) prefixes_.pop_back();
        break;
      case MD_BLOCK_UL:
      case MD_BLOCK_OL:
        lists_.pop_back();
        break;
      case MD_BLOCK_H:
        heading_ = false;
        break;
      default:
        break;
    }
  }

  void EnterSpan(MD_SPANTYPE type, void* detail) {
    Mark(type);
    switch (type) {
      case MD_SPAN_EM:
        ++emphasis_;
        break;
      case MD_SPAN_STRONG:
        ++strong_;
        break;
      case MD_SPAN_CODE:
        code_ = true;
        break;
      case MD_SPAN_DEL:
        ++struck_;
        break;
      case MD_SPAN_A:
        BeginLink(Of(static_cast<MD_SPAN_A_DETAIL*>(detail)->href), "[");
        break;
      case MD_SPAN_IMG:
        BeginLink(Of(static_cast<MD_SPAN_IMG_DETAIL*>(detail)->src), "![");
        break;
      default:
        break;
    }
  }

  void LeaveSpan(MD_SPANTYPE type) {
    switch (type) {
      case MD_SPAN_EM:
        --emphasis_;
        break;
      case MD_SPAN_STRONG:
        --strong_;
        break;
      case MD_SPAN_CODE:
        code_ = false;
        break;
      case MD_SPAN_DEL:
        --struck_;
        break;
      case MD_SPAN_A:
      case MD_SPAN_IMG:
        if (!color_) {
          Text("](" + link_ + ")");
        } else if (link_text_ != link_) {
          Text(" (" + link_ + ")");
        }
        break;
      default:
        break;
    }
    Mark(type);
  }

  void Text(std::string_view text) {
    item_begins_ = false;
    link_text_ += text;
    texts_.push_back({.text = std::string(text), .style = Style()});
  }

  // A part of the source, or spaces in place of the blanks that a line of code begins with: those are as they were.
  void Piece(std::string_view text) {
    const bool of_source =
        !std::less<>()(text.data(), source_.data()) && std::less<>()(text.data(), source_.data() + source_.size());
    if (!code_block_) return Text(text);
    if (text == "\n") {
      Text(std::string(std::exchange(indent_, 0), ' '));
      return Text(text);
    }
    if (!of_source) {
      indent_ += text.size();
      return;
    }
    const std::string_view before = source_.substr(0, static_cast<size_t>(text.data() - source_.data()));
    Text(Blanks(before.substr(before.find_last_of('\n') + 1), std::exchange(indent_, 0)));
    Text(text);
  }

  std::vector<std::string> Finish() {
    Flush();
    return std::move(rows_);
  }

 private:
  struct List {
    bool ordered = false, tight = true, first = true;
    unsigned next = 1;
    char mark = '-';  // of an ordered list: what follows the number
  };
  struct Indent {
    std::string first, rest;  // prefix of the first row inside, and of the others
  };

  static std::string Of(const MD_ATTRIBUTE& attribute) { return {attribute.text, attribute.size}; }
  static CellAlign AlignOf(MD_ALIGN align) {
    return align == MD_ALIGN_RIGHT    ? CellAlign::kRight
           : align == MD_ALIGN_CENTER ? CellAlign::kCenter
                                      : CellAlign::kLeft;
  }

  // The blanks at the end of `line` that take `columns`, with the stops of a tab that Markdown has; spaces if there are
  // none.
  static std::string Blanks(std::string_view line, size_t columns) {
    if (columns == 0) return {};
    constexpr size_t kMarkdownTab = 4;
    size_t end = 0;  // column
    for (const char c : line) end = c == '\t' ? (end / kMarkdownTab + 1) * kMarkdownTab : end + 1;
    size_t column = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      if (column + columns == end && line.find_first_not_of(" \t", i) == line.npos) return std::string(line.substr(i));
      column = line[i] == '\t' ? (column / kMarkdownTab + 1) * kMarkdownTab : column + 1;
    }
    return std::string(columns, ' ');
  }

  // Without colour the mark of a span stays.
  void Mark(MD_SPANTYPE type) {
    if (color_) return;
    if (type == MD_SPAN_EM) Text("*");
    if (type == MD_SPAN_STRONG) Text("**");
    if (type == MD_SPAN_CODE) Text("`");
    if (type == MD_SPAN_DEL) Text("~~");
  }

  void BeginLink(std::string target, const char* mark) {
    link_ = std::move(target);
    if (!color_) Text(mark);
    link_text_.clear();
  }

  std::string Style() const {
    if (!color_) return {};
    std::string codes;
    const auto add = [&](const char* code) { codes += (codes.empty() ? "" : ";") + std::string(code); };
    if (heading_ || strong_ > 0) add("1");
    if (emphasis_ > 0) add("3");
    if (struck_ > 0) add("9");
    if (code_ || code_block_) add("36");
    return codes.empty() ? "" : "\033[" + codes + "m";
  }

  // Only the first row of a list item gets its mark.
  std::string Prefix() {
    std::string prefix;
    for (Indent& indent : prefixes_) {
      prefix += indent.first;
      indent.first = indent.rest;
    }
    return prefix;
  }

  // Adds an empty row between blocks.
  void Gap() {
    Flush();
    if (!rows_.empty() && !item_begins_) rows_.emplace_back();
  }

  void Flush() {
    if (texts_.empty()) return;
    const std::string first = Prefix();
    std::vector<std::string> rows = LayOutRows(texts_, width_, first, Prefix());
    rows_.insert(rows_.end(), rows.begin(), rows.end());
    texts_.clear();
  }

  // Each line of code is one row, as wide as it is, so that it can be copied.
  void LeaveCode() {
    std::string code;
    for (const StyledText& one : texts_) code += one.text;
    const std::string style = Style();
    texts_.clear();
    code_block_ = false;
    for (size_t begin = 0; begin < code.size();) {
      const size_t end = std::min(code.find('\n', begin), code.size());
      const std::string line = code.substr(begin, end - begin);
      rows_.push_back(Prefix() + (style.empty() || line.empty() ? line : style + line + kEndOfStyle));
      begin = end + 1;
    }
    if (!color_ && !fence_.empty()) rows_.push_back(Prefix() + fence_);
  }

  void LeaveTable() {
    std::string prefix = Prefix();
    const size_t indent = ColumnsOf(prefix);
    for (const std::string& row : TableRows(*table_, width_ > indent ? width_ - indent : 1, !color_)) {
      rows_.push_back(prefix + row);
      prefix = Prefix();
    }
    table_.reset();
  }

  std::string_view source_;
  size_t width_;
  bool color_;
  size_t indent_ = 0;  // columns before the next text of a line of code
  std::vector<std::string> rows_;
  std::vector<StyledText> texts_;  // of the current block, or cell of a table
  std::vector<Indent> prefixes_;
  std::vector<List> lists_;
  std::optional<TextTable> table_;
  std::string link_, link_text_, fence_;
  int emphasis_ = 0, strong_ = 0, struck_ = 0;
  bool heading_ = false, code_ = false, code_block_ = false, item_begins_ = false;
};

Renderer& Of(void* user) { return *static_cast<Renderer*>(user); }

int OnText(MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* user) {
  if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) {
    Of(user).Text("\n");
  } else if (type == MD_TEXT_ENTITY) {
    Of(user).Text(TextOfEntity({text, size}));
  } else {
    Of(user).Piece({text, size});
  }
  return 0;
}

}  // namespace

std::vector<std::string> MarkdownRows(std::string_view text, size_t width, bool color) {
  Renderer renderer(text, width, color);
  MD_PARSER parser = {};
  // Models do not indent to mark code, and what looks like HTML is text.
  parser.flags = MD_FLAG_NOHTML | MD_FLAG_NOINDENTEDCODEBLOCKS | MD_FLAG_STRIKETHROUGH | MD_FLAG_TABLES;
  parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* user) { return Of(user).EnterBlock(type, detail), 0; };
  parser.leave_block = [](MD_BLOCKTYPE type, void*, void* user) { return Of(user).LeaveBlock(type), 0; };
  parser.enter_span = [](MD_SPANTYPE type, void* detail, void* user) { return Of(user).EnterSpan(type, detail), 0; };
  parser.leave_span = [](MD_SPANTYPE type, void*, void* user) { return Of(user).LeaveSpan(type), 0; };
  parser.text = &OnText;
  const bool too_long = text.size() > std::numeric_limits<MD_SIZE>::max();
  if (too_long || md_parse(text.data(), static_cast<MD_SIZE>(text.size()), &parser, &renderer) != 0) {
    return LayOutRows({{.text = std::string(text), .style = {}}}, width);
  }
  return renderer.Finish();
}

}  // namespace stablelm
