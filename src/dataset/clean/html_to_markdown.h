// HTML of chat pages and forums to Markdown. Pure and thread-safe. gumbo, the parser, is used in this file alone.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace stablelm {

// Whether a text, as a whole, is HTML that a web page shows as prose. White space at its ends aside, it begins with a
// start tag, and either
//  - (a chat page's) a <div> whose class holds the word "markdown" comes before any text; or
//  - (a forum's) all of this holds: its first tag is <p>, <pre>, <h1> to <h6>, <ul>, <ol>, <dl>, <blockquote>, <table>
//  or
//    <hr>; it has a <p> without attributes; it ends with the end tag of one of those, or <hr>; all elements are closed
//    in order; there are no other elements than those, a, img, code, em, strong, b, i, u, s, del, strike, sup, sub,
//    kbd, br, li, dt, dd, the parts of a table and span; and no attributes but those that forums make of Markdown: a:
//    href, title, rel, target; img: src, alt, title, width, height; class of pre, code and blockquote; span: class
//    "math-container"; start of ol; align of th and td; id of a heading.
// Never: a text with elements of pages or forms (html, head, body, script, style, form, input, iframe, ...), with a
// document type, or with a line outside of <pre> that begins with ``` or ~~~. So a question about HTML, with words
// before the markup, and Markdown whose code blocks hold HTML, are not HTML.
bool LooksLikeHtml(std::string_view text);

// Limits of HtmlToMarkdown.
inline constexpr size_t kMostHtmlBytes = size_t{1} << 20;
inline constexpr size_t kDeepestHtml = 60;  // elements in elements; end tags that close nothing count too

// The Markdown of a text for which LooksLikeHtml holds; without white space at its ends. nullopt: the text is longer or
// deeper than the limits, needs more than 64 bytes of memory per byte and 1 MiB to parse, becomes longer than 4 times
// its length and 64 KiB, or has elements of pages or forms.
//  - Blocks (paragraphs, div, sections) are divided by blank lines; white space inside them is one space, as browsers
//    show it, but in elements of class "whitespace-pre-wrap"; <br> is a line end.
//  - <pre> is a fenced block with the bytes of its <code>, or else of its text; the fence has more backticks than any
//    run in it. The language is that of a class "language-x" or "lang-x", else one word beside <code>. Buttons ("Copy
//    code") are left out. A line end at the end of the code is the one before the fence.
//  - <code> is a code span. Lists nest: "- ", or "1. " counting from `start`; blank lines between items where the HTML
//    has paragraphs in them. Tables are GitHub's, their first row the head; line ends in cells are spaces, "|" is "\|".
//    <h1>: "# ". <blockquote>: "> ". <hr>: "---". <b>, <strong>: **x**. <em>, <i>: *x*. <del>, <s>, <strike>: ~~x~~.
//    <a href>: [text](href), or the address where it is the text. <img>: ![alt](src); one of a "data:" address its alt
//    text. <sup> and <sub> stay tags. Formulas of KaTeX: $x$ and $$x$$.
//  - Entities become characters, those of control characters too, U+00A0 a space. The result is UTF-8. Characters that
//  mean something in Markdown are not escaped: texts are
//    read as they were written.
std::optional<std::string> HtmlToMarkdown(std::string_view html);

}  // namespace stablelm
