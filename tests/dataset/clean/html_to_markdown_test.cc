// HTML of chat pages and forums to Markdown: which texts are converted, and into what.
#include "dataset/clean/html_to_markdown.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/utf8.h"
#include "dataset/clean/html_shape.h"

namespace stablelm {
namespace {

using namespace std::string_literals;

std::string Markdown(const std::string& html) { return HtmlToMarkdown(html).value_or("refused"); }
// As a chat page wraps it.
std::string Page(const std::string& html) {
  return "<div class=\"markdown prose w-full break-words dark:prose-invert dark\">" + html + "</div>";
}

TEST(LooksLikeHtml, KnowsChatPages) {
  EXPECT_TRUE(LooksLikeHtml(Page("<p>a</p>")));
  EXPECT_TRUE(LooksLikeHtml(" \n<p></p><div><div class='prose markdown'>a <b>b</div></div> tail"));
  EXPECT_TRUE(LooksLikeHtml(Page("a<!-- -->b")));
  EXPECT_TRUE(LooksLikeHtml(Page("<pre>```\nin pre\n```</pre>")));
  EXPECT_FALSE(LooksLikeHtml("Look: " + Page("<p>a</p>")));
  EXPECT_FALSE(LooksLikeHtml("<b>x</b> text " + Page("<p>a</p>")));
  EXPECT_FALSE(LooksLikeHtml("<div class=\"markdown-body\"><p>a</p></div>"));
  EXPECT_FALSE(LooksLikeHtml(Page("a\n```html\n<p>b</p>\n```\n")));
  EXPECT_FALSE(LooksLikeHtml(Page("<script>x</script>")));
}

TEST(LooksLikeHtml, KnowsForums) {
  EXPECT_TRUE(LooksLikeHtml("<p>How?</p>\n\n<pre><code>x &lt; y\n</code></pre>\n"));
  EXPECT_TRUE(LooksLikeHtml("<ul>\n<li>a<br/>b</li>\n</ul>\n<p><a href=\"u\" rel=\"nofollow\">x</a></p>"));
  EXPECT_TRUE(LooksLikeHtml("<p>a</p><pre class=\"lang-py prettyprint-override\"><code>b</code></pre><hr>"));
}

TEST(LooksLikeHtml, IsNotFooledByCode) {
  for (const char* text : {"",
                           "plain",
                           "a < b",
                           "<",
                           "<p",
                           "<p>never closed",
                           "Fix this:\n<p>hello</p>",
                           "<p>hello</p>\nWhy is it red?",
                           "```html\n<p>a</p>\n```",
                           "Use `<p>a</p>`",
                           "<p>Use `<div>` here</p>",
                           "<p class=\"x\">a</p>",
                           "<ul><li>Home</li></ul>",
                           "<h1>Title</h1>",
                           "<html><p>a</p></html>",
                           "<!DOCTYPE html><p>a</p>",
                           "<p>a</p><script>b</script>",
                           "<p onclick=\"x\">a</p>",
                           "<p>a</p><div>b</div><p>c</p>",
                           "<p>a<b>c</p></b>",
                           "<p>a<b>b</p></b><p>c</p>",
                           "<p>a<p>b</p>",
                           "</p><p>a</p>",
                           "<p>a</p>\n```\n<p>b</p>\n```\n<p>c</p>",
                           "<custom-tag><p>a</p></custom-tag>",
                           "<p>a</p><!-- open",
                           "<p>a</p></3>",
                           "<p>a</p><?php echo 1; ?>",
                           "<b>a</b>",
                           "<vector>\n<p>x</p>"}) {
    EXPECT_FALSE(LooksLikeHtml(text)) << text;
  }
}

TEST(LooksLikeHtml, KnowsThatTheSamplesAreNot) {
  const char* shared = std::getenv("STABLELM_SHARED");
  if (!shared) GTEST_SKIP() << "STABLELM_SHARED names no folder with the samples";
  std::ifstream file(std::filesystem::path(shared) / "data/gpteacher_codegen.json");  // questions about HTML too
  size_t with_tags = 0;
  for (const auto& row : nlohmann::json::parse(file)) {
    for (const char* key : {"instruction", "input", "response"}) {
      const auto text = row.at(key).get<std::string>();
      with_tags += text.find("</") != std::string::npos ? 1 : 0;
      EXPECT_FALSE(LooksLikeHtml(text)) << text;
    }
  }
  EXPECT_GT(with_tags, 10u);
}

TEST(HtmlToMarkdown, WritesParagraphsAndMarks) {
  EXPECT_EQ(Markdown("<p>One  two\nthree.</p>\n\n<p>Four<br>five<br/>\n six</p>"), "One two three.\n\nFour\nfive\nsix");
  EXPECT_EQ(Markdown("<p>a <strong>b</strong>, <em> c </em>d <b>e <i>f</i></b><del>g</del></p>"),
            "a **b**, *c* d **e *f***~~g~~");
  EXPECT_EQ(Markdown("<p><b>a <strong>b</strong></b> <b> </b>c</p>"), "**a b** c");
  EXPECT_EQ(Markdown("<p>x<sup>2</sup> &lt;&amp;&#39;&nbsp;&eacute;</p>"), "x<sup>2</sup> <&' \xC3\xA9");
  EXPECT_EQ(Markdown("text <div>block</div> <span>after <div>inner</div></span>"), "text\n\nblock\n\nafter\n\ninner");
  EXPECT_EQ(Markdown("<h1>A <em>b</em></h1><h3>C<br>d</h3><hr><h2></h2>"), "# A *b*\n\n### C d\n\n---");
  EXPECT_EQ(Markdown("<p>5 * 3 _x_ # [a]</p>"), "5 * 3 _x_ # [a]");  // nothing is escaped
}

TEST(HtmlToMarkdown, KeepsLinesOfUsersTexts) {
  EXPECT_EQ(Markdown("<div class=\"whitespace-pre-wrap\">a\n  b <b>c</b>\n\nd</div>"), "a\n  b **c**\n\nd");
  EXPECT_EQ(Markdown("<div class=\"whitespace-pre-wrap\"><div class=\"markdown\">a\n  b</div></div>"), "a b");
}

TEST(HtmlToMarkdown, WritesLinksAndImages) {
  EXPECT_EQ(Markdown("<p>See <a href=\"http://x/y\" rel=\"nofollow\">the page</a>.</p>"),
            "See [the page](http://x/y).");
  EXPECT_EQ(Markdown("<p><a href=\"http://x\">http://x</a> <a href=\"#top\">up</a> <a>none</a></p>"),
            "http://x up none");
  EXPECT_EQ(Markdown("<p><a href=\"a b(c)\"> t </a>e</p>"), "[t](<a b(c)>) e");
  EXPECT_EQ(Markdown("<p><a href=\"javascript:x()\">go</a></p>"), "go");
  EXPECT_EQ(Markdown("<p><a href=\"http://x\"><img src=\"i.png\" alt=\"a\nb\"></a></p>"), "[![a b](i.png)](http://x)");
  EXPECT_EQ(Markdown("<p><img src=\"data:image/png;base64,AAAA\" alt=\"plot\"></p>"), "plot");
}

TEST(HtmlToMarkdown, KeepsTheBytesOfCode) {
  EXPECT_EQ(Markdown("<pre><code>if (a &lt; b) {\n\n\t\"x\"  &amp;amp; \n}\n</code></pre>"),
            "```\nif (a < b) {\n\n\t\"x\"  &amp; \n}\n```");
  EXPECT_EQ(Markdown("<pre><code>\n  a</code></pre>"), "```\n\n  a\n```");
  EXPECT_EQ(Markdown("<pre><code>```\nx\n````\n</code></pre>"), "`````\n```\nx\n````\n`````");
  EXPECT_EQ(Markdown("<pre class=\"lang-py prettyprint-override\"><code>x</code></pre>"), "```py\nx\n```");
  EXPECT_EQ(Markdown("<pre>plain\n  text</pre>"), "```\nplain\n  text\n```");
  EXPECT_EQ(Markdown("<p><code>a`b</code> <code>`</code> <code> x </code><code></code></p>"), "``a`b`` `` ` `` ` x `");
}

TEST(HtmlToMarkdown, ReadsTheCodeBlocksOfChatPages) {
  const std::string with_button =
      "<pre><div class=\"bg-black mb-4 rounded-md\"><div class=\"flex items-center\"><span class=\"\">python</span>"
      "<button class=\"flex ml-auto gap-2\"><svg stroke=\"currentColor\"><path d=\"M16\"></path><rect x=\"8\"/></svg>"
      "Copy code</button></div><div class=\"p-4\"><code class=\"!whitespace-pre hljs\">"
      "<span class=\"hljs-keyword\">def</span> f():\n    <span>return</span> 1\n</code></div></div></pre>";
  EXPECT_TRUE(LooksLikeHtml(Page("<p>Do:</p>" + with_button)));
  EXPECT_EQ(Markdown(Page("<p>Do:</p>" + with_button + "<p>Done.</p>")),
            "Do:\n\n```python\ndef f():\n    return 1\n```\n\nDone.");
  EXPECT_EQ(Markdown("<pre><span>c++</span><span>Copy code</span><code>x</code></pre>"), "```c++\nx\n```");
  EXPECT_EQ(Markdown("<pre><button>Copy code</button><code class=\"hljs language-js\">x</code></pre>"),
            "```js\nx\n```");
  // Text beside the code that is no label is part of what is shown.
  EXPECT_EQ(Markdown("<pre>a line <code>x</code>\n<code>y</code></pre>"), "```\na line x\ny\n```");
}

TEST(HtmlToMarkdown, NestsLists) {
  EXPECT_EQ(
      Markdown("<ul>\n<li>a\n<ol start=\"9\"><li>b</li><li>c<ul><li>d</li></ul></li></ol>\n</li>\n<li>e</li></ul>"),
      "- a\n  9. b\n  10. c\n      - d\n- e");
  EXPECT_EQ(Markdown("<ol><li><p>a</p></li><li><p>b</p><pre><code>x\n\ny</code></pre></li></ol><p>z</p>"),
            "1. a\n\n2. b\n\n   ```\n   x\n\n   y\n   ```\n\nz");
  EXPECT_EQ(Markdown("<ul><li>a</li><ul><li>b</li></ul><li>c</li></ul>"), "- a\n  - b\n- c");
  EXPECT_EQ(Markdown("<ol start=\"99999999999\"><li>a</li><li></li></ol>"), "1. a");
  EXPECT_EQ(Markdown("<blockquote><p>a</p><blockquote>b</blockquote><ul><li>c</li></ul></blockquote>"),
            "> a\n>\n> > b\n> - c");
}

TEST(HtmlToMarkdown, WritesTables) {
  EXPECT_EQ(Markdown("<table><thead><tr><th>a</th><th>b|c</th></tr></thead><tbody><tr><td>1<br>2</td><td></td></tr>"
                     "<tr><td><b>x</b></td><td><p>y</p><p>z</p></td><td>more</td></tr></tbody></table>"),
            "| a | b\\|c | |\n| --- | --- | --- |\n| 1 2 | |\n| **x** | y z | more |");
  EXPECT_EQ(Markdown("<p>t</p><table><caption>C</caption></table>"), "t\n\nC");
}

TEST(HtmlToMarkdown, TakesFormulasFromTheirSource) {
  const std::string katex =
      "<span class=\"katex\"><span class=\"katex-mathml\"><math><semantics><mi>x</mi><annotation "
      "encoding=\"application/x-tex\">x^2</annotation></semantics></math></span><span "
      "class=\"katex-html\">x2</span></span>";
  EXPECT_EQ(Markdown("<p>so " + katex + ".</p>"), "so $x^2$.");
  EXPECT_EQ(Markdown("<p><span class=\"katex-display\">" + katex + "</span></p>"), "$$x^2$$");
}

TEST(HtmlToMarkdown, RefusesWhatIsTooLargeOrTooDeep) {
  const auto nested = [](size_t depth) {
    std::string html;
    for (size_t i = 0; i < depth; ++i) html += "<div>";
    html += "x";
    for (size_t i = 0; i < depth; ++i) html += "</div>";
    return html;
  };
  EXPECT_EQ(Markdown(nested(kDeepestHtml)), "x");
  EXPECT_EQ(Markdown(nested(kDeepestHtml + 1)), "refused");
  EXPECT_EQ(Markdown(nested(200'000)), "refused");
  EXPECT_EQ(Markdown(std::string(kMostHtmlBytes, 'a')), std::string(kMostHtmlBytes, 'a'));
  EXPECT_EQ(Markdown(std::string(kMostHtmlBytes + 1, 'a')), "refused");
  // Formatting elements that stay open are made anew in every paragraph: memory that grows with the square.
  std::string reopened = "<p>";
  for (int i = 0; i < 50; ++i) reopened += "<font size=" + std::to_string(i) + ">";
  reopened += "</p>";
  for (int i = 0; i < 10'000; ++i) reopened += "<p>x</p>";
  EXPECT_LE(ShapeOf(reopened).depth, kDeepestHtml);
  EXPECT_EQ(Markdown(reopened), "refused");
  EXPECT_EQ(Markdown("<p>a</p><iframe></iframe>"), "refused");
}

TEST(HtmlToMarkdown, GivesUtf8) {
  // The parser lets these numbers overflow.
  for (const char* digits :
       {"99999999999", "66666666666666666666666666666666666666666666666666666666640", "4294967295"}) {
    EXPECT_EQ(utf8::FirstInvalid(Markdown("<p>a&#" + std::string(digits) + ";</p>")), utf8::kValid) << digits;
  }
}

TEST(HtmlShape, BoundsTheDepth) {
  EXPECT_EQ(ShapeOf("<div><b>x</b><br></div>").depth, 2u);
  EXPECT_EQ(ShapeOf("<div></b></i><p>").depth, 4u);
  EXPECT_EQ(ShapeOf("<svg><input><input></svg>").depth, 4u);  // void elements have content in drawings
  EXPECT_EQ(ShapeOf("<svg><path d=\"x\"/><path/></svg>").depth, 1u);
  EXPECT_EQ(ShapeOf("<div a=\"</div>\" b='</div>' c=</div><p>").depth, 2u);
  EXPECT_EQ(ShapeOf("<div><!-- </div> --><p>").depth, 2u);
  EXPECT_TRUE(ShapeOf("<div><!--></div>--><p>").page_elements);
}

}  // namespace
}  // namespace stablelm
