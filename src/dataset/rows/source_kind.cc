#include "dataset/rows/source_kind.h"

#include "base/name_table.h"

namespace stablelm {
namespace {

constexpr std::pair<SourceKind, const char*> kKinds[] = {
    {SourceKind::kAuto, "auto"},
    {SourceKind::kMessages, "messages"},
    {SourceKind::kShareGpt, "sharegpt"},
    {SourceKind::kAlpaca, "alpaca"},
    {SourceKind::kPromptReply, "prompt-response"},
    {SourceKind::kHh, "hh"},
    {SourceKind::kDolly, "dolly"},
    {SourceKind::kMarkers, "markers"},
    {SourceKind::kColumns, "columns"},
    {SourceKind::kText, "text"},
};
constexpr std::pair<Manner, const char*> kManners[] = {{Manner::kPlain, "plain"},
                                                       {Manner::kChatCombined, "chatcombined"}};

}  // namespace

const char* NameOf(SourceKind kind) { return NameIn<SourceKind>(kKinds, kind); }
std::vector<std::string> SourceKindNames() { return NamesIn<SourceKind>(kKinds); }
std::optional<SourceKind> SourceKindOf(std::string_view name) { return FindIn<SourceKind>(kKinds, name); }

const char* NameOf(Manner manner) { return NameIn<Manner>(kManners, manner); }
std::vector<std::string> MannerNames() { return NamesIn<Manner>(kManners); }
std::optional<Manner> MannerOf(std::string_view name) { return FindIn<Manner>(kManners, name); }

}  // namespace stablelm
