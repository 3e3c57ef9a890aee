"""Markdown documents as a reader uses them: files saved, commands typed, output compared."""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import environment

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the file to save it as ("" for none), and its text."""

    language: str
    file: str
    body: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command that a reader types, and what the document says it prints."""

    command: str
    output: str


def name(path: Path) -> str:
    """Return a document's path in the tree."""
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document in their order."""
    for found in _FENCE.finditer(path.read_text(encoding="utf-8")):
        language, _, file = found["info"].partition(" ")
        yield Block(language, file, found["body"])


def steps(block: Block) -> Iterator[Step]:
    """Yield the commands of a console block; "> " continues one."""
    for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        n = next((i for i, x in enumerate(lines[1:], 1) if not x.startswith("> ")), len(lines))
        command = "\n".join([lines[0], *(line[2:] for line in lines[1:n])])
        yield Step(command, "\n".join(lines[n:]))


def type_in(command: str, folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command as typed in a folder; return what the terminal shows."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment({"PATH": path, **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def is_as_written(expected: str, found: str) -> bool:
    """Compare outputs; "..." stands for anything, and space at the ends of lines for nothing."""
    wanted, got = (_stripped(text) for text in (expected, found))
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
