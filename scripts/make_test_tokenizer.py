#!/usr/bin/env python3
"""Makes tests/data/tokenizer: a small tokenizer of our own, and the results of Hugging Face's library for it.

    pip install tokenizers==0.23.3
    scripts/make_test_tokenizer.py

tokenizer.json has the structure of StableLM's: byte-level BPE, NFC, two special tokens at 0 and 1, runs of 24 to 2
spaces as added tokens that are normalized and not special, then the three role tokens. It is trained on text that this
script generates. For each text of the edge cases below and of stablelm_vectors.json, vectors.json has the ids with and
without parsing special tokens (`ids`, `ids_plain`), the decoded text, and the ranges of the tokens in code points
(`offsets`, not trimmed; null if NFC changes the text). ids.json has the text of every single id and of random sequences
of ids. Running the script again gives the same bytes.
"""
import json
import pathlib
import random
import unicodedata

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer"
ROLES = ["<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>"]

SENTENCES = """
The tokenizer splits text into pieces, and each piece into tokens. It doesn't change the text, it only counts it.
A model reads the tokens one after another and says which token may come next. We've seen that it's often the same.
They'll ask: where is the answer? I'm here, you're there, he'd go. What's "the" most common word? It is the.
In the year 2023 there were 7 languages, 50280 tokens, 4096 positions and 3.14 reasons; 100 % of 1,000,000 were read.
Please write a story about a river, a mountain and the people who live between them. Then explain the story.
Numbers such as 0, 1, 10, 100, 1000, 12345 and 67890 become several tokens; spaces and newlines are tokens too.

def encode(text, special=False):
    for piece in split(text):
        if len(piece) == 1:
            yield table[piece]
        else:
            yield from merge(piece)
    return None

int main(int argc, char** argv) {
\tfor (int i = 0; i < argc; ++i) {
\t\tprintf("%d: %s\\n", i, argv[i]);
\t}
\treturn 0;
}

Größe, Straße, für, über, schön. Café, naïve, élève, où, être. Año, mañana, niño. Смотри, это русский текст, он короткий.
Ελληνικά γράμματα. 你好，世界。我们在这里。日本語のテキストです。한국어 문장입니다. हिन्दी में लिखा है। مرحبا بالعالم. שלום עולם.
😀 😃 🚀 ✅ … — “quoted” ‘text’ it’s → ← ½ ² ³ № € £ ¥
aaaa aaaaaaaa aaaaaaaaaaaaaaaa zzz hmmm =========== ----------- ........... !!! ??? ,,, ((([[[{{{}}}]]])))
"""


def training_text():
    rng = random.Random(20230419)
    words = SENTENCES.split()
    lines = SENTENCES.split("\n")
    out = []
    for _ in range(400):
        out.append(" ".join(rng.choice(words) for _ in range(rng.randint(3, 15))))
        out.append(rng.choice(lines))
        if rng.random() < 0.2:
            out.append("\n" * rng.randint(1, 4))
    return "\n".join(out)


def utf8_alphabet():
    """The symbols of the 243 bytes that occur in UTF-8."""
    never = {0xC0, 0xC1, *range(0xF5, 0x100)}
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {b: chr(b) for b in itself}
    for n, b in enumerate(b for b in range(256) if b not in symbols):
        symbols[b] = chr(0x100 + n)
    return [s for b, s in sorted(symbols.items()) if b not in never]


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    trainer = trainers.BpeTrainer(vocab_size=700, min_frequency=2, show_progress=False,
                                  special_tokens=["<|endoftext|>", "<|padding|>"], initial_alphabet=utf8_alphabet())
    tokenizer.train_from_iterator([training_text()], trainer)
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True, special=False) for n in range(24, 1, -1)])
    tokenizer.add_special_tokens([AddedToken(role, normalized=False, special=True) for role in ROLES])
    return tokenizer


def edge_cases():
    cases = []

    def add(name, text):
        cases.append((name, text))

    add("empty", "")
    for n in range(1, 61):
        add(f"spaces_{n}", " " * n)
        add(f"spaces_{n}_word", "a" + " " * n + "b")
    for n in range(1, 6):
        add(f"trailing_newlines_{n}", "end" + "\n" * n)
        add(f"newlines_{n}_word", "a" + "\n" * n + "b")
    add("space_tab_mix", " \t  \t\t   \t x \t  ")
    add("tab_word", "\tx\t\ty \tz")
    white = {"CR": "\r", "CRLF": "\r\n", "VT": "\v", "FF": "\f", "NEL": "\x85", "NBSP": "\xa0", "LS": "\u2028",
             "PS": "\u2029", "ideographic": "\u3000", "ogham": "\u1680", "en_quad": "\u2000", "hair": "\u200a",
             "narrow_nbsp": "\u202f", "math": "\u205f"}
    not_white = {"ZWSP": "\u200b", "BOM": "\ufeff", "mongolian": "\u180e", "FS": "\x1c", "US": "\x1f", "NUL": "\0",
                 "SOH": "\x01", "ESC": "\x1b", "DEL": "\x7f", "ZWJ": "\u200d", "noncharacter": "\ufffe",
                 "last": "\U0010ffff", "private": "\ue000", "replacement": "\ufffd"}
    for name, c in {**white, **not_white}.items():
        add(f"{name}_inside", f"a{c}b {c}c{c} d{c}{c}e")
        add(f"{name}_ends", f"{c}a{c}")
        add(f"{name}_run", c * 3)
        add(f"{name}_run_word", c * 3 + "x")
    add("all_c0", "".join(chr(c) for c in range(32)))
    add("latin1", "".join(chr(c) for c in range(128, 256)))
    # Normalization
    add("lone_mark", "\u0301")
    add("mark_first", "\u0301abc")
    add("mark_after_special", "<|USER|>\u0301e\u0301")
    add("mark_after_spaces", "  \u0301 \u0301x")
    add("mark_blocks", "a\u0328\u0301\u0328\u0323\u0302")
    add("not_composable", "q\u0301q\u0323\u0307")
    add("reorder", "a\u0301\u0323 \u1e0b\u0323 s\u0323\u0307 s\u0307\u0323")
    add("zalgo", "".join(c + "".join(chr(0x300 + (i * 7 + k * 13) % 0x6f) for k in range(12))
                         for i, c in enumerate("Zalgo text")))
    add("hangul_nfd", unicodedata.normalize("NFD", "한국어 문장입니다"))
    add("hangul_lv_t", "\uac00\u11a8 \u1100\u1161\u11a8 \u1100\uac00 \uac01\u11a8")
    add("singletons", "\u212b \u2126 \u212a \u2000a \u2f00 \uf900 \u0374 \u037e \u0387")
    add("exclusions", "\u0958 \u0915\u093c \ufb1d \u2adc \U0001d15e \u0344 \u0f73 \u0f75")
    add("ligature", "\ufb01nd o\ufb03ce \u00bd \u2167 \u2460")
    add("nfd_words", unicodedata.normalize("NFD", "Größe, café, naïve, Ångström, Việt Nam, Ǖ"))
    add("indic", "हिन्दी में लिखा है। বাংলা ভাষা தமிழ் \u09c7\u09be \u0b92\u0bd7 \u1025\u102e")
    add("musical", "\U0001d158\U0001d165 \U0001d15f")
    # Letters, numbers, the rest
    add("digits", "١٢٣ ४५६ ½ Ⅷ ² ① 12ab34 3.14 1e10 x2y ٣٫١٤")
    add("contractions", "don't I'm we've they'll he'd it's you're 's 't ' '' ''s")
    add("contractions_upper", "DON'T I'M WE'VE THEY'LL it'S 'RE")
    add("contractions_cut", "x'l x'r x'v x'lL 'r 'l ' 'n' ?'s !'re .'ll 9's \u00e9's \u3000's")
    add("curly", "don’t it’s ‘tis “quoted”")
    add("apostrophes", "'''s ''''t a''b")
    add("cased", "ǅ ʰ ª º ꟸ ⅷ Ⓐ")
    # Emoji
    add("emoji", "😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇫🇷 1️⃣ #️⃣ ❤️ 🏳️‍🌈")
    add("scripts", "漢字かな交じり文 Привет мир שלום مرحبا ไทย ქართული 𝔘𝔫𝔦 𐍈")
    add("unassigned", "\u0378 \U000e0fff \U0003fffd")
    # Special strings
    add("special", "a <|endoftext|> b<|padding|>")
    add("roles", "<|SYSTEM|># Be kind\n<|USER|>Hello  there<|ASSISTANT|>  Hi")
    add("special_nested", "<|<|USER|>|><|USER<|USER|>|>")
    add("special_cut", "<|USER <|USER| <|user|> |USER|> <|ASSISTANT|")
    add("special_doubled", "<|USER|><|USER|><|endoftext|><|endoftext|>")
    add("special_spaces", "  <|USER|>  <|USER|> x   <|USER|>")
    add("symbol_letters", "Ġthe ĊĊ Ā ġ the")
    add("long_word", "a" * 300)
    add("long_mixed", "abcabcabd" * 40)
    add("long_cjk", "你好世界我们在这里" * 20)
    add("long_punctuation", "=-" * 200 + "!" * 100)
    rng = random.Random(7)
    pool = (list("ab z'sStmdlrve09.,<|>-_\n\n\t  \r") + ["é", "e\u0301", "\u0323", "你", "한", "\u1112", "\u1161",
            "½", "’", "\u00a0", "\u3000", "😀", "\u200d", "Ġ", "  ", "   ", "'ll", "<|USER|>", "<|", "\0", "हि"])
    for i in range(150):
        add(f"random_{i}", "".join(rng.choice(pool) for _ in range(rng.randint(1, 60))))
    names = {name for name, _ in cases}
    for case in json.loads((OUT / "stablelm_vectors.json").read_text(encoding="utf-8")):
        name = case["name"] if case["name"] not in names else "stablelm_" + case["name"]
        add(name, case["text"])
    return cases


def write(name, lines):
    (OUT / name).write_text("[\n" + ",\n".join(json.dumps(line, ensure_ascii=True) for line in lines) + "\n]\n",
                            encoding="utf-8")


def main():
    tokenizer = train()
    # Without a post-processor the ranges include leading spaces, as ours do.
    vectors = []
    for name, text in edge_cases():
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = False
        encoding = tokenizer.encode(text)
        offsets = [list(o) for o in encoding.offsets] if unicodedata.is_normalized("NFC", text) else None
        vectors.append({"name": name, "text": text, "ids": encoding.ids, "ids_plain": plain,
                        "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
                        "skipped": tokenizer.decode(encoding.ids, skip_special_tokens=True), "offsets": offsets})
    write("vectors.json", vectors)

    rng = random.Random(11)
    size = tokenizer.get_vocab_size()
    sequences = [[i] for i in range(size)] + [[rng.randrange(size) for _ in range(20)] for _ in range(60)]
    write("ids.json", [{"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False)} for ids in sequences])

    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    (OUT / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), indent=1, ensure_ascii=False) + "\n",
                                        encoding="utf-8")
    print(f"{size} ids, {len(vectors)} vectors")


if __name__ == "__main__":
    main()
