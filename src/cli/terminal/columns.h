// Lists short texts in columns.
#pragma once

#include <string>
#include <vector>

namespace stablelm {

// Lines of at most `width` columns, sorted down each column, as few lines as fit. wcwidth counts columns, in a UTF-8
// locale.
std::string InColumns(const std::vector<std::string>& texts, size_t width);

}  // namespace stablelm
