"""Every command of the documentation is one that its program knows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, inline_code
from tests.harness.sandbox import skip

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

NOT_RUN = {
    ".venv/bin/npx": "deletes `dist/`, as the page says",
    "brew": "another machine's",
    "chown": "on an NFS server of the reader's",
    "crane": "asks a registry",
    "curl": "asks a pod that runs; tests/supervisor asks the same paths",
    "docker": "needs a container engine; tests/test_image.py has the image",
    "git": "of the reader's own repository",
    "kind": "makes a cluster of the reader's",
    "minikube": "the same",
    "mv": "on the reader's volume; tests/upgrades puts databases back",
    "oc": "kubectl of OpenShift, of which none is here",
    "openssl": "makes a secret of the reader's",
    "pip": "tests/test_library.py installs the wheel",
    "pre-commit": "of the reader's own repository",
    "pytest": "this suite",
    "skopeo": "asks a registry",
    "uvx": "asks a database of advisories",
    "restic": "tests/backup runs it",
    "export": "of the shell",
    "tr": "of every machine",
}
"""Programs that no test of this module asks, and why."""


def commands_in(text: str) -> Iterator[list[str]]:
    """Each command of a script, in words; comments, pipes and substitutions apart."""
    text = re.sub(r'"?\$\(.*?\)"?', "SUBSTITUTED", text.replace("\\\n", " "))
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def documented() -> list[list[str]]:
    """Commands of blocks, and those that a sentence names, in the order of the pages."""
    found = [words for block in blocks("sh", "bash") for words in commands_in(block.text)]
    named = (code for page in PAGES for code in inline_code(page) if re.match(r"(make|kubectl|oc) [\w-]", code))
    # `[OPTION=one|other] NAME=<something>`, with all that is optional
    plain = (re.sub(r"<.*?>", "something", re.sub(r"(\|\w+)?\]|\[", "", code)) for code in named if "..." not in code)
    found += [words for code in plain for words in commands_in(code)]
    # assignments before a command are its environment
    bare = [[word for i, word in enumerate(words) if i or not re.fullmatch(r"[A-Z0-9_]+=.*", word)] for words in found]
    return [list(words) for words in dict.fromkeys(tuple(words) for words in bare if words)]


COMMANDS = documented()

_BUILT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "aim-on-kubernetes")
KUBECTL = shutil.which("kubectl") or next(map(str, _BUILT.glob("*/kubectl")), "")


def of(program: str) -> list[list[str]]:
    """The commands of a program."""
    return [words for words in COMMANDS if words[0] == program]


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_a_target_and_its_options_are_of_the_makefile(words: list[str]) -> None:
    """`make X Y=Z` names a target, and variables that the Makefile or a script of it reads."""
    for word in words[1:]:
        name, is_option, _ = word.partition("=")
        pattern = rf"\$\$?[({{]{name}\b|^#   make .*\b{name}=" if is_option else rf"^\.PHONY:.* {re.escape(name)}\b"
        assert re.search(pattern, MAKEFILE, re.MULTILINE), word


@pytest.mark.parametrize("words", of("kubectl"), ids=" ".join)
def test_kubectl_knows_a_command_and_its_options(words: list[str]) -> None:
    """The command reads all options before it looks at `--help`: an unknown one, or an unknown command, is an error."""
    if not KUBECTL:
        skip("no `kubectl` on PATH, and `make cluster` has built none")
    plain = ["manifest.yaml" if word == "-" else word for word in words[1:]]
    done = subprocess.run([KUBECTL, *plain, "--help"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage:\n  kubectl " + plain[[word[0] != "-" and word != "aim" for word in plain].index(True)] in done.stdout


def test_every_other_program_is_named_with_its_reason() -> None:
    """A command that no test asks is not overlooked."""
    others = {words[0] for words in COMMANDS} - {"make", "kubectl"}
    assert others - NOT_RUN.keys() - {"python"} == set()


def test_blocks_are_of_languages_that_are_checked() -> None:
    """`text` is what a program prints."""
    assert {block.language for block in blocks()} <= {"sh", "yaml", "python", "text"}
