// A chart of lines over steps as SVG, for reports: scales with the page, in the page's colours, without scripts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stablelm {

struct ChartSeries {
  std::string name = {};                               // for the legend; empty: none
  std::string style;                                   // CSS class of its line, dots and legend
  bool dots = false;                                   // also a dot at each point, which tells its values
  std::vector<std::pair<double, double>> points = {};  // by ascending x; a y that is not finite breaks the line
};

// Something that happened at x, and what: a vertical line.
struct ChartMark {
  double x = 0;
  std::string text;
};

struct LineChart {
  std::string label;  // what it shows, for those who cannot see it
  double width = 720, height = 260;
  double x_most = 1;                  // the axis runs from 0
  std::optional<double> y_most = {};  // what is above is cut off; empty: the largest value
  bool from_zero = false;             // whether the y axis begins at 0 rather than at the smallest value
  std::vector<ChartSeries> series = {};
  std::vector<ChartMark> marks = {};
};

// More points than the chart has columns are drawn as the lowest and the highest of each column.
std::string SvgOf(const LineChart& chart);

// The CSS that the charts of a page need. Classes of series: "raw" is pale; "c0" to "c7" are colours.
std::string_view ChartStyle();

}  // namespace stablelm
