#!/usr/bin/env python3
"""Runs the shell blocks of README.md and docs/*.md as a reader would, each page in a folder of its own.

usage: run_pages.py --program BUILD/stablelm [--update] [PAGE...]      PAGE: README.md, docs/chat.md; default: all
--update writes what is printed now into the pages, where an output is shown whole and differs, and replies of chats.

What a fence is for stands in it:
  ```sh run                       the commands run, and each has to succeed
  ```console run                  as above for lines that begin with "$ "; the lines below each are what it prints
  ```sh background: Ctrl-C after "TEXT"      runs, and gets a Ctrl-C when it has printed TEXT
  ```sh parse-only: REASON        is not run. Its stablelm commands are parsed by cli.docs_commands_test
  ```text                         no shell: what a program prints, or a file. Also cpp, cmake, json, yaml

In a console block
  - a command whose shown output has a line "error: ..." has to fail, every other one has to succeed;
  - a line "..." stands for any lines, times, speeds and memory peaks may differ, and bars of progress are left out;
  - nothing is compared where nothing is shown;
  - lines that begin with "> " are typed, each a message of a chat. Replies are then compared word by word; what a chat
    prints on a terminal only is not: the lines before the first message, and those about the context after a reply.

A page's folder looks like a clone: scripts/stablelm, build/release/stablelm and stablelm in PATH are PROGRAM. In its
Hugging Face cache are stabilityai/stablelm-tuned-alpha-3b and -7b, small models of random weights. Nothing reaches the
home folder. STABLELM_SIMD=avx2 gives every machine with AVX2 the same bits; without AVX2 outputs are not compared.
"""
import argparse
import difflib
import json
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "docs"
LONGEST = 200  # seconds of a block, on a busy machine
LEAST_RUN = 0.8  # share of the shell blocks
OTHERS = ("text", "cpp", "cmake", "json", "yaml")
MEASURED = [(re.compile(pattern, re.MULTILINE), text) for pattern, text in (
    (r"\b\d[\d,.]* (?=(tokens/s|MB/s|GB/s|Gflop/s|ms|s|min)\b)", "N "),
    (r'"seconds":\{[^}]*\}', '"seconds":N'),
    (r'"peak_bytes":\d+', '"peak_bytes":N'),
    (r"^note: time: .*$", "note: time: N"),
)]
PROGRESS = re.compile(r"^[a-z ]+\d+ %  .*\n", re.MULTILINE)  # of runs that take some seconds
CONTEXT_LINE = re.compile(r"context \d+ of \d+, .*")


class Failure(Exception):
    pass


class Block:
    def __init__(self, page, line, tag, text):
        self.page, self.line, self.text = page, line, text
        self.language, _, self.action = tag.partition(" ")
        self.shell = self.language in ("sh", "console")
        self.stop_text = None
        if not self.shell:
            if self.language not in OTHERS or self.action:
                self.fail(f'unknown tag "{tag}": expected "sh run" and the like, or one of {", ".join(OTHERS)}')
        elif match := re.fullmatch(r'background: Ctrl-C after "(.+)"', self.action):
            self.action, self.stop_text = "background", match[1]
        elif re.fullmatch(r"parse-only: .+", self.action):
            self.action = "parse-only"
        elif self.action != "run":
            self.fail(f'unknown tag "{tag}": expected run, background: Ctrl-C after "TEXT", or parse-only: REASON')

    def fail(self, what):
        raise Failure(f"{self.page}:{self.line}: {what}")


def blocks_of(page):
    blocks, lines = [], (ROOT / page).read_text(encoding="utf-8").splitlines()
    begin = None
    for i, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin = i
        else:
            blocks.append(Block(page, begin + 1, lines[begin][3:], "\n".join(lines[begin + 1:i]) + "\n"))
            begin = None
    if begin is not None:
        raise Failure(f"{page}:{begin + 1}: the block does not end")
    return blocks


class Command:
    """A command of a console block, the lines that are typed into it, what it prints, and where that is in the page."""

    def __init__(self, text):
        self.text, self.typed, self.shown = text, [], []
        self.begin, self.end = None, None  # numbers of the lines that --update replaces: with what is typed, or shown


def console_commands(block):
    commands = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if commands and commands[-1].text.endswith("\\"):
            commands[-1].text += "\n" + line
        elif line.startswith("$ "):
            commands.append(Command(line[2:]))
        elif not commands:
            block.fail('a console block begins with a command: expected a line "$ ..."')
        else:
            command = commands[-1]
            if line.startswith("> "):
                if not command.typed:
                    command.shown, command.begin = [], number
                command.typed.append(line[2:])
            else:
                command.shown.append(line.rstrip())
            command.begin, command.end = command.begin or number, number
    return commands


def without_measured(text):
    for pattern, replacement in MEASURED:
        text = pattern.sub(replacement, text)
    return text


def same(shown, printed):
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


# What the terminal shows of a chat. Lines about the context stay, with new counts.
def transcript(command, replies):
    contexts = [line for line in command.shown if CONTEXT_LINE.fullmatch(line)]
    lines = []
    for i, (typed, reply) in enumerate(zip(command.typed, replies)):
        between = [""] if contexts else []
        lines += [f"> {typed}", *between, *reply["content"].splitlines()]
        if i < len(contexts):
            used = reply["counts"]["prompt"] + reply["counts"]["generated"]
            lines.append(re.sub(r"^context \d+", f"context {used}", contexts[i]))
        lines += between
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Page:
    def __init__(self, page, scratch, program, compare, updating=False):
        self.updating = updating
        self.page, self.compare = page, compare
        self.folder = scratch / page.replace("/", "_").removesuffix(".md") / "stablelm.cpp"
        self.counts = dict.fromkeys(("run", "background", "parse-only", "other"), 0)
        self.errors, self.seconds, self.updates, self.times = [], 0.0, [], []
        home = self.folder.parent / "home"
        home.mkdir(parents=True)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("STABLELM_", "HF_", "XDG_"))}
        self.environment |= {"HOME": str(home), "HF_HOME": str(scratch / "huggingface"), "LC_ALL": "C.UTF-8",
                             "PATH": f"{scratch / 'bin'}:{os.environ['PATH']}"}
        if compare:
            self.environment["STABLELM_SIMD"] = "avx2"
        self.look_like_a_clone(scratch, program)

    def look_like_a_clone(self, scratch, program):
        (self.folder / "build" / "release").mkdir(parents=True)
        (self.folder / "build" / "release" / "stablelm").symlink_to(program)
        (self.folder / "scripts").mkdir()
        (self.folder / "scripts" / "stablelm").symlink_to(program)
        for path in (ROOT / "scripts").iterdir():
            if path.name != "stablelm":
                (self.folder / "scripts" / path.name).symlink_to(path)
        shutil.copytree(ROOT / "recipes", self.folder / "recipes")  # their paths begin with ../..
        for name in ("README.md", "demo", "docs", "examples", "tests"):
            (self.folder / name).symlink_to(ROOT / name)

    def run(self):
        start = time.monotonic()
        try:
            for block in blocks_of(self.page):
                self.counts[block.action if block.shell else "other"] += 1
                if block.shell:
                    began = time.monotonic()
                    self.run_block(block)
                    self.times.append((time.monotonic() - began, f"{block.page}:{block.line}"))
        except Failure as failure:  # the blocks after it need what this one made
            self.errors.append(str(failure))
        self.seconds = time.monotonic() - start
        return self

    def run_block(self, block):
        if block.action == "parse-only":
            if block.language == "sh":
                code, printed = self.shell(block, "-nc", block.text)
                if code != 0:
                    block.fail(f"bash cannot parse it:\n{printed}")
        elif block.action == "background":
            self.run_until(block)
        elif block.language == "sh":
            code, printed = self.shell(block, "-euo", "pipefail", "-c", block.text)
            if code != 0:
                block.fail(f"exit code {code}:\n{block.text}{last_lines(printed)}")
        else:
            for command in console_commands(block):
                self.run_command(block, command)

    def run_command(self, block, command):
        typed = "".join(line + "\n" for line in command.typed)
        code, printed = self.shell(block, "-euo", "pipefail", "-c", command.text, typed=typed)
        printed = PROGRESS.sub("", printed)
        fails = any(line.startswith("error: ") for line in command.shown)
        if (code != 0) != fails:
            expected = "a failure" if fails else "0"
            block.fail(f"exit code {code}, expected {expected}:\n$ {command.text}\n{last_lines(printed)}")
        if not self.compare or not command.shown:
            return
        shown = without_measured("\n".join(command.shown)).splitlines()
        got = [line.rstrip() for line in without_measured(printed).splitlines()]
        while got and not got[-1]:
            got.pop()
        if command.typed:
            shown = [line for line in shown if not CONTEXT_LINE.fullmatch(line)]
            got = [line for line in got if not line.startswith("note: ")]
            shown, got = " ".join(shown).split(), " ".join(got).split()
        if not same(shown, got):
            diff = "\n".join(difflib.unified_diff(shown, got, "shown", "printed", lineterm=""))
            self.errors.append(f"{self.page}:{block.line}: another output is shown:\n$ {command.text}\n"
                               + last_lines(diff, 60))
            if self.updating and "..." not in command.shown:
                self.prepare_update(block, command, printed)

    def prepare_update(self, block, command, printed):
        lines = printed.splitlines()
        if command.typed:
            _, printed = self.shell(block, "-euo", "pipefail", "-c", command.text + " --json", typed="".join(
                line + "\n" for line in command.typed))
            replies = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
            if len(replies) != len(command.typed):
                return
            lines = transcript(command, replies)
        self.updates.append((command.begin, command.end, [line.rstrip() + "\n" for line in lines]))

    def shell(self, block, *arguments, typed=""):
        with subprocess.Popen(["bash", *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
            try:
                printed, _ = process.communicate(typed.encode(), timeout=LONGEST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                printed, _ = process.communicate()
                block.fail(f"not done after {LONGEST} s:\n{block.text}{last_lines(printed.decode(errors='replace'))}")
        return process.returncode, printed.decode(errors="replace")

    # Ctrl-C reaches all processes of a terminal's foreground group; the shell then ends as the interrupted program.
    def run_until(self, block):
        with subprocess.Popen(["bash", "-euo", "pipefail", "-c", block.text], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True) as process, selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            printed, end, stopped = b"", time.monotonic() + LONGEST, False

            def found():
                return (f'"{block.stop_text}" was {"" if stopped else "not "}printed:\n'
                        + last_lines(printed.decode(errors="replace")))

            while True:
                if not ready.select(max(0.0, end - time.monotonic())):
                    os.killpg(process.pid, signal.SIGKILL)
                    block.fail(f"not done after {LONGEST} s, {found()}")
                more = os.read(process.stdout.fileno(), 65536)
                if not more:
                    break
                printed += more
                if not stopped and block.stop_text.encode() in printed:
                    os.killpg(process.pid, signal.SIGINT)
                    stopped = True
        if not stopped or process.returncode not in (0, 130, -signal.SIGINT):
            block.fail(f"exit code {process.returncode}, {found()}")


def update(page):
    path = ROOT / page.page
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for begin, end, printed in reversed(page.updates):
        lines[begin - 1:end] = printed
    path.write_text("".join(lines), encoding="utf-8")


def last_lines(text, count=30):
    lines = text.rstrip("\n").splitlines()
    return "\n".join((["..."] if len(lines) > count else []) + lines[-count:])


def make_hub_model(scratch, program, name, seed):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = scratch / "huggingface" / "hub" / ("models--" + name.replace("/", "--"))
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    model = cache / "snapshots" / commit
    model.parent.mkdir()
    subprocess.run([program, "init", "--shape", HERE / "hub_model.json", "--seed", str(seed), "--quiet", model],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.copy(ROOT / "tests" / "data" / "tokenizer" / "tokenizer.json", model)


def has_avx2():
    try:
        words = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return {"avx2", "fma"} <= words


def main():
    all_pages = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("pages", nargs="*")
    arguments = parser.parse_args()
    program = arguments.program.resolve(strict=True)
    compare = has_avx2()
    if not compare:
        print("outputs are not compared: this processor has no AVX2")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stablelm_docs_") as folder:
        scratch = pathlib.Path(folder)
        (scratch / "bin").mkdir()
        (scratch / "bin" / "stablelm").symlink_to(program)
        make_hub_model(scratch, program, "stabilityai/stablelm-tuned-alpha-3b", 3)
        make_hub_model(scratch, program, "stabilityai/stablelm-tuned-alpha-7b", 7)
        pages = [Page(page, scratch, program, compare, arguments.update).run() for page in arguments.pages or all_pages]
    kinds = ("run", "background", "parse-only", "other")
    print(f"{'page':24}" + "".join(f"{kind:>12}" for kind in kinds) + f"{'seconds':>10}")
    for page in pages:
        print(f"{page.page:24}" + "".join(f"{page.counts[kind]:12}" for kind in kinds) + f"{page.seconds:10.1f}")
    total = {kind: sum(page.counts[kind] for page in pages) for kind in kinds}
    print(f"{'all':24}" + "".join(f"{total[kind]:12}" for kind in kinds) + f"{time.monotonic() - start:10.1f}")
    slowest = sorted((entry for page in pages for entry in page.times), reverse=True)[:5]
    print("slowest: " + ", ".join(f"{place} {seconds:.1f} s" for seconds, place in slowest))
    if arguments.update:
        for page in pages:
            update(page)
    errors = [error for page in pages for error in page.errors]
    for error in errors:
        print(f"\nerror: {error}")
    done, shell = total["run"] + total["background"], total["run"] + total["background"] + total["parse-only"]
    if not arguments.pages and done < LEAST_RUN * shell:
        errors.append("share")
        print(f"\nerror: {done} of {shell} shell blocks run, expected at least {LEAST_RUN:.0%}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
