// What the names of reasons and changes mean, in words.
#pragma once

#include <string_view>

namespace stablelm {

// Of the reasons for which rows and conversations are dropped, and of the changes that cleaning makes: the names in
// manifest.json. Empty for others.
std::string_view ReasonWords(std::string_view name);

// The key of a recipe's source that decides whether conversations go for this reason: "clean.english". Empty: none
// does.
std::string_view KeyOfReason(std::string_view name);

}  // namespace stablelm
