// The order of roles: what is cut off, joined and dropped, by name.
#include "dataset/clean/roles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

namespace stablelm {
namespace {

// "ua.u": a user turn, an answer, an empty answer..: a dot makes the turn before it empty.
SourceConversation WithRoles(std::string_view roles) {
  SourceConversation conversation;
  for (const char c : roles) {
    if (c == '.') {
      conversation.turns.back().text.clear();
    } else {
      conversation.turns.push_back(
          {c == 'u' ? Role::kUser : Role::kAssistant, c + std::to_string(conversation.turns.size())});
    }
  }
  return conversation;
}

std::string Texts(const SourceConversation& conversation) {
  std::string texts;
  for (const SourceTurn& turn : conversation.turns) texts += (texts.empty() ? "" : "|") + turn.text;
  return texts;
}

TEST(Roles, ThatAlternateAreKept) {
  for (const RoleOrder order : {RoleOrder::kStrict, RoleOrder::kJoin}) {
    for (const char* roles : {"ua", "uaua"}) {
      SourceConversation conversation = WithRoles(roles);
      ChangeCounts changes;
      EXPECT_EQ(OrderRoles(conversation, order, changes), std::nullopt);
      EXPECT_EQ(conversation, WithRoles(roles));
      EXPECT_EQ(changes, ChangeCounts{});
    }
  }
}

TEST(Roles, AreCutAtBothEnds) {
  SourceConversation conversation = WithRoles("aauauu");
  ChangeCounts changes;
  EXPECT_EQ(OrderRoles(conversation, RoleOrder::kStrict, changes), std::nullopt);
  EXPECT_EQ(Texts(conversation), "u2|a3");
  EXPECT_EQ(changes[TextChange::kLeadingAnswers], 2u);
  EXPECT_EQ(changes[TextChange::kTrailingQuestions], 2u);
}

TEST(Roles, ThatCannotBeUsedAreDroppedByReason) {
  const auto why = [](std::string_view roles, RoleOrder order = RoleOrder::kStrict) {
    SourceConversation conversation = WithRoles(roles);
    ChangeCounts changes;
    const std::optional<DropReason> reason = OrderRoles(conversation, order, changes);
    return reason ? std::string(NameOf(*reason)) : "kept";
  };
  EXPECT_EQ(why(""), "no-question");
  EXPECT_EQ(why("aa"), "no-question");
  EXPECT_EQ(why("u"), "no-answer");
  EXPECT_EQ(why("au"), "no-answer");
  EXPECT_EQ(why("uuaa"), "roles-do-not-alternate");
  EXPECT_EQ(why("uaaua"), "roles-do-not-alternate");
  EXPECT_EQ(why("ua."), "empty-turn");
  EXPECT_EQ(why("uau.a"), "empty-turn");
  EXPECT_EQ(why("u.a"), "empty-turn");
  EXPECT_EQ(why("uau."), "kept");  // the empty turn is cut off
  EXPECT_EQ(why("a.ua"), "kept");
  EXPECT_EQ(why("ua.", RoleOrder::kJoin), "no-answer");
  EXPECT_EQ(why("uuaa", RoleOrder::kJoin), "kept");
}

TEST(Roles, OfNeighboursAreJoined) {
  SourceConversation conversation = WithRoles("auu.uaa.ua");
  conversation.turns[3].loss = false;
  ChangeCounts changes;
  EXPECT_EQ(OrderRoles(conversation, RoleOrder::kJoin, changes), std::nullopt);
  EXPECT_EQ(Texts(conversation), "u1\n\nu3|a4|u6|a7");
  EXPECT_FALSE(conversation.turns[0].loss);
  EXPECT_TRUE(conversation.turns[1].loss);
  EXPECT_EQ(changes[TextChange::kEmptyTurnsRemoved], 2u);
  EXPECT_EQ(changes[TextChange::kTurnsJoined], 1u);
  EXPECT_EQ(changes[TextChange::kLeadingAnswers], 1u);
}

TEST(Reasons, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  const auto check = [&](const NamedReason& reason) {
    EXPECT_TRUE(names.insert(reason.name).second) << reason.name;
    EXPECT_FALSE(reason.words.empty());
    EXPECT_EQ(reason.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos) << reason.name;
  };
  std::for_each(kDropReasons.begin(), kDropReasons.end(), check);
  std::for_each(kTextChanges.begin(), kTextChanges.end(), check);
}

}  // namespace
}  // namespace stablelm
