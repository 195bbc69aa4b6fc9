// Typed reading of recipes: defaults, ranges, choices, unknown and missing keys, overrides and the settings in force.
#include "dataset/recipe_file.h"

#include <gtest/gtest.h>

#include "error_info.h"

namespace stablelm {
namespace {

RecipeFile File(std::string_view text) { return RecipeFile::Parse(text, "r.yaml"); }

// Reads one key of the top map.
template <typename E = Error, typename Read>
ErrorInfo Refused(std::string_view text, Read read) {
  return InfoOf<E>([&] { File(text).Visit([&](RecipeMap& top) { read(top); }); });
}

TEST(RecipeFile, ReadsEveryType) {
  const std::vector<std::string> names = {"pack", "none"};
  const RecipeSettings settings =
      File("flag: True\nwhole: -3\nreal: 1e-5\ntext: 2023\nchoice: none\nabsent: null\ntexts: [a, 5]\none: a.json\n")
          .Visit([&](RecipeMap& top) {
            EXPECT_TRUE(top.Flag("flag", false));
            EXPECT_EQ(top.Whole("whole", 1, {-5, 5}), -3);
            EXPECT_EQ(top.Real("real", 1, {}), 1e-5);
            EXPECT_EQ(top.Text("text", ""), "2023");
            EXPECT_EQ(top.Choice("choice", "pack", names), "none");
            EXPECT_EQ(top.OptionalText("absent", "default"), std::nullopt);
            EXPECT_EQ(top.Texts("texts"), (std::vector<std::string>{"a", "5"}));
            EXPECT_EQ(top.RequiredTexts("one", "x"), (std::vector<std::string>{"a.json"}));
            EXPECT_EQ(top.Choice("other", "pack", names), "pack");
            EXPECT_EQ(top.OptionalWhole("limit", std::nullopt, {}), std::nullopt);
            EXPECT_EQ(top.Whole("most", kMostWhole, {}), kMostWhole);
          });
  EXPECT_EQ(settings.Yaml(),
            "flag: true\nwhole: -3\nreal: 1e-05\ntext: \"2023\"\nchoice: none\nabsent: null\n"
            "texts: [a, \"5\"]\none: a.json\nother: pack\nlimit: null\nmost: 9223372036854775807\n");
}

TEST(RecipeFile, RefusesWrongTypesAndRanges) {
  const auto whole = [](RecipeMap& top) { top.Whole("n", 1, {16, 1'048'576}); };
  for (const char* value : {"4k", "15", "1048577", "1.5", "0x20", "99999999999999999999", "true"}) {
    EXPECT_THAT(Refused("n: " + std::string(value), whole),
                Names("r.yaml: line 1, column 4", "\"" + std::string(value) + "\""));
  }
  EXPECT_EQ(Refused("n: 4k", whole).expected, "a whole number from 16 to 1,048,576");
  EXPECT_THAT(Refused("n: \"20\"", whole), Names("r.yaml: line 1, column 4", "\"20\""));
  EXPECT_THAT(Refused("n: [20]", whole), Names("r.yaml: line 1, column 4", "a list"));
  EXPECT_THAT(Refused("n:", whole), Names("r.yaml: line 1, column 1", "nothing (null)"));
  EXPECT_THAT(Refused("n:\nx: 1\n", whole), Names("r.yaml: line 1, column 1", "nothing (null)"));
  EXPECT_THAT(Refused("n: ~", whole), Names("r.yaml: line 1, column 4", "nothing (null)"));
  EXPECT_THAT(Refused("n: \"\"", whole), Names("r.yaml: line 1, column 4", "an empty text"));

  const auto real = [](RecipeMap& top) { top.Real("x", 1, {.least = 0, .most = 1, .above_least = true}); };
  for (const char* value : {"0", "-1", "1.1", ".nan", ".inf", "1e999", "one"}) {
    EXPECT_THAT(Refused("x: " + std::string(value), real),
                Names("r.yaml: line 1, column 4", "\"" + std::string(value) + "\""));
  }
  const auto flag = [](RecipeMap& top) { top.Flag("f", false); };
  for (const char* value : {"yes", "1", "tRUE"}) {
    EXPECT_THAT(Refused("f: " + std::string(value), flag),
                Names("r.yaml: line 1, column 4", "\"" + std::string(value) + "\""));
  }
  EXPECT_THAT(Refused("t: {a: 1}", [](RecipeMap& top) { top.Text("t", ""); }),
              Names("r.yaml: line 1, column 4", "a map"));
  EXPECT_THAT(Refused("t: [a, [b]]", [](RecipeMap& top) { top.Texts("t"); }),
              Names("r.yaml: line 1, column 8", "a list"));
  EXPECT_THAT(Refused("t: []", [](RecipeMap& top) { top.RequiredTexts("t", "x"); }),
              Names("r.yaml: line 1, column 4", "an empty list"));
  EXPECT_THAT(Refused("m: 5", [](RecipeMap& top) { top.Map("m", [](RecipeMap&) {}); }),
              Names("r.yaml: line 1, column 4", "\"5\""));
}

TEST(RecipeFile, RefusesUnknownChoicesWithTheNearest) {
  const std::vector<std::string> names = {"pack", "none", "concat"};
  const ErrorInfo info = Refused("\npacking: conact", [&](RecipeMap& top) { top.Choice("packing", "pack", names); });
  EXPECT_THAT(info, Names("r.yaml: line 2, column 10", "\"conact\""));
  EXPECT_THAT(info.hint, testing::HasSubstr("concat"));
  EXPECT_THAT(Refused("c: [none, pak]", [&](RecipeMap& top) { top.Choices("c", names); }),
              Names("r.yaml: line 1, column 11", "\"pak\""));
}

TEST(RecipeFile, RefusesUnknownKeysBeforeItMissesOthers) {
  const auto read = [](RecipeMap& top) {
    top.RequiredTexts("sources", "a list");
    top.Map("clean", [](RecipeMap& clean) { clean.Flag("html", false); });
  };
  ErrorInfo info = Refused("seed: 1\nsorces: [a]", read);
  EXPECT_THAT(info, Names("r.yaml: line 1, column 1", "\"seed\""));
  EXPECT_THAT(info.hint, testing::HasSubstr("sources, clean"));
  info = Refused("clean: {}\nsorces: [a]", read);
  EXPECT_THAT(info, Names("r.yaml: line 2, column 1", "\"sorces\""));
  EXPECT_THAT(info.hint, testing::HasSubstr("sources"));
  EXPECT_THAT(Refused("clean:\n  htlm: true\nsources: a", read), Names("r.yaml: line 2, column 3", "\"htlm\""));
  EXPECT_THAT(Refused("clean: {}", read), Names("r.yaml: line 1, column 1"));
}

std::string ListOfA(const RecipeNode& node) {
  const RecipeNode* name = node.Find("a");
  return name ? name->text : "";
}

TEST(RecipeFile, OverridesByNumberAndName) {
  RecipeFile file = File("top: 1\nlist:\n- name: one\n  n: 1\n- name: one.b\n  n: 1\n- {a: third, n: 1}\n");
  file.Set("top=2");
  file.Set("list.0.n=10");
  file.Set("list.one.b.n=20");
  file.Set("list.third.n=30", ListOfA);
  file.Set("map.deep.x=a=b: c");
  file.Set("texts=[a, \"b\"]");
  file.Set("empty=");
  file.Set("gone=null");
  const RecipeSettings settings = file.Visit([](RecipeMap& top) {
    EXPECT_EQ(top.Whole("top", 0, {}), 2);
    top.Maps("list", 1, [](RecipeMap& one, size_t i) {
      one.Text("a", "");
      one.Name(one.Text("name", "x"));
      EXPECT_EQ(one.Whole("n", 0, {}), static_cast<int64_t>(10 * (i + 1)));
    });
    top.Map("map",
            [](RecipeMap& map) { map.Map("deep", [](RecipeMap& deep) { EXPECT_EQ(deep.Text("x", ""), "a=b: c"); }); });
    EXPECT_EQ(top.Texts("texts"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(top.Text("empty", "x"), "");
    EXPECT_EQ(top.OptionalText("gone", "x"), std::nullopt);
    top.Flag("other", true);
  });
  std::string list;
  for (const RecipeSetting& one : settings.list()) list += one.key + "=" + one.value + " " + NameOf(one.origin) + "\n";
  EXPECT_EQ(list,
            "top=2 command line\n"
            "list.one.a=\"\" default\nlist.one.name=one recipe\nlist.one.n=10 command line\n"
            "list.one.b.a=\"\" default\nlist.one.b.name=one.b recipe\nlist.one.b.n=20 command line\n"
            "list.x.a=third recipe\nlist.x.name=x default\nlist.x.n=30 command line\n"
            "map.deep.x=\"a=b: c\" command line\n"
            "texts=[a, b] command line\nempty=\"\" command line\ngone=null command line\nother=true default\n");
}

TEST(RecipeFile, RefusesWrongOverrides) {
  RecipeFile file = File("seed: 1\nsources:\n- name: alpaca\n- name: dolly\n");
  const auto set = [&](const char* assignment) { return InfoOf<UsageError>([&] { file.Set(assignment); }); };
  EXPECT_THAT(set("seed"), Names("--set seed"));
  EXPECT_THAT(set("=3"), Names("--set =3"));
  EXPECT_THAT(set("a..b=3"), Names("--set a..b=3"));
  EXPECT_THAT(set("seed.=3"), Names("--set seed.=3"));
  EXPECT_THAT(set("seed.x=3"), Names("--set seed.x=3", "\"1\""));
  EXPECT_THAT(set("sources.2.limit=3"), Names("--set sources.2.limit=3", "\"2\""));
  EXPECT_EQ(set("sources.2.limit=3").expected, "0 to 1, or alpaca, dolly");
  EXPECT_THAT(set("sources.alpca.limit=3").hint, testing::HasSubstr("alpaca"));
  EXPECT_THAT(set("seed=[1"), Names(testing::StartsWith("--set seed=[1: line 1"), testing::_));
  EXPECT_THAT(set("seed=\xFF"), Names(testing::HasSubstr("\\xFF")));
  EXPECT_THAT(InfoOf<UsageError>([&] { file.Set(std::string_view("seed=\0", 6)); }),
              Names(testing::HasSubstr("\\x00")));
  // What is refused changes nothing; what no key reads is refused when the recipe is read, with the option as its
  // place.
  file.Set("claen.html=true");
  const auto read = [](RecipeMap& top) {
    top.Whole("seed", 0, {0, 5});
    top.Map("clean", [](RecipeMap& clean) { clean.Flag("html", false); });
    top.Maps("sources", 0, [](RecipeMap& source, size_t) { source.Text("name", ""); });
  };
  const auto visit = [&] { return InfoOf<UsageError>([&] { file.Visit(read); }); };
  EXPECT_THAT(visit(), Names("--set claen.html=true", "\"claen\""));
  EXPECT_THAT(visit().hint, testing::HasSubstr("clean"));
  file = File("seed: 1\n");
  file.Set("clean={htlm: true}");
  EXPECT_THAT(visit(), Names("--set clean={htlm: true}", "\"htlm\""));
  file.Set("clean=null");
  EXPECT_THAT(visit(), Names("--set clean=null", "nothing (null)"));
  file = File("seed: 1\n");
  file.Set("seed=9");
  EXPECT_THAT(visit(), Names("--set seed=9", "\"9\""));
}

TEST(RecipeFile, WritesOriginsAndLeavesOutWhatStandsElsewhere) {
  RecipeFile file = File("clean: {html: true}\nsources:\n- clean: {html: false}\n- {}\n");
  file.Set("seed=3");
  const auto read = [](RecipeMap& top) {
    top.Whole("seed", 1, {});
    top.Text("name", "x");
    bool html = false;
    top.Map("clean", [&](RecipeMap& clean) { html = clean.Flag("html", false); });
    top.Maps("sources", 1, [&](RecipeMap& source, size_t) {
      source.NoteUnset("loss", "by kind");
      const auto inherit = [&](RecipeMap& clean) {
        clean.Flag("html", html);
        clean.Flag("strip", true);
      };
      source.Map("clean", inherit, true);
    });
  };
  const RecipeSettings settings = file.Visit(read);
  EXPECT_EQ(settings.Yaml(true),
            "seed: 3  # command line\nname: x  # default\nclean:\n  html: true\nsources:\n"
            "  -\n    # loss: (by kind)\n    clean:\n      html: false\n      # strip: true\n"
            "  - {}\n");
  EXPECT_EQ(settings.Yaml(),
            "seed: 3\nname: x\nclean:\n  html: true\nsources:\n  -\n    clean:\n      html: false\n  - {}\n");
  EXPECT_EQ(File(settings.Yaml()).Visit(read).Yaml(), settings.Yaml());
}

TEST(RecipeFile, RefusesAFileThatIsNoMap) {
  EXPECT_THAT(InfoOf([] { File("- a\n- b\n"); }), Names("r.yaml: line 1, column 1", "a list"));
  EXPECT_THAT(InfoOf([] { File("\njust a text\n"); }), Names("r.yaml: line 2, column 1", "\"just a text\""));
}

}  // namespace
}  // namespace stablelm
