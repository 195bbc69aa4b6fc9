#include "dataset/clean/roles.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace stablelm {
namespace {

void JoinNeighbours(std::vector<SourceTurn>& turns, ChangeCounts& changes) {
  changes[TextChange::kEmptyTurnsRemoved] += std::erase_if(turns, [](const SourceTurn& t) { return t.text.empty(); });
  std::vector<SourceTurn> joined;
  for (SourceTurn& turn : turns) {
    if (joined.empty() || joined.back().role != turn.role) {
      joined.push_back(std::move(turn));
      continue;
    }
    joined.back().text.append("\n\n").append(turn.text);
    joined.back().loss = joined.back().loss && turn.loss;
    ++changes[TextChange::kTurnsJoined];
  }
  turns = std::move(joined);
}

}  // namespace

std::optional<DropReason> OrderRoles(SourceConversation& conversation, RoleOrder order, ChangeCounts& changes) {
  std::vector<SourceTurn>& turns = conversation.turns;
  if (order == RoleOrder::kJoin) JoinNeighbours(turns, changes);
  const auto is_user = [](const SourceTurn& turn) { return turn.role == Role::kUser; };
  const auto first_user = std::find_if(turns.begin(), turns.end(), is_user);
  if (first_user == turns.end()) return DropReason::kNoQuestion;
  changes[TextChange::kLeadingAnswers] += static_cast<uint64_t>(first_user - turns.begin());
  turns.erase(turns.begin(), first_user);
  const auto last_answer = std::find_if_not(turns.rbegin(), turns.rend(), is_user);
  if (last_answer == turns.rend()) return DropReason::kNoAnswer;
  changes[TextChange::kTrailingQuestions] += static_cast<uint64_t>(last_answer - turns.rbegin());
  turns.erase(last_answer.base(), turns.end());
  for (size_t i = 0; i < turns.size(); ++i) {
    if (is_user(turns[i]) != (i % 2 == 0)) return DropReason::kRolesDoNotAlternate;
  }
  const bool empty = std::any_of(turns.begin(), turns.end(), [](const SourceTurn& turn) { return turn.text.empty(); });
  return empty ? std::optional(DropReason::kEmptyTurn) : std::nullopt;
}

}  // namespace stablelm
