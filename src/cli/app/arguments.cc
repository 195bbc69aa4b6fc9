#include "cli/app/arguments.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/app/habits.h"

namespace stablelm {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "8", "-1", "0.5", "128,512": what may be glued to a short option.
bool IsNumber(std::string_view text) {
  if (text.starts_with("-")) text.remove_prefix(1);
  return !text.empty() && IsDigit(text.front()) && text.find_first_not_of("0123456789.,") == text.npos;
}

// Whether a word is an option: a dash and anything but a digit ("-5" is text). A lone "-" is standard input.
bool IsOption(const std::string& word) { return word.size() > 1 && word[0] == '-' && !IsDigit(word[1]); }

// What may follow an option that is true or false, as transformers' users write it too. Other words are text.
bool IsTruth(std::string_view word) { return word == "true" || word == "false" || word == "True" || word == "False"; }

// "-n" of "-n50", "-ngl" of "-ngl99": a short option without a glued number.
std::string WithoutNumber(const std::string& word) {
  if (word.size() < 2 || word[1] == '-') return word;
  return word.substr(0, word.find_first_of("-0123456789", 2));
}

// Whether a typing error turns one option into the other, or makes it shorter: the dashes that both begin with are no
// letters that agree. "--keep" is not "--help".
bool IsNear(const std::string& typed, const std::string& name) {
  const size_t letters = std::min(typed.size(), name.size()) - 2;
  return name.starts_with(typed) || EditDistance(typed, name) <= std::max<size_t>(1, letters / 3);
}

std::string WithDashes(std::string name) {
  if (name.starts_with("--")) std::ranges::replace(name, '_', '-');
  return name;
}

class Reader {
 public:
  Reader(std::span<const std::string> words, const CommandText& command) : words_(words), command_(command) {}

  Arguments Read() {
    while (at_ < words_.size()) {
      const std::string& word = words_[at_++];
      if (word == "--") {
        out_.positionals.insert(out_.positionals.end(), words_.begin() + static_cast<std::ptrdiff_t>(at_),
                                words_.end());
        break;
      }
      if (IsOption(word)) {
        ReadOption(word);
      } else {
        out_.positionals.push_back(word);
      }
    }
    ResolveBeside();
    RequireSameParts();
    return std::move(out_);
  }

 private:
  const OptionText* Find(std::string_view name) const {
    for (const OptionText& option : command_.options) {
      if (std::ranges::find(option.names, name) != option.names.end()) return &option;
    }
    return nullptr;
  }
  const OptionText* FindText() const {
    for (const OptionText& option : command_.options) {
      if (option.Positional() && option.IsText()) return &option;
    }
    return nullptr;
  }
  // The command's option that a row stands for; null when the command has none. -p and --prompt stand for the text, -o
  // for OUT.
  const OptionText* OptionOf(std::string_view name) const { return name == "TEXT" ? FindText() : Find(name); }
  const Habit* FindRow(std::string_view name) const {
    return FindHabit(name, command_.name, [this](std::string_view option) { return OptionOf(option) != nullptr; });
  }

  void ReadOption(const std::string& word) {
    typed_ = word;
    glued_.reset();
    if (Take(word)) return;
    if (const size_t equals = word.find('='); equals != word.npos) {
      typed_ = word.substr(0, equals);
      glued_ = word.substr(equals + 1);
      if (Take(typed_)) return;
    }
    const std::string name = WithoutNumber(word);
    if (IsNumber(std::string_view(word).substr(name.size()))) {
      typed_ = name;
      glued_ = word.substr(name.size());
      if (Take(typed_)) return;
    }
    FailUnknown(word.substr(0, word.find('=')));
  }

  // Handles an option by its exact name; false when there is none of this name.
  bool Take(const std::string& as_typed) {
    const std::string name = WithDashes(as_typed);
    const OptionText* own = Find(name);
    const Habit* row = FindRow(name);
    // The command's own short names mean what they say there: `bench model -n`.
    if (own && row && row->option != own->LongName()) row = nullptr;
    if (!own && !row) return false;
    if (!own && row->kind != HabitKind::kOption) {
      TakeWithoutOption(*row);
      return true;
    }
    TakeValue(own ? *own : *OptionOf(row->option), row);
    return true;
  }

  void TakeValue(const OptionText& option, const Habit* row) {
    if (option.LongName() == "--help") out_.help = true;
    if (option.LongName() == "--help-all") out_.help = out_.help_all = true;
    if (!option.TakesValue()) {
      if (glued_ && *glued_ != "true" && *glued_ != "false") {
        throw UsageError({.where = typed_,
                          .what = "takes no value",
                          .found = Quoted(*glued_),
                          .expected = "true, false or none",
                          .hint = "write " + typed_ + " alone"});
      }
      Set(option, !glued_ || *glued_ == "true" ? std::optional<GivenOption>({.name = option.LongName(), .value = {}})
                                               : std::nullopt);
      return;
    }
    const bool is_flag = option.IsTrueOrFalse();
    std::string typed = is_flag ? "true" : "";
    if (glued_) {
      typed = *glued_;
    } else if (!is_flag || (at_ < words_.size() && IsTruth(words_[at_]))) {
      typed = Next(option);
    }
    const std::optional<std::string> value = row ? HabitValueOf(*row, typed) : typed;
    if (row && row->option == "OUT") {
      out_.out = value;
      return;
    }
    if (row && row->part != 0) {
      std::erase_if(parts_, [&](const Part& part) { return part.of == row->part; });
      parts_.push_back({.of = row->part, .typed = typed_, .value = value.value_or(typed)});
    }
    if (option.Positional()) {
      if (out_.text) {
        throw UsageError({.where = typed_,
                          .what = "the text is given twice",
                          .found = Quoted(typed),
                          .hint = "leave one of them out"});
      }
      out_.text = value;
      return;
    }
    if (row && !row->reason.empty()) out_.notes.emplace_back(row->reason);
    if (row && !row->beside.empty()) beside_.push_back({row, value});
    Set(option, value ? std::optional<GivenOption>({.name = option.LongName(), .value = value}) : std::nullopt);
  }

  // Keys and values of the cache have one type here.
  void RequireSameParts() const {
    for (const Part& part : parts_) {
      const Part& first = parts_.front();
      if (part.value == first.value) continue;
      throw UsageError({.where = part.typed,
                        .what = "differs from " + first.typed + ", and keys and values have one type here",
                        .found = Quoted(part.value) + " and " + Quoted(first.value),
                        .hint = "give both the same type, or --kv alone"});
    }
  }

  std::string Next(const OptionText& option) {
    if (at_ < words_.size()) return words_[at_++];
    throw UsageError({.where = typed_,
                      .what = "needs a value, and none follows",
                      .expected = typed_ + " " + option.value,
                      .hint = "stablelm " + command_.name + " --help shows the options"});
  }

  void Set(const OptionText& option, const std::optional<GivenOption>& given) {
    if (!option.repeats) out_.Remove(option.LongName());
    if (given) out_.options.push_back(*given);
  }

  // Rows whose option depends on another one, which may come later on the command line.
  void ResolveBeside() {
    for (const auto& [row, value] : beside_) {
      const size_t space = row->beside.find(' ');
      const std::string* other = out_.ValueOf(std::string(row->beside.substr(0, space)));
      if (!other || *other == "1" || !value) continue;
      out_.Remove(std::string(row->option));
      out_.options.push_back({.name = std::string(row->beside.substr(space + 1)), .value = value});
    }
  }

  void TakeWithoutOption(const Habit& row) {
    const auto is_word = [](const std::string& word) {
      return word == "on" || word == "off" || word == "auto" || word == "0" || word == "1";
    };
    std::optional<std::string> value = glued_;
    if (!value && at_ < words_.size() &&
        (row.takes == HabitTakes::kValue || (row.takes == HabitTakes::kOptionalWord && is_word(words_[at_])))) {
      value = words_[at_++];
    }
    if (row.kind == HabitKind::kAlreadySo && (!value || row.values.empty())) return;
    if (value && !HabitValueOf(row, *value)) return;  // what this build does anyway
    std::vector<std::string> expected;
    for (const HabitValue& known : row.values) expected.emplace_back(known.typed);
    throw UsageError({.where = typed_,
                      .what = "is not here",
                      .found = value ? Quoted(*value) : "",
                      .expected = row.kind == HabitKind::kAlreadySo ? Joined(expected, " or ") : "",
                      .hint = std::string(row.reason)});
  }

  [[noreturn]] void FailUnknown(const std::string& typed) const {
    const std::string see = "stablelm " + command_.name + " --help shows the options";
    const std::string what = "unknown option " + Quoted(typed);
    const std::string name = WithoutNumber(typed);
    for (const std::string& longer : {"-" + typed, "-" + name}) {  // "-no-mmap", "-temp0.5"
      if (typed[1] == '-' || name.size() <= 2) break;
      const Habit* row = FindRow(longer);
      if (!Find(longer) && row && row->kind != HabitKind::kOption) {
        throw UsageError(
            {.where = command_.name,
             .what = what,
             .hint = (row->kind == HabitKind::kAlreadySo ? "leave it out: " : "") + std::string(row->reason)});
      }
      const OptionText* option = Find(longer) ? Find(longer) : row ? OptionOf(row->option) : nullptr;
      if (option && !option->Positional()) {
        throw UsageError({.where = command_.name, .what = what, .hint = "did you mean " + option->LongName() + "?"});
      }
    }
    if (const Habit* row = FindHabit(WithDashes(typed));
        row && row->kind == HabitKind::kOption && row->option != WithDashes(typed)) {
      throw UsageError({.where = command_.name,
                        .what = what,
                        .hint = "it stands for " + std::string(row->option == "TEXT" ? "a text" : row->option) +
                                ", which this command does not have; " + see});
    }
    if (typed[1] != '-' && typed.size() > 2 && (Find(typed.substr(0, 2)) || FindRow(typed.substr(0, 2)))) {
      throw UsageError(
          {.where = command_.name,
           .what = what,
           .hint = "a value that is not a number stands apart: " + typed.substr(0, 2) + " " + typed.substr(2)});
    }
    const std::string otherwise = see + "; text that starts with a dash goes after --";
    // One letter is one edit from any other: no name is nearer than another.
    if (typed.size() <= 2) throw UnknownOption({.where = command_.name, .what = what, .hint = otherwise}, typed, false);
    std::vector<std::string> names;
    for (const OptionText& option : command_.options) {
      for (const std::string& one : option.names) {
        if (one.starts_with("--")) names.push_back(one);
      }
    }
    for (const Habit& row : Habits()) {
      if (row.name.starts_with("--") && FindRow(row.name) == &row && row.kind == HabitKind::kOption) {
        names.emplace_back(row.name);
      }
    }
    const auto own_name = [&](const std::string& one) {
      const OptionText* option = Find(one) ? Find(one) : OptionOf(FindRow(one)->option);
      return option->Positional() ? one : option->LongName();
    };
    // Several options may begin so: "--max".
    constexpr size_t kMostChoices = 3;
    std::vector<std::string> begun;
    for (const std::string& one : names) {
      if (typed.size() < 5 || !one.starts_with(WithDashes(typed)) || !own_name(one).starts_with(WithDashes(typed)))
        continue;
      if (std::ranges::find(begun, own_name(one)) == begun.end()) begun.push_back(own_name(one));
    }
    if (!begun.empty() && begun.size() <= kMostChoices) {
      throw UnknownOption({.where = command_.name, .what = what, .hint = "did you mean " + Joined(begun, " or ") + "?"},
                          WithDashes(typed), true);
    }
    std::string nearest = NearestName(WithDashes(typed), names);
    if (!nearest.empty()) nearest = IsNear(WithDashes(typed), nearest) ? own_name(nearest) : "";
    throw UnknownOption(
        {.where = command_.name, .what = what, .hint = nearest.empty() ? otherwise : "did you mean " + nearest + "?"},
        WithDashes(typed), !nearest.empty());
  }

  struct Beside {
    const Habit* row;
    std::optional<std::string> value;
  };
  struct Part {
    char of;
    std::string typed, value;
  };
  std::span<const std::string> words_;
  const CommandText& command_;
  size_t at_ = 0;
  std::string typed_;                 // the option as it was typed, without a glued value
  std::optional<std::string> glued_;  // the value in the same word
  std::vector<Beside> beside_;
  std::vector<Part> parts_;
  Arguments out_;
};

}  // namespace

const std::string* Arguments::ValueOf(const std::string& option) const {
  const auto found = std::ranges::find(options, option, &GivenOption::name);
  return found == options.end() || !found->value ? nullptr : &*found->value;
}

bool Arguments::Has(const std::string& option) const {
  return std::ranges::find(options, option, &GivenOption::name) != options.end();
}

void Arguments::Remove(const std::string& option) {
  std::erase_if(options, [&](const GivenOption& given) { return given.name == option; });
}

std::vector<std::string> Arguments::Words() const {
  std::vector<std::string> words;
  for (const GivenOption& given : options) {
    words.push_back(given.name);
    if (given.value) words.push_back(*given.value);
  }
  if (positionals.empty() && !text) return words;
  words.emplace_back("--");
  words.insert(words.end(), positionals.begin(), positionals.end());
  if (text) words.push_back(*text);
  return words;
}

Arguments ReadArguments(std::span<const std::string> words, const CommandText& command) {
  return Reader(words, command).Read();
}

}  // namespace stablelm
