// The tags of a text, read as HTML's tokenizer reads them, without a tree: what decides whether a text is HTML and
// whether it is safe to parse.
#pragma once

#include <cstddef>
#include <string_view>

namespace stablelm {

struct HtmlShape {
  bool begins_with_tag = false;  // white space aside, the text begins with a start tag
  bool ends_with_tag = false;    // and ends with the end of a block, or <hr>
  bool chat_page = false;        // before any text there is a <div> whose class holds the word "markdown"
  bool paragraphs = false;       // there is a <p> without attributes
  bool forum_tags = false;       // only tags and attributes that forums make of Markdown, the first one of a block
  bool well_nested = false;      // every end tag closes the innermost open element, and all are closed
  bool fences = false;           // a line outside of <pre> begins with ``` or ~~~
  bool page_elements = false;    // what belongs to pages, or whose content is not tags: <html>, <script>, <form>, ...
  size_t depth = 0;              // bound of the depth of elements in a parser's tree, without those that it implies
};

// Linear in the length; nesting beyond 1,000 is not followed (then depth > 1,000, and the rest is not read).
HtmlShape ShapeOf(std::string_view text);

}  // namespace stablelm
