#include "base/html_page.h"

#include <cstdio>

#include "base/utf8.h"

namespace stablelm {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #2a7d4f; --bad: #b4472f; --mark: #2a7d4f33; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
td:has(> .note) { text-align: left; width: 60%; }
.bar { display: flex; height: .8rem; border-radius: .2rem; overflow: hidden; background: var(--soft); }
.bar i { display: block; background: var(--good); } .bar i + i { background: var(--bad); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .8rem; border-radius: .4rem;
      font: 14px/1.5 ui-monospace, monospace; }
.target { background: var(--mark); border-bottom: 2px solid var(--good); }
.control { font-weight: 700; opacity: .75; } .note { opacity: .75; } .warn { color: var(--bad); font-weight: 600; }
svg text { fill: currentColor; font: 11px system-ui, sans-serif; } svg rect { fill: var(--good); }
details > summary { cursor: pointer; margin-top: 1rem; }
)";

}  // namespace

std::string EscapedHtml(std::string_view text) {
  const std::string valid = utf8::ReplaceInvalid(text);
  std::string out;
  for (const char c : valid) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') {
          char code[16];
          std::snprintf(code, sizeof code, "\\x%02X", static_cast<unsigned>(c));
          out += code;
        } else {
          out += c;
        }
    }
  }
  return out;
}

HtmlPage::HtmlPage(std::string_view title, std::string_view style) {
  const std::string escaped = EscapedHtml(title);
  html_ = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html_ += "<meta name=\"viewport\" content=\"width=device-width\">\n<title>" + escaped + "</title>\n<style>";
  html_ += kStyle;
  html_ += style;
  html_ += "</style>\n</head>\n<body>\n<h1>" + escaped + "</h1>\n";
}

void HtmlPage::Head(std::string_view text) { html_ += "<h2>" + EscapedHtml(text) + "</h2>\n"; }

void HtmlPage::SubHead(std::string_view text) { html_ += "<h3>" + EscapedHtml(text) + "</h3>\n"; }

void HtmlPage::Table(const std::vector<std::vector<std::string>>& rows) {
  html_ += "<table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    html_ += "<tr>";
    for (const std::string& cell : rows[r]) html_ += (r == 0 ? "<th>" : "<td>") + cell + (r == 0 ? "</th>" : "</td>");
    html_ += "</tr>\n";
  }
  html_ += "</table>\n";
}

}  // namespace stablelm
