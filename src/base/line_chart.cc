#include "base/line_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/html_page.h"
#include "base/number_text.h"

namespace stablelm {
namespace {

using Point = std::pair<double, double>;

constexpr double kLeft = 52, kRight = 10, kTop = 10, kBottom = 24;

// The step of an axis with about `count` ticks: 1, 2 or 5 times a power of ten.
double NiceStep(double range, double count) {
  const double rough = range / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

std::string Coordinate(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string TickText(double value, double step) {
  if (std::abs(value) < step / 1e6) return "0";
  const double size = std::abs(value);
  char text[32];
  if (size >= 1e6 || size < 1e-3) {
    std::snprintf(text, sizeof text, "%.3g", value);
  } else if (step >= 1) {
    return Grouped(std::llround(value));
  } else {
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), value);
  }
  return text;
}

struct Axes {
  double width, height, x_most, y_least, y_most;
  double X(double x) const { return kLeft + x / x_most * (width - kLeft - kRight); }
  double Y(double y) const { return kTop + (y_most - y) / (y_most - y_least) * (height - kTop - kBottom); }
};

Axes AxesOf(const LineChart& chart) {
  double least = chart.from_zero ? 0 : INFINITY, most = -INFINITY;
  for (const ChartSeries& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(y)) continue;
      least = std::min(least, y);
      most = std::max(most, y);
    }
  }
  if (chart.y_most) most = std::min(most, *chart.y_most);
  if (!(least < most)) {
    const double middle = std::isfinite(most) ? most : 0, around = std::max(std::abs(middle) / 2, 1e-9);
    least = chart.from_zero ? 0 : middle - around;
    most = middle + around;
  }
  const double margin = (most - least) * 0.04;
  return {chart.width, chart.height, std::max(chart.x_most, 1.0), chart.from_zero ? 0 : least - margin, most + margin};
}

// At most two points for a column of pixels.
std::vector<Point> Thinned(const std::vector<Point>& points, const Axes& axes) {
  const auto columns = static_cast<size_t>(axes.width - kLeft - kRight);
  if (points.size() <= 2 * columns) return points;
  std::vector<Point> out;
  for (size_t begin = 0; begin < points.size();) {
    const auto column = [&](size_t i) { return std::floor(axes.X(points[i].first)); };
    size_t end = begin, low = begin, high = begin;
    for (; end < points.size() && column(end) == column(begin); ++end) {
      if (!(points[end].second >= points[low].second)) low = end;
      if (!(points[end].second <= points[high].second)) high = end;
    }
    out.push_back(points[std::min(low, high)]);
    if (low != high) out.push_back(points[std::max(low, high)]);
    begin = end;
  }
  return out;
}

std::string Line(const ChartSeries& series, const Axes& axes) {
  std::string path;
  bool broken = true;
  for (const auto& [x, y] : Thinned(series.points, axes)) {
    if (!std::isfinite(y)) {
      broken = true;
      continue;
    }
    path += (broken ? "M" : "L") + Coordinate(axes.X(x)) + " " + Coordinate(axes.Y(y));
    broken = false;
  }
  std::string svg = "<path class=\"" + series.style + "\" d=\"" + path + "\"/>\n";
  for (size_t i = 0; series.dots && i < series.points.size(); ++i) {
    const auto& [x, y] = series.points[i];
    if (!std::isfinite(y)) continue;
    svg += "<circle class=\"" + series.style + "\" cx=\"" + Coordinate(axes.X(x)) + "\" cy=\"" + Coordinate(axes.Y(y)) +
           "\" r=\"2.6\"><title>" + EscapedHtml(series.name) + ", step " + NumberText(x) + ": " + NumberText(y) +
           "</title></circle>\n";
  }
  return svg;
}

std::string Grid(const Axes& axes) {
  std::string svg;
  const double right = axes.width - kRight, bottom = axes.height - kBottom;
  const double y_step = NiceStep(axes.y_most - axes.y_least, axes.height / 45);
  for (double y = std::ceil(axes.y_least / y_step) * y_step; y <= axes.y_most; y += y_step) {
    const std::string at = Coordinate(axes.Y(y));
    svg += "<line x1=\"" + Coordinate(kLeft) + "\" y1=\"" + at + "\" x2=\"" + Coordinate(right) + "\" y2=\"" + at +
           "\"/><text text-anchor=\"end\" x=\"" + Coordinate(kLeft - 8) + "\" y=\"" + Coordinate(axes.Y(y) + 4) +
           "\">" + TickText(y, y_step) + "</text>\n";
  }
  const double x_step = std::max(1.0, NiceStep(axes.x_most, axes.width / 110));
  for (double x = 0; x <= axes.x_most; x += x_step) {
    // A label near the right edge would be cut off.
    const char* anchor = axes.X(x) > right - 14 ? "end" : "middle";
    svg += "<text text-anchor=\"" + std::string(anchor) + "\" x=\"" +
           Coordinate(std::min(axes.X(x), *anchor == 'e' ? right : axes.X(x))) + "\" y=\"" + Coordinate(bottom + 17) +
           "\">" + TickText(x, x_step) + "</text>\n";
  }
  return svg;
}

std::string Legend(const LineChart& chart) {
  std::string html;
  for (const ChartSeries& series : chart.series) {
    if (!series.name.empty()) {
      html += "<span><i class=\"" + series.style + "\"></i>" + EscapedHtml(series.name) + "</span>\n";
    }
  }
  return html.empty() ? html : "<p class=\"legend\">" + html + "</p>\n";
}

}  // namespace

std::string SvgOf(const LineChart& chart) {
  const Axes axes = AxesOf(chart);
  const std::string size = Coordinate(chart.width) + " " + Coordinate(chart.height);
  const bool large = chart.width > 600;  // keeps a readable size on a narrow screen, where it can be scrolled
  std::string svg = "<div class=\"plot\"><svg class=\"chart" + std::string(large ? " large" : "") +
                    "\" viewBox=\"0 0 " + size + "\" role=\"img\" aria-label=\"" + EscapedHtml(chart.label) + "\">\n" +
                    Grid(axes);
  // A frame of its own, which cuts off what is above the axis.
  svg += "<svg x=\"0\" y=\"" + Coordinate(kTop - 4) + "\" width=\"" + Coordinate(chart.width) + "\" height=\"" +
         Coordinate(chart.height - kTop - kBottom + 8) + "\" viewBox=\"0 " + Coordinate(kTop - 4) + " " +
         Coordinate(chart.width) + " " + Coordinate(chart.height - kTop - kBottom + 8) + "\">\n";
  for (const ChartMark& mark : chart.marks) {
    const std::string x = Coordinate(axes.X(mark.x));
    svg += "<line class=\"mark\" x1=\"" + x + "\" x2=\"" + x + "\" y1=\"" + Coordinate(kTop) + "\" y2=\"" +
           Coordinate(chart.height - kBottom) + "\"><title>" + EscapedHtml(mark.text) + "</title></line>\n";
  }
  for (const ChartSeries& series : chart.series) svg += Line(series, axes);
  return svg + "</svg>\n</svg></div>\n" + Legend(chart);
}

std::string_view ChartStyle() {
  return R"(
:root { --c0: #2a7d4f; --c1: #3468c0; --c2: #b4472f; --c3: #8a5bb8; --c4: #b07d12; --c5: #16818c; --c6: #b3477e;
        --c7: #6b7280; }
svg.chart { width: 100%; height: auto; display: block; }
.plot { overflow-x: auto; } .plot > svg.large { min-width: 34rem; }
.chart path { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
.chart path.raw { stroke-width: 1; } .chart circle { fill: var(--c); }
.chart line { stroke: var(--line); stroke-width: .6; } .chart line.mark { stroke: var(--bad); stroke-width: 1.5; }
.chart text { opacity: .75; }
.raw { --c: color-mix(in srgb, var(--c0) 40%, transparent); } .c0 { --c: var(--c0); } .c1 { --c: var(--c1); }
.c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); }
.c7 { --c: var(--c7); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .3rem 0 0 3.2rem; font-size: .85rem; }
.legend i { display: inline-block; width: 1.1rem; height: .22rem; border-radius: .1rem; background: var(--c);
            margin-right: .4rem; vertical-align: middle; }
@media (prefers-color-scheme: dark) {
  :root { --c0: #4fb37e; --c1: #7ba6ee; --c2: #e2836c; --c3: #b793df; --c4: #d9a94a; --c5: #4bb8c4; --c6: #e285b6;
          --c7: #a3abb8; }
}
)";
}

}  // namespace stablelm
