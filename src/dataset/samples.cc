#include "dataset/samples.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace stablelm {
namespace {

// Tokens [begin, end) of a question and its answer, and where the user's text lies in them.
struct Exchange {
  size_t begin = 0, end = 0;
  size_t left_out = 0;                  // markers before the opening token: only between exchanges of one piece
  size_t text_begin = 0, text_end = 0;  // empty: no text to cut
  bool closed = false;                  // the template closes the answer
  std::optional<size_t> next;           // the control token that ends the answer by opening the next turn
};

struct Outline {
  size_t system = 0;  // tokens before the first exchange
  std::vector<Exchange> exchanges;
};

Outline OutlineOf(const Prompt& transcript) {
  const std::vector<PromptPart>& parts = transcript.parts;
  Outline outline;
  for (const TurnParts& turn : TurnsOf(transcript)) {
    const size_t begin = parts[turn.begin].begin, end = parts[turn.end - 1].end;
    if (turn.role == Role::kSystem) {
      outline.system = end;
    } else if (turn.role == Role::kUser) {
      Exchange exchange{.begin = begin, .end = end, .next = {}};
      size_t control = turn.begin;
      while (control < turn.end && parts[control].kind == PartKind::kMarker) ++control;
      if (control < turn.end && parts[control].kind == PartKind::kControl) {
        exchange.left_out = parts[control].begin - begin;
      }
      for (size_t i = turn.begin; i < turn.end; ++i) {
        if (parts[i].kind != PartKind::kText) continue;
        exchange.text_begin = parts[i].begin;
        exchange.text_end = parts[i].end;
      }
      outline.exchanges.push_back(exchange);
    } else {
      STABLELM_CHECK(!outline.exchanges.empty());
      Exchange& exchange = outline.exchanges.back();
      exchange.end = end;
      for (size_t i = turn.begin; i < turn.end; ++i) exchange.closed |= parts[i].edge == TurnEdge::kCloses;
      if (!exchange.closed && turn.end < parts.size() && parts[turn.end].kind == PartKind::kControl) {
        exchange.next = parts[turn.end].begin;
      }
    }
  }
  return outline;
}

// The largest count <= `keep` of the first tokens of [begin, end) that ends between two characters.
size_t WholeCharacters(const Prompt& transcript, size_t begin, size_t keep, const Tokenizer& tokenizer) {
  for (; keep > 0; --keep) {
    // The bytes of a character lie in at most four tokens.
    std::string tail;
    for (size_t i = begin + keep - std::min<size_t>(keep, 4); i < begin + keep; ++i) {
      tail += tokenizer.TokenBytes(transcript.ids[i]);
    }
    size_t at = tail.size();
    while (at > 0 && tail.size() - at < 3 && (static_cast<unsigned char>(tail[at - 1]) & 0xC0) == 0x80) --at;
    if (at == 0 || !utf8::DecodeOne(std::string_view(tail).substr(at - 1)).incomplete) return keep;
  }
  return 0;
}

class Cutter {
 public:
  Cutter(const Prompt& transcript, const SampleRules& rules, std::span<const uint8_t> targets, std::vector<Sample>& out,
         TokenAccount& account)
      : transcript_(transcript), rules_(rules), targets_(targets), out_(out), account_(account) {}

  void Begin(size_t system) {
    Take(0, system);
    system_ = system;
  }
  void Take(size_t begin, size_t end) {
    const auto at = [](auto& list, size_t index) { return list.begin() + static_cast<ptrdiff_t>(index); };
    piece_.ids.insert(piece_.ids.end(), at(transcript_.ids, begin), at(transcript_.ids, end));
    piece_.targets.insert(piece_.targets.end(), at(targets_, begin), at(targets_, end));
  }
  void TakeEnd(bool target) {
    piece_.ids.push_back(*rules_.end_id);
    piece_.targets.push_back(target ? 1 : 0);
    ++account_.end;
  }
  // Closes the piece. The next one begins with the system text again.
  void Finish() {
    if (piece_.ids.empty() || piece_.ids.size() == system_) return;
    piece_.targets[0] = 0;
    if (used_system_) account_.system_repeated += system_;
    used_system_ = true;
    STABLELM_CHECK(piece_.ids.size() <= static_cast<size_t>(rules_.sequence_length));
    if (std::find(piece_.targets.begin(), piece_.targets.end(), 1) == piece_.targets.end()) {
      account_.without_targets += piece_.ids.size();
      ++account_.pieces_without_targets;
    } else {
      account_.written += piece_.ids.size();
      out_.push_back(std::move(piece_));
    }
    piece_ = {};
  }
  size_t size() const { return piece_.ids.size(); }
  bool used_system() const { return used_system_; }

 private:
  const Prompt& transcript_;
  const SampleRules& rules_;
  std::span<const uint8_t> targets_;
  std::vector<Sample>& out_;
  TokenAccount& account_;
  Sample piece_;
  size_t system_ = 0;
  bool used_system_ = false;
};

}  // namespace

void TokenAccount::Add(const TokenAccount& other) {
  static constexpr uint64_t TokenAccount::*kFields[] = {&TokenAccount::read,
                                                        &TokenAccount::written,
                                                        &TokenAccount::system_repeated,
                                                        &TokenAccount::next_turn,
                                                        &TokenAccount::end,
                                                        &TokenAccount::too_long,
                                                        &TokenAccount::user_cut,
                                                        &TokenAccount::left_out,
                                                        &TokenAccount::without_targets,
                                                        &TokenAccount::exchanges_too_long,
                                                        &TokenAccount::users_cut,
                                                        &TokenAccount::pieces_without_targets};
  static_assert(sizeof kFields / sizeof kFields[0] * sizeof(uint64_t) == sizeof(TokenAccount));
  for (uint64_t TokenAccount::*field : kFields) this->*field += other.*field;
}

bool TokenAccount::Balances() const {
  return written + too_long + user_cut + left_out + without_targets == read + system_repeated + next_turn + end;
}

void CutTranscript(const Prompt& transcript, const SampleRules& rules, std::span<const uint8_t> mute,
                   const Tokenizer& tokenizer, std::vector<Sample>& out, TokenAccount& account) {
  const auto limit = static_cast<size_t>(rules.sequence_length);
  const Outline outline = OutlineOf(transcript);
  const std::vector<uint8_t> targets = TargetsOf(transcript, rules.loss, mute);
  account.read += transcript.ids.size();

  Cutter cutter(transcript, rules, targets, out, account);
  cutter.Begin(outline.system);
  bool open = false;  // the piece has an exchange
  const size_t count = outline.exchanges.size();
  for (size_t i = 0; i < count; ++i) {
    const Exchange& exchange = outline.exchanges[i];
    const bool last = i + 1 == count;
    const bool ends = last && rules.end_id && !exchange.closed;
    // What ends the answer if the piece ends here.
    const size_t ending = (exchange.next || ends) ? 1 : 0;
    const size_t alone = exchange.end - exchange.begin - exchange.left_out;
    const auto finish = [&](const Exchange& before) {  // ends the piece after `before`, whose conversation goes on
      if (before.next) {
        cutter.Take(*before.next, *before.next + 1);
        ++account.next_turn;
      }
      cutter.Finish();
      cutter.Begin(outline.system);
      open = false;
    };
    if (open && cutter.size() + (exchange.end - exchange.begin) + ending > limit) finish(outline.exchanges[i - 1]);
    if (!open && outline.system + alone + ending > limit) {
      const size_t excess = outline.system + alone + ending - limit;
      const size_t text = exchange.text_end - exchange.text_begin;
      const size_t keep = rules.long_turn == LongTurn::kTruncateUser && text > excess
                              ? WholeCharacters(transcript, exchange.text_begin, text - excess, tokenizer)
                              : 0;
      if (keep == 0) {
        account.too_long += exchange.end - exchange.begin;
        ++account.exchanges_too_long;
        continue;
      }
      account.user_cut += text - keep;
      ++account.users_cut;
      account.left_out += exchange.left_out;
      cutter.Take(exchange.begin + exchange.left_out, exchange.text_begin + keep);
      cutter.Take(exchange.text_end, exchange.end);
    } else if (open) {
      cutter.Take(exchange.begin, exchange.end);
    } else {
      account.left_out += exchange.left_out;
      cutter.Take(exchange.begin + exchange.left_out, exchange.end);
    }
    open = true;
    if (ends) cutter.TakeEnd(targets[exchange.end - 1] != 0);
    // An exchange that does not fit even alone begins a piece or is dropped: its opening token still ends this answer.
    if (!last) {
      const Exchange& next = outline.exchanges[i + 1];
      const size_t next_alone =
          next.end - next.begin - next.left_out + (next.next || (i + 2 == count && rules.end_id) ? 1 : 0);
      if (outline.system + next_alone > limit) finish(exchange);
    }
  }
  cutter.Finish();
  if (!cutter.used_system()) account.too_long += outline.system;
}

void CutText(std::span<const int32_t> ids, const SampleRules& rules, std::vector<Sample>& out, TokenAccount& account) {
  const auto limit = static_cast<size_t>(rules.sequence_length);
  account.read += ids.size();
  const size_t end = rules.end_id && !ids.empty() ? 1 : 0;
  const size_t all = ids.size() + end;
  account.end += end;
  for (size_t begin = 0; begin < all; begin += limit) {
    const size_t size = std::min(limit, all - begin);
    if (size == 1) {
      ++account.without_targets;
      ++account.pieces_without_targets;
      continue;
    }
    const std::span<const int32_t> part = ids.subspan(begin, std::min(size, ids.size() - begin));
    Sample sample{.ids = {part.begin(), part.end()}, .targets = std::vector<uint8_t>(size, 1)};
    if (part.size() < size) sample.ids.push_back(*rules.end_id);
    sample.targets[0] = 0;
    account.written += size;
    out.push_back(std::move(sample));
  }
}

}  // namespace stablelm
