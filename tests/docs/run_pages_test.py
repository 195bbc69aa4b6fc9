#!/usr/bin/env python3
"""Tests of run_pages.py: what it accepts in a page, and what it refuses. The pages here run no program of ours."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import run_pages  # noqa: E402


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="stablelm_docs_test_")
        self.addCleanup(self.folder.cleanup)

    def page(self, text, updating=False):
        """Runs a page with this text and returns it."""
        scratch = pathlib.Path(self.folder.name) / str(len(list(pathlib.Path(self.folder.name).iterdir())))
        scratch.mkdir()
        path = scratch / "page.md"
        path.write_text(text, encoding="utf-8")
        page = run_pages.Page(str(path), scratch, pathlib.Path("/bin/true"), True, updating)
        page.compare = True
        return page.run()

    def errors(self, text):
        return "\n".join(self.page(text).errors)

    def test_commands_that_succeed(self):
        page = self.page("```sh run\ncat > a <<'END'\n1\nEND\n```\nText.\n"
                         "```sh run\ngrep -q 1 a\nscripts/stablelm x\n```\n"
                         "```text\nno shell\n```\n```sh parse-only: a reason\nfalse\n```\n")
        self.assertEqual(page.errors, [])
        self.assertEqual(page.counts, {"run": 2, "background": 0, "parse-only": 1, "other": 1})

    def test_every_fence_has_a_tag(self):
        for fence in ("```", "```sh", "```console", "```sh maybe", "```sh parse-only", "```sh parse-only: ",
                      "```bash run", "```text run"):
            self.assertIn("unknown tag", self.errors(fence + "\ntrue\n```\n"), fence)
        self.assertIn("does not end", self.errors("```text\n"))

    def test_commands_that_fail(self):
        self.assertIn("page.md:1: exit code 3", self.errors("```sh run\n(exit 3)\ntrue\n```\n"))
        self.assertIn("exit code 1", self.errors("```sh run\nfalse | cat\n```\n"))
        self.assertIn("exit code 1", self.errors("```console run\n$ false\n```\n"))
        self.assertIn("cannot parse", self.errors("```sh parse-only: x\nif\n```\n"))

    def test_an_error_that_is_shown_has_to_happen(self):
        fails = "```console run\n$ echo 'error: x'; exit 2\nerror: x\n```\n"
        self.assertEqual(self.errors(fails), "")
        self.assertIn("expected a failure", self.errors(fails.replace("exit 2", "exit 0")))

    def test_outputs_are_compared(self):
        block = "```console run\n$ printf 'a\\nb\\nc\\n\\n'\na\nb\nc\n```\n"
        self.assertEqual(self.errors(block), "")
        self.assertIn("another output", self.errors(block.replace("\nb\nc\n", "\nc\n")))
        self.assertEqual(self.errors(block.replace("\nb\nc\n", "\n...\n")), "")
        self.assertIn("another output", self.errors(block.replace("\nb\nc\n", "\n...\nd\n")))
        self.assertEqual(self.errors("```console run\n$ echo to a \\\n  b\nto a b\n$ echo c\n```\n"), "")

    def test_what_is_measured_may_differ(self):
        block = ("```console run\n$ echo 'load  50 %  1 of 2'; echo '40 tokens in 1.25 s at 8.5 tokens/s'\n"
                 "40 tokens in 9 s at 1,000 tokens/s\n```\n")
        self.assertEqual(self.errors(block), "")
        self.assertIn("another output", self.errors(block.replace("\n40 tokens", "\n41 tokens")))

    def test_a_chat_is_typed(self):
        block = ("```console run\n$ sed -u 's/^/you said /'\nbanner\n> Hi\n\nyou said\nHi\n"
                 "context 3 of 4, 1.0 tokens/s\n\n> Bye\n\nyou said Bye\n```\n")
        self.assertEqual(self.errors(block), "")
        self.assertIn("another output", self.errors(block.replace("said Bye", "said By")))

    def test_background(self):
        block = "```sh background: Ctrl-C after \"two\"\necho one; echo two; sleep 100\n```\n"
        self.assertEqual(self.errors(block), "")
        self.assertIn("was not printed", self.errors(block.replace("echo two; sleep 100", "true")))
        traps = block.replace("echo one", "trap 'exit 7' INT").replace("sleep 100", "while :; do sleep 0.05; done")
        self.assertIn("exit code 7", self.errors(traps))

    def updated(self, text):
        page = self.page(text, updating=True)
        run_pages.update(page)
        return pathlib.Path(page.page).read_text(encoding="utf-8")

    def test_update_writes_what_is_printed(self):
        self.assertEqual(self.updated("```console run\n$ echo new\nold\n$ echo x\nx\n$ seq 2\nold\n```\n"),
                         "```console run\n$ echo new\nnew\n$ echo x\nx\n$ seq 2\n1\n2\n```\n")
        wildcard = "```console run\n$ echo new\n...\nold\n```\n"
        self.assertEqual(self.updated(wildcard), wildcard)

    def test_update_writes_replies_of_a_chat(self):
        chat = r"""chat() { while read -r x; do if [[ $# -eq 0 ]]; then echo "Is it $x?"; """ \
               r"""else echo '{"content": "Is it '"$x"'?", "counts": {"prompt": 5, "generated": 2}}'; fi; done; }; """ \
               r"""chat"""
        page = "```console run\n$ {}\nbanner\n\n> A\n\n{}\ncontext {} of 9, 1.0 tokens/s\n\n> B\n\nIs it B?\n```\n"
        self.assertEqual(self.updated(page.format(chat, "It is A.", 3)), page.format(chat, "Is it A?", 7))


if __name__ == "__main__":
    unittest.main()
