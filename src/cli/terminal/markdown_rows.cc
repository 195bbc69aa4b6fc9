#include "cli/terminal/markdown_rows.h"

#include <md4c.h>

#include <limits>

#include "cli/terminal/text_rows.h"

namespace stablelm {
namespace {

// Handles md4c's callbacks; lays out each block as rows when it ends.
class Renderer {
 public:
  Renderer(size_t width, bool color) : width_(width), color_(color) {}

  void EnterBlock(MD_BLOCKTYPE type, void* detail) {
    switch (type) {
      case MD_BLOCK_QUOTE:
        Flush();
        prefixes_.push_back({.first = "| ", .rest = "| "});
        break;
      case MD_BLOCK_UL:
        Flush();
        lists_.push_back({.tight = static_cast<MD_BLOCK_UL_DETAIL*>(detail)->is_tight != 0});
        break;
      case MD_BLOCK_OL: {
        Flush();
        const auto* list = static_cast<MD_BLOCK_OL_DETAIL*>(detail);
        lists_.push_back({.ordered = true, .tight = list->is_tight != 0, .next = list->start});
        break;
      }
      case MD_BLOCK_LI: {
        Flush();
        List& list = lists_.back();
        if (!list.tight || (list.first && lists_.size() == 1)) Gap();
        list.first = false;
        const std::string mark = list.ordered ? std::to_string(list.next++) + ". " : "- ";
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
        break;
      case MD_BLOCK_CODE:
        Gap();
        code_block_ = true;
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
    if (type == MD_BLOCK_CODE && !texts_.empty() && texts_.back().text.ends_with('\n')) {
      texts_.back().text.pop_back();
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
      case MD_BLOCK_CODE:
        code_block_ = false;
        break;
      default:
        break;
    }
  }

  void EnterSpan(MD_SPANTYPE type, void* detail) {
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
        Text("~~");
        break;
      case MD_SPAN_A:
        link_ = Of(static_cast<MD_SPAN_A_DETAIL*>(detail)->href);
        link_text_.clear();
        break;
      case MD_SPAN_IMG:
        link_ = Of(static_cast<MD_SPAN_IMG_DETAIL*>(detail)->src);
        link_text_.clear();
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
        Text("~~");
        break;
      case MD_SPAN_A:
      case MD_SPAN_IMG:
        if (link_text_ != link_) Text(" (" + link_ + ")");
        break;
      default:
        break;
    }
  }

  void Text(std::string_view text) {
    item_begins_ = false;
    link_text_ += text;
    texts_.push_back({.text = std::string(text), .style = Style()});
  }

  std::vector<std::string> Finish() {
    Flush();
    return std::move(rows_);
  }

 private:
  struct List {
    bool ordered = false, tight = true, first = true;
    unsigned next = 1;
  };
  struct Indent {
    std::string first, rest;  // prefix of the first row inside, and of the others
  };

  static std::string Of(const MD_ATTRIBUTE& attribute) { return {attribute.text, attribute.size}; }

  std::string Style() const {
    if (!color_) return {};
    std::string codes;
    const auto add = [&](const char* code) { codes += (codes.empty() ? "" : ";") + std::string(code); };
    if (heading_ || strong_ > 0) add("1");
    if (emphasis_ > 0) add("3");
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

  size_t width_;
  bool color_;
  std::vector<std::string> rows_;
  std::vector<StyledText> texts_;  // of the current block
  std::vector<Indent> prefixes_;
  std::vector<List> lists_;
  std::string link_, link_text_;
  int emphasis_ = 0, strong_ = 0;
  bool heading_ = false, code_ = false, code_block_ = false, item_begins_ = false;
};

Renderer& Of(void* user) { return *static_cast<Renderer*>(user); }

int OnText(MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* user) {
  if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) {
    Of(user).Text("\n");
  } else {
    Of(user).Text({text, size});
  }
  return 0;
}

}  // namespace

std::vector<std::string> MarkdownRows(std::string_view text, size_t width, bool color) {
  Renderer renderer(width, color);
  MD_PARSER parser = {};
  // Models do not indent to mark code, and what looks like HTML is text.
  parser.flags = MD_FLAG_NOHTML | MD_FLAG_NOINDENTEDCODEBLOCKS | MD_FLAG_STRIKETHROUGH;
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
