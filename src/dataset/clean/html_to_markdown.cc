#include "dataset/clean/html_to_markdown.h"

#include <gumbo.h>

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "dataset/clean/html_shape.h"
#include "dataset/clean/markdown_text.h"
#include "dataset/clean/text_rules.h"

namespace stablelm {
namespace {

// gumbo's memory. It checks no allocation, so one beyond the budget leaves the parser by longjmp (its frames are C and
// have no destructors); and its own destruction of the tree recurses, so what is left is freed here.
class ParserMemory {
 public:
  explicit ParserMemory(size_t budget) : left_(budget) {}
  ParserMemory(const ParserMemory&) = delete;
  ParserMemory& operator=(const ParserMemory&) = delete;
  ~ParserMemory() {
    while (first_) Free(this, first_ + 1);
  }

  static void* Allocate(void* self, size_t bytes) {
    auto* memory = static_cast<ParserMemory*>(self);
    const size_t all = bytes + sizeof(Header);
    Header* header = bytes <= memory->left_ && all <= memory->left_ ? static_cast<Header*>(std::malloc(all)) : nullptr;
    if (!header) std::longjmp(memory->exhausted, 1);
    memory->left_ -= all;
    *header = {nullptr, memory->first_, all};
    if (memory->first_) memory->first_->previous = header;
    memory->first_ = header;
    return header + 1;
  }

  static void Free(void* self, void* block) {
    if (!block) return;
    auto* memory = static_cast<ParserMemory*>(self);
    Header* header = static_cast<Header*>(block) - 1;
    (header->previous ? header->previous->next : memory->first_) = header->next;
    if (header->next) header->next->previous = header->previous;
    memory->left_ += header->bytes;
    std::free(header);
  }

  std::jmp_buf exhausted;

 private:
  struct alignas(16) Header {
    Header* previous;
    Header* next;
    size_t bytes;
  };
  Header* first_ = nullptr;
  size_t left_;
};

// The root, or nullptr when the memory does not suffice. The tree lives as long as `memory` and `html`.
const GumboNode* Parse(std::string_view html, ParserMemory& memory) {
  GumboOptions options = kGumboDefaultOptions;
  options.allocator = &ParserMemory::Allocate;
  options.deallocator = &ParserMemory::Free;
  options.userdata = &memory;
  options.max_errors = 0;
  if (setjmp(memory.exhausted) != 0) return nullptr;
  return gumbo_parse_with_options(&options, html.data(), html.size())->root;
}

bool IsElement(const GumboNode* node) { return node->type == GUMBO_NODE_ELEMENT; }
bool Is(const GumboNode* node, GumboTag tag) { return IsElement(node) && node->v.element.tag == tag; }

class Children {
 public:
  explicit Children(const GumboNode* node) : vector_(node->v.element.children) {}
  const GumboNode* const* begin() const { return reinterpret_cast<const GumboNode* const*>(vector_.data); }
  const GumboNode* const* end() const { return vector_.length == 0 ? begin() : begin() + vector_.length; }

 private:
  const GumboVector& vector_;
};

std::string_view AttributeOf(const GumboNode* node, const char* name) {
  const GumboAttribute* attribute = gumbo_get_attribute(&node->v.element.attributes, name);
  return attribute ? std::string_view(attribute->value) : std::string_view();
}

// Calls `use` with each word of the element's class until it returns true.
template <typename F>
bool AnyClass(const GumboNode* node, F&& use) {
  std::string_view words = AttributeOf(node, "class");
  for (words = TrimmedHtml(words); !words.empty();) {
    const size_t end = std::min(words.find_first_of(kHtmlSpace), words.size());
    if (use(words.substr(0, end))) return true;
    words = TrimmedHtml(words.substr(end));
  }
  return false;
}

bool HasClass(const GumboNode* node, std::string_view name) {
  return AnyClass(node, [&](std::string_view word) { return word == name; });
}

// What a page does not show, or shows as a button.
bool IsSkipped(const GumboNode* node) {
  if (!IsElement(node)) return node->type == GUMBO_NODE_COMMENT || node->type == GUMBO_NODE_TEMPLATE;
  switch (node->v.element.tag) {
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_TITLE:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_CANVAS:
      return true;
    default:
      return false;
  }
}

bool IsBlockTag(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_HTML:
    case GUMBO_TAG_BODY:
    case GUMBO_TAG_P:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_LI:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_DD:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TBODY:
    case GUMBO_TAG_TFOOT:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
    case GUMBO_TAG_PRE:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_HR:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_CENTER:
    case GUMBO_TAG_FIELDSET:
      return true;
    default:
      return false;
  }
}

// All text below the node, as it is, but what is skipped.
void AppendText(const GumboNode* node, std::string& out) {
  if (IsSkipped(node)) return;
  if (!IsElement(node)) {
    if (node->type != GUMBO_NODE_DOCUMENT) out += node->v.text.text;
  } else if (Is(node, GUMBO_TAG_BR)) {
    out += '\n';
  } else {
    for (const GumboNode* child : Children(node)) AppendText(child, out);
  }
}

std::string TextOf(const GumboNode* node) {
  std::string text;
  AppendText(node, text);
  return text;
}

bool IsLabel(std::string_view word) {
  constexpr size_t kLongest = 32;
  return !word.empty() && word.size() <= kLongest && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("+#._-").find(c) != std::string_view::npos;
  });
}

std::string LanguageOf(const GumboNode* node) {
  std::string language;
  AnyClass(node, [&](std::string_view word) {
    for (const std::string_view prefix : {std::string_view("language-"), std::string_view("lang-")}) {
      if (word.starts_with(prefix) && IsLabel(word.substr(prefix.size()))) language = word.substr(prefix.size());
    }
    return !language.empty();
  });
  return language;
}

class MarkdownWriter {
 public:
  // Notes which elements hold blocks. Returns false when the tree is deeper than the writer follows.
  bool Prepare(const GumboNode* node, size_t depth = 0) {
    constexpr size_t kDeepestTree = 4 * kDeepestHtml;
    if (depth > kDeepestTree) return false;
    if (!IsElement(node)) return true;
    bool block = IsBlockTag(node->v.element.tag);
    for (const GumboNode* child : Children(node)) {
      if (!Prepare(child, depth + 1)) return false;
      block = block || (!IsSkipped(child) && blocks_.contains(child));
    }
    if (block) blocks_.insert(node);
    return true;
  }

  std::string Write(const GumboNode* root) { return JoinedBlocks(BlocksOf(root, {}), false); }

 private:
  struct State {
    bool keep_spaces = false;
    bool bold = false, italic = false, struck = false;
  };

  static State Inside(const GumboNode* node, State state) {
    if (HasClass(node, "whitespace-pre-wrap")) state.keep_spaces = true;
    if (HasClass(node, "markdown")) state.keep_spaces = false;
    return state;
  }

  std::vector<MarkdownBlock> BlocksOf(const GumboNode* parent, State state) {
    state = Inside(parent, state);
    std::vector<MarkdownBlock> blocks;
    InlineText line(state.keep_spaces);
    const auto end_paragraph = [&] {
      if (const std::string_view text = TrimmedHtml(line.text()); !text.empty()) blocks.push_back({std::string(text)});
      line = InlineText(state.keep_spaces);
    };
    for (const GumboNode* child : Children(parent)) {
      if (IsSkipped(child)) continue;
      if (!blocks_.contains(child)) {
        AppendInline(child, state, line);
        continue;
      }
      end_paragraph();
      AppendBlock(child, state, blocks);
    }
    end_paragraph();
    return blocks;
  }

  void AppendBlock(const GumboNode* node, const State& state, std::vector<MarkdownBlock>& blocks) {
    const auto add = [&](std::string text, bool list = false) {
      if (!text.empty()) blocks.push_back({std::move(text), list});
    };
    switch (node->v.element.tag) {
      case GUMBO_TAG_PRE:
        return add(Pre(node));
      case GUMBO_TAG_UL:
      case GUMBO_TAG_OL:
        return add(List(node, state), true);
      case GUMBO_TAG_TABLE:
        return Table(node, state, blocks);
      case GUMBO_TAG_HR:
        return add("---");
      case GUMBO_TAG_H1:
      case GUMBO_TAG_H2:
      case GUMBO_TAG_H3:
      case GUMBO_TAG_H4:
      case GUMBO_TAG_H5:
      case GUMBO_TAG_H6: {
        const std::string text = OneLine(node, state);
        const auto level = static_cast<size_t>(node->v.element.tag - GUMBO_TAG_H1) + 1;
        return add(text.empty() ? "" : std::string(level, '#') + " " + text);
      }
      case GUMBO_TAG_BLOCKQUOTE: {
        const std::string text = JoinedBlocks(BlocksOf(node, state), true);
        return add(text.empty() ? "" : PrefixedLines(text, "> ", "> ", ">"));
      }
      default:
        for (MarkdownBlock& block : BlocksOf(node, state)) blocks.push_back(std::move(block));
    }
  }

  std::string OneLine(const GumboNode* node, const State& state) {
    std::string line;
    for (const MarkdownBlock& block : BlocksOf(node, state)) line += (line.empty() ? "" : " ") + block.text;
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
  }

  std::string Pre(const GumboNode* node) {
    std::vector<const GumboNode*> codes;
    std::string beside;  // text outside of <code>: the label and the button of a page
    const auto look = [&](const auto& self, const GumboNode* at) -> void {
      if (IsSkipped(at)) return;
      if (Is(at, GUMBO_TAG_CODE)) {
        codes.push_back(at);
      } else if (IsElement(at)) {
        for (const GumboNode* child : Children(at)) self(self, child);
      } else if (at->type != GUMBO_NODE_DOCUMENT) {
        beside += at->v.text.text;
      }
    };
    look(look, node);
    std::string_view label = TrimmedHtml(beside);
    if (label.ends_with(kCopyCode)) label = TrimmedHtml(label.substr(0, label.size() - kCopyCode.size()));
    std::string language = LanguageOf(node);
    // Text that is more than a label is part of what is shown.
    if (codes.size() != 1 || !(label.empty() || IsLabel(label))) return CodeBlock(language, TextOf(node));
    if (const std::string of_code = LanguageOf(codes[0]); !of_code.empty()) language = of_code;
    if (language.empty()) language = label;
    return CodeBlock(language, TextOf(codes[0]));
  }

  std::string List(const GumboNode* node, const State& state) {
    const bool ordered = Is(node, GUMBO_TAG_OL);
    uint32_t number = 1;
    if (const std::string start(AttributeOf(node, "start")); ordered && !start.empty()) {
      constexpr size_t kMostDigits = 9;  // as many as CommonMark allows
      if (start.size() <= kMostDigits && start.find_first_not_of("0123456789") == std::string::npos) {
        number = static_cast<uint32_t>(std::stoul(start));
      }
    }
    const State inside = Inside(node, state);
    std::vector<std::vector<MarkdownBlock>> items;
    bool loose = false;
    for (const GumboNode* child : Children(node)) {
      if (IsSkipped(child)) continue;
      std::vector<MarkdownBlock> item;
      if (Is(child, GUMBO_TAG_LI)) {
        item = BlocksOf(child, inside);
        for (const GumboNode* part : Children(child)) loose = loose || Is(part, GUMBO_TAG_P);
      } else if (blocks_.contains(child)) {  // a list in a list, without an item around it
        AppendBlock(child, inside, item);
        if (!items.empty()) {
          for (MarkdownBlock& block : item) items.back().push_back(std::move(block));
          continue;
        }
      } else {
        InlineText line(inside.keep_spaces);
        AppendInline(child, inside, line);
        if (const std::string_view text = TrimmedHtml(line.text()); !text.empty()) item.push_back({std::string(text)});
      }
      if (!item.empty()) items.push_back(std::move(item));
    }
    for (const std::vector<MarkdownBlock>& item : items) {
      loose =
          loose || std::count_if(item.begin(), item.end(), [](const MarkdownBlock& block) { return !block.list; }) > 1;
    }
    std::string out;
    for (const std::vector<MarkdownBlock>& item : items) {
      const std::string marker = ordered ? std::to_string(number++) + ". " : "- ";
      if (!out.empty()) out += loose ? "\n\n" : "\n";
      out += PrefixedLines(JoinedBlocks(item, !loose), marker, std::string(marker.size(), ' '), "");
    }
    return out;
  }

  void Table(const GumboNode* node, const State& state, std::vector<MarkdownBlock>& blocks) {
    std::vector<std::vector<std::string>> rows;
    const auto look = [&](const auto& self, const GumboNode* at) -> void {
      for (const GumboNode* child : Children(at)) {
        if (!IsElement(child) || IsSkipped(child)) continue;
        const GumboTag tag = child->v.element.tag;
        if (tag == GUMBO_TAG_THEAD || tag == GUMBO_TAG_TBODY || tag == GUMBO_TAG_TFOOT) {
          self(self, child);
        } else if (tag == GUMBO_TAG_CAPTION) {
          for (MarkdownBlock& block : BlocksOf(child, state)) blocks.push_back(std::move(block));
        } else if (tag == GUMBO_TAG_TR) {
          rows.emplace_back();
          for (const GumboNode* cell : Children(child)) {
            if (!Is(cell, GUMBO_TAG_TD) && !Is(cell, GUMBO_TAG_TH)) continue;
            std::string text = OneLine(cell, state);
            for (size_t bar = text.find('|'); bar != std::string::npos; bar = text.find('|', bar + 2)) {
              text.insert(bar, 1, '\\');
            }
            rows.back().push_back(std::move(text));
          }
          if (rows.back().empty()) rows.pop_back();
        }
      }
    };
    look(look, node);
    if (rows.empty()) return;
    size_t columns = 0;
    for (const std::vector<std::string>& row : rows) columns = std::max(columns, row.size());
    rows.front().resize(columns);
    std::string out;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i > 0) out += '\n';
      out += '|';
      for (const std::string& cell : rows[i]) out.append(" ").append(cell).append(cell.empty() ? "|" : " |");
      if (i > 0) continue;
      out += "\n|";
      for (size_t column = 0; column < columns; ++column) out += " --- |";
    }
    blocks.push_back({std::move(out)});
  }

  void AppendChildren(const GumboNode* node, const State& state, InlineText& out) {
    for (const GumboNode* child : Children(node)) AppendInline(child, state, out);
  }

  // The element's text with `mark` around it, the white space at its ends outside.
  void AppendMarked(const GumboNode* node, const State& state, std::string_view mark, InlineText& out) {
    InlineText inside(state.keep_spaces);
    AppendChildren(node, state, inside);
    const std::string_view text = inside.text();
    const std::string_view core = TrimmedHtml(text);
    if (core.empty() || core.find("\n\n") != std::string_view::npos) mark = "";
    if (inside.begins_with_space()) out.AddText(" ");
    const size_t before = core.empty() ? 0 : static_cast<size_t>(core.data() - text.data());
    out.AddText(text.substr(0, before));
    out.AddVerbatim(mark);
    out.AddVerbatim(core);
    out.AddVerbatim(mark);
    if (const std::string_view after = text.substr(before + core.size()); after.find('\n') != std::string_view::npos) {
      out.Break();
    } else {
      out.AddText(after);
    }
  }

  void AppendInline(const GumboNode* node, State state, InlineText& out) {
    if (IsSkipped(node)) return;
    if (!IsElement(node)) {
      if (node->type != GUMBO_NODE_DOCUMENT) out.AddText(node->v.text.text);
      return;
    }
    switch (node->v.element.tag) {
      case GUMBO_TAG_BR:
        return out.Break();
      case GUMBO_TAG_CODE:
      case GUMBO_TAG_SAMP:
      case GUMBO_TAG_TT:
        return out.AddVerbatim(CodeSpan(TextOf(node)));
      case GUMBO_TAG_B:
      case GUMBO_TAG_STRONG:
        return AppendMarked(node, {state.keep_spaces, true, state.italic, state.struck}, state.bold ? "" : "**", out);
      case GUMBO_TAG_EM:
      case GUMBO_TAG_I:
        return AppendMarked(node, {state.keep_spaces, state.bold, true, state.struck}, state.italic ? "" : "*", out);
      case GUMBO_TAG_DEL:
      case GUMBO_TAG_S:
      case GUMBO_TAG_STRIKE:
        return AppendMarked(node, {state.keep_spaces, state.bold, state.italic, true}, state.struck ? "" : "~~", out);
      case GUMBO_TAG_SUP:
      case GUMBO_TAG_SUB: {
        const std::string_view name = Is(node, GUMBO_TAG_SUP) ? "sup" : "sub";
        out.AddVerbatim(std::string("<").append(name).append(">"));
        AppendChildren(node, state, out);
        return out.AddVerbatim(std::string("</").append(name).append(">"));
      }
      case GUMBO_TAG_A:
        return AppendLink(node, state, out);
      case GUMBO_TAG_IMG:
        return AppendImage(node, out);
      default:
        break;
    }
    if (HasClass(node, "katex") || Is(node, GUMBO_TAG_MATH)) {
      if (const GumboNode* source = TexOf(node)) {
        const std::string tex = TextOf(source);
        const std::string_view mark = IsDisplay(node) ? "$$" : "$";
        return out.AddVerbatim(std::string(mark).append(TrimmedHtml(tex)).append(mark));
      }
    }
    AppendChildren(node, Inside(node, state), out);
  }

  static const GumboNode* TexOf(const GumboNode* node) {
    if (!IsElement(node)) return nullptr;
    if (AttributeOf(node, "encoding") == "application/x-tex") return node;
    for (const GumboNode* child : Children(node)) {
      if (const GumboNode* found = TexOf(child)) return found;
    }
    return nullptr;
  }

  static bool IsDisplay(const GumboNode* node) {
    constexpr int kNear = 3;  // elements around that one formula has
    for (int i = 0; i < kNear && node && IsElement(node); ++i, node = node->parent) {
      if (HasClass(node, "katex-display") || HasClass(node, "math-display")) return true;
    }
    return false;
  }

  // An address as a link's target; empty: it leads nowhere.
  static std::string Target(std::string_view address) {
    std::string target;
    for (const char c : TrimmedHtml(address)) {
      if (c != '\n' && c != '\r' && c != '\t') target += c;
    }
    if (target.starts_with('#') || target.starts_with("javascript:") || target.starts_with("data:")) return "";
    return target.find_first_of(" ()<>") == std::string::npos ? target : "<" + target + ">";
  }

  void AppendLink(const GumboNode* node, const State& state, InlineText& out) {
    const std::string target = Target(AttributeOf(node, "href"));
    InlineText inside(state.keep_spaces);
    AppendChildren(node, state, inside);
    const std::string text(TrimmedHtml(inside.text()));
    if (inside.begins_with_space()) out.AddText(" ");
    if (target.empty() || text.empty() || text == AttributeOf(node, "href")) {
      out.AddVerbatim(text);
    } else {
      out.AddVerbatim(std::string("[").append(text).append("](").append(target).append(")"));
    }
    if (inside.text().size() > text.size() && kHtmlSpace.find(inside.text().back()) != std::string_view::npos) {
      out.AddText(" ");
    }
  }

  static void AppendImage(const GumboNode* node, InlineText& out) {
    std::string alt(TrimmedHtml(AttributeOf(node, "alt")));
    std::replace(alt.begin(), alt.end(), '\n', ' ');
    const std::string target = Target(AttributeOf(node, "src"));
    if (target.empty()) return out.AddVerbatim(alt);
    out.AddVerbatim(std::string("![").append(alt).append("](").append(target).append(")"));
  }

  std::unordered_set<const GumboNode*> blocks_;  // blocks, and inline elements that hold some
};

}  // namespace

bool LooksLikeHtml(std::string_view text) {
  const size_t first = text.find_first_not_of(kHtmlSpace);
  if (first == std::string_view::npos || text[first] != '<') return false;
  const HtmlShape shape = ShapeOf(text);
  if (!shape.begins_with_tag || shape.fences || shape.page_elements) return false;
  return shape.chat_page || (shape.forum_tags && shape.paragraphs && shape.ends_with_tag && shape.well_nested);
}

std::optional<std::string> HtmlToMarkdown(std::string_view html) {
  if (html.size() > kMostHtmlBytes) return std::nullopt;
  const HtmlShape shape = ShapeOf(html);
  if (shape.page_elements || shape.depth > kDeepestHtml) return std::nullopt;
  ParserMemory memory(64 * html.size() + (size_t{1} << 20));
  const GumboNode* root = Parse(html, memory);
  if (!root) return std::nullopt;
  MarkdownWriter writer;
  if (!writer.Prepare(root)) return std::nullopt;
  // gumbo lets the numbers of entities overflow, "&#99999999999;", and writes what is no UTF-8 then.
  std::string markdown = utf8::ReplaceInvalid(writer.Write(root));
  constexpr size_t kMostGrowth = 4;
  if (markdown.size() > kMostGrowth * html.size() + (size_t{64} << 10)) return std::nullopt;
  return markdown;
}

}  // namespace stablelm
