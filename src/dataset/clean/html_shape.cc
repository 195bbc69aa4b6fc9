#include "dataset/clean/html_shape.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "dataset/clean/markdown_text.h"

namespace stablelm {
namespace {

constexpr size_t kDeepest = 1000;

bool IsSpace(char c) { return kHtmlSpace.find(c) != std::string_view::npos; }
bool IsLetter(char c) { return LowerAscii(c) >= 'a' && LowerAscii(c) <= 'z'; }

template <size_t N>
bool Holds(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr auto kBlocks = std::to_array<std::string_view>(
    {"p", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table", "hr", "dl"});
constexpr auto kForumOthers = std::to_array<std::string_view>(
    {"a",   "img", "code", "em", "strong", "b",  "i",     "u",     "s",  "del", "strike", "sup",
     "sub", "kbd", "br",   "li", "dt",     "dd", "thead", "tbody", "tr", "th",  "td",     "span"});
constexpr auto kPageElements = std::to_array<std::string_view>(
    {"html",     "head",   "body",  "title",  "meta",      "link",     "base",   "script",   "noscript", "style",
     "template", "form",   "input", "select", "option",    "textarea", "iframe", "frameset", "frame",    "noframes",
     "noembed",  "object", "embed", "xmp",    "plaintext", "listing",  "image",  "isindex"});
constexpr auto kVoid = std::to_array<std::string_view>(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"});

// Parts of drawings that are written without an end tag, "<path/>".
constexpr auto kDrawn = std::to_array<std::string_view>(
    {"path", "rect", "line", "polyline", "polygon", "circle", "ellipse", "use", "stop"});

struct Attribute {
  std::string name;
  std::string_view value;
};

struct Tag {
  std::string name;  // lower case
  bool end = false;
  bool self_closing = false;
  std::vector<Attribute> attributes;
  size_t after = 0;  // offset behind the tag
};

// The tag at `at`, where '<' is; nullopt: there is none. A tag that the text cuts off ends with the text.
std::optional<Tag> TagAt(std::string_view text, size_t at) {
  Tag tag;
  size_t i = at + 1;
  if (i < text.size() && text[i] == '/') {
    tag.end = true;
    ++i;
  }
  if (i >= text.size() || !IsLetter(text[i])) return std::nullopt;
  for (; i < text.size() && !IsSpace(text[i]) && text[i] != '/' && text[i] != '>'; ++i) tag.name += LowerAscii(text[i]);
  while (i < text.size() && text[i] != '>') {
    if (IsSpace(text[i]) || text[i] == '/') {
      ++i;
      continue;
    }
    Attribute attribute;
    do attribute.name += LowerAscii(text[i++]);  // may begin with '='
    while (i < text.size() && !IsSpace(text[i]) && text[i] != '/' && text[i] != '>' && text[i] != '=');
    size_t value = std::min(text.find_first_not_of(kHtmlSpace, i), text.size());
    if (value < text.size() && text[value] == '=') {
      value = std::min(text.find_first_not_of(kHtmlSpace, value + 1), text.size());
      i = value;
      if (value < text.size() && (text[value] == '"' || text[value] == '\'')) {
        const size_t close = std::min(text.find(text[value], value + 1), text.size());
        attribute.value = text.substr(value + 1, close - value - 1);
        i = std::min(close + 1, text.size());
      } else {
        while (i < text.size() && !IsSpace(text[i]) && text[i] != '>') ++i;
        attribute.value = text.substr(value, i - value);
      }
    }
    tag.attributes.push_back(std::move(attribute));
  }
  tag.self_closing = i < text.size() && text[i - 1] == '/';
  tag.after = std::min(i + 1, text.size());
  return tag;
}

bool HasWord(std::string_view words, std::string_view word) {
  for (size_t at = words.find(word); at != std::string_view::npos; at = words.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || IsSpace(words[at - 1])) && (end == words.size() || IsSpace(words[end]))) return true;
  }
  return false;
}

bool IsMarkdownDiv(const Tag& tag) {
  return tag.name == "div" && std::any_of(tag.attributes.begin(), tag.attributes.end(), [](const Attribute& attribute) {
           return attribute.name == "class" && HasWord(attribute.value, "markdown");
         });
}

bool IsForumTag(const Tag& tag) {
  if (!Holds(kBlocks, tag.name) && !Holds(kForumOthers, tag.name)) return false;
  return std::all_of(tag.attributes.begin(), tag.attributes.end(), [&](const Attribute& attribute) {
    const std::string& name = attribute.name;
    if (tag.name == "a") return name == "href" || name == "title" || name == "rel" || name == "target";
    if (tag.name == "img") {
      return name == "src" || name == "alt" || name == "title" || name == "width" || name == "height";
    }
    if (tag.name == "pre" || tag.name == "code" || tag.name == "blockquote") return name == "class";
    if (tag.name == "span") return name == "class" && HasWord(attribute.value, "math-container");
    if (tag.name == "ol") return name == "start";
    if (tag.name == "th" || tag.name == "td") return name == "align";
    if (tag.name.size() == 2 && tag.name[0] == 'h') return name == "id";
    return false;
  });
}

bool HasFence(std::string_view text) {
  for (const std::string_view fence : {std::string_view("```"), std::string_view("~~~")}) {
    for (size_t at = text.find(fence); at != std::string_view::npos; at = text.find(fence, at + 1)) {
      const size_t before = at == 0 ? std::string_view::npos : text.find_last_not_of(" \t", at - 1);
      if (before == std::string_view::npos || text[before] == '\n') return true;
      at = std::min(text.find_first_not_of(fence[0], at), text.size());
    }
  }
  return false;
}

}  // namespace

HtmlShape ShapeOf(std::string_view text) {
  HtmlShape shape;
  shape.forum_tags = shape.well_nested = true;
  std::vector<std::string> open;
  size_t astray = 0;   // end tags that did not close the innermost element: each may add to the parser's depth
  size_t foreign = 0;  // open <svg> and <math>: void elements have content there
  size_t pre = 0;
  bool only_tags = true;  // before `at`
  bool first = true;
  size_t copied = 0;  // text before it was looked at
  const auto look_at_text = [&](size_t end) {
    const std::string_view between = text.substr(copied, end - copied);
    if (between.find_first_not_of(kHtmlSpace) == std::string_view::npos) return;
    only_tags = shape.ends_with_tag = false;
    // A line begins at a line end of this text, or at the beginning of it all.
    if (pre == 0 && HasFence(copied == 0 ? between : between.substr(std::min(between.find('\n'), between.size())))) {
      shape.fences = true;
    }
  };
  for (size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    if (text.substr(at).starts_with("<!") || text.substr(at).starts_with("<?")) {
      const std::string_view from = text.substr(at);
      const size_t close = from.starts_with("<!-->") || from.starts_with("<!--->") ? std::string_view::npos
                           : from.starts_with("<!--")                              ? from.find("-->", 4)
                                                                                   : std::string_view::npos;
      if (close == std::string_view::npos || from.substr(0, close).find("--!>") != std::string_view::npos) {
        shape.page_elements = true;  // a document type, an instruction, or a comment that is not plain
        return shape;
      }
      look_at_text(at);
      at = copied = at + close + 3;
      continue;
    }
    const std::optional<Tag> tag = TagAt(text, at);
    if (!tag) {
      if (text.substr(at).starts_with("</")) shape.page_elements = true;  // "</3": a comment to HTML
      ++at;
      continue;
    }
    look_at_text(at);
    at = copied = tag->after;
    shape.page_elements = shape.page_elements || Holds(kPageElements, tag->name);
    shape.forum_tags = shape.forum_tags && IsForumTag(*tag);
    const bool is_void = foreign == 0 ? Holds(kVoid, tag->name) : tag->self_closing && Holds(kDrawn, tag->name);
    if (!tag->end) {
      if (only_tags && IsMarkdownDiv(*tag)) shape.chat_page = true;
      if (first) {
        shape.begins_with_tag = only_tags;
        if (!Holds(kBlocks, tag->name)) shape.forum_tags = false;
      }
      if (tag->name == "p" && tag->attributes.empty()) shape.paragraphs = true;
      if (tag->name == "pre") ++pre;
      if (tag->name == "svg" || tag->name == "math") ++foreign;
      if (!is_void) open.push_back(tag->name);
      shape.ends_with_tag = tag->name == "hr";
    } else if (!open.empty() && open.back() == tag->name) {
      open.pop_back();
      if (tag->name == "pre") --pre;
      if (tag->name == "svg" || tag->name == "math") --foreign;
      shape.ends_with_tag = Holds(kBlocks, tag->name);
    } else {
      ++astray;
      shape.well_nested = shape.ends_with_tag = false;
    }
    first = false;
    shape.depth = std::max(shape.depth, open.size() + astray);
    if (shape.depth > kDeepest) return shape;
  }
  look_at_text(text.size());
  shape.well_nested = shape.well_nested && open.empty();
  return shape;
}

}  // namespace stablelm
