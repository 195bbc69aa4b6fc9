#!/usr/bin/env python3
"""Draws what bench/compare_llama_cpp.py --json printed as an SVG: decoding's share of the memory's speed, by type.

    bench/compare_llama_cpp.py MODEL --json > speeds.jsonl
    bench/plot_benchmarks.py speeds.jsonl docs/benchmarks.svg

One pair of bars a type: this program and llama.cpp, decoding one sequence, as a share of the best of `stablelm bench
memory` in the same minutes. Needs nothing but Python.
"""
import json
import sys
from html import escape

BAR, GAP, HEIGHT, LEFT, TOP = 26, 22, 220, 56, 60
COLOURS = {"stablelm": "#2f6f9f", "llama.cpp": "#c9a14a"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rows = [json.loads(line) for line in open(sys.argv[1]) if line.strip()]
    shares = [(row["type"], {"stablelm": row["of_memory"], "llama.cpp": row["of_memory"] / row["ratio"]})
              for row in rows if row["test"] == "decode 1"]
    width = LEFT + len(shares) * (2 * BAR + GAP) + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + 40}" '
           'font-family="sans-serif" font-size="12" fill="#444">',
           '<rect width="100%" height="100%" fill="white"/>']

    def text(x, y, words, anchor="middle", extra=""):
        out.append(f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>')

    text(LEFT, 18, "Decoding one sequence: share of the speed of memory", "start", ' font-size="14" fill="#222"')
    x = LEFT
    for name, colour in COLOURS.items():
        out.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{colour}"/>')
        text(x + 15, 35, name, "start")
        x += 90
    for percent in range(0, 101, 20):
        y = TOP + HEIGHT * (1 - percent / 100)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{width - 16}" y2="{y:.1f}" stroke="#ddd"/>')
        text(LEFT - 8, y + 4, f"{percent} %", "end")
    for i, (kind, pair) in enumerate(shares):
        x = LEFT + GAP / 2 + i * (2 * BAR + GAP)
        for j, (name, share) in enumerate(pair.items()):
            height = HEIGHT * min(share, 1)
            y = TOP + HEIGHT - height
            out.append(f'<rect x="{x + j * BAR:.0f}" y="{y:.1f}" width="{BAR - 2}" height="{height:.1f}" fill="{COLOURS[name]}"/>')
            text(x + j * BAR + (BAR - 2) / 2, y - 4, f"{100 * share:.0f}")
        text(x + BAR, TOP + HEIGHT + 18, kind)
    out.append("</svg>")
    with open(sys.argv[2], "w") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
