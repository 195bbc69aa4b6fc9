// A page of HTML for people: one file in the look of all reports, without scripts and without links to anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stablelm {

// Text for an HTML page: markup escaped, control characters made visible, well-formed UTF-8.
std::string EscapedHtml(std::string_view text);

class HtmlPage {
 public:
  // `title`: text. `style`: CSS besides that of all pages.
  explicit HtmlPage(std::string_view title, std::string_view style = {});

  void Add(std::string_view html) { html_ += html; }
  void Head(std::string_view text);
  void SubHead(std::string_view text);
  // Cells are HTML; the first row is the head.
  void Table(const std::vector<std::vector<std::string>>& rows);
  std::string Finish() { return std::move(html_) + "</body>\n</html>\n"; }

 private:
  std::string html_;
};

}  // namespace stablelm
