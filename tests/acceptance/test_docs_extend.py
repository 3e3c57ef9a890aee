"""The worked changes of docs/how-to/extend.md: each is made to a copy of the tree, and tried."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.documents import ROOT, Block, blocks, is_as_written, steps, type_in

EXTEND = ROOT / "docs" / "how-to" / "extend.md"
COPIED = ("dfpipe", "service", "taskqueue", "workflow", "collector", "launcher", "system")
FOLLOW = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from collector.fetching.accounts import Accounts
from collector.fetching.dead_letters import DeadLetters
from collector.fetching.fetching import Context, fetch
from collector.settings import CollectorSettings
from dfpipe.datastore import connect

client, now = connect("sqlite:///posts.db"), datetime(2026, 3, 5, tzinfo=UTC)
Accounts(client).follow(sys.argv[1], now)
for _ in range(2):
    context = Context(client, CollectorSettings(), lambda: now)
    outcome = fetch(context, sys.argv[1], limit_seconds=60)
    print(outcome.is_finished, outcome.stored.new, len(list(DeadLetters(client).list())))
"""
SHOW = """
import sys
from pathlib import Path
from tests.support.launcher_site import Site

site = Site(Path.cwd())
print(site.text("/queries"), site.text("/"))
"""

ASK = """
from dfpipe.errors import DfpipeError
from dfpipe.warehouse import connect, named_queries
from tests.support.warehouses import TS, a_run, some_rows

results = connect("sqlite:///asked.sqlite")
results.replace_run(a_run(), some_rows(TS, "word", 3))
for name in named_queries.names():
    required = [p.name for p in named_queries.load(name).parameters if p.default is None]
    try:
        results.query(name, **dict.fromkeys(required, "word1"))
    except DfpipeError:
        print("fails:", name)
"""


def section(title: str, folder: Path) -> list[Block]:
    """Return the blocks of a section of the document."""
    _, *sections = re.split(r"^## ", EXTEND.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = (each for each in sections if each.startswith(f"{title}\n"))
    file = folder / "section.md"
    file.write_text(found, encoding="utf-8")
    return list(blocks(file))


def changed_tree(section_blocks: list[Block], folder: Path) -> Path:
    """Return a copy of the tree with the files and diffs of a section."""
    tree = folder / "tree"
    for name in (*COPIED, "docs", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("queue.yaml", "chains.yaml"):
        shutil.copy(ROOT / name, tree / name)
    for block in section_blocks:
        if block.language == "diff":
            apply(block.body, tree)
        elif block.file:
            (tree / block.file).write_text(block.body, encoding="utf-8")
    return tree


def apply(diff: str, tree: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "-C1", "-"],
        cwd=tree,
        # Even if the copy is inside of a repository, paths are from the copy.
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)},
        input=diff,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the files of a folder; give the address."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def environment_of(tree: Path) -> Mapping[str, str]:
    return {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def python(program: str, argument: str, tree: Path) -> str:
    (tree / "program.py").write_text(program, encoding="utf-8")
    return type_in(f"{sys.executable} program.py {argument}", tree, environment_of(tree))


def follow(section_blocks: list[Block], tree: Path) -> int:
    """Type the commands of a section; return how many there are."""
    typed = [s for b in section_blocks if b.language == "shell-session" for s in steps(b)]
    for step in typed:
        found = type_in(step.command, tree, environment_of(tree))
        assert is_as_written(step.output, found), f"$ {step.command}\n{found}"
    return len(typed)


def changed_files(section_blocks: list[Block]) -> list[str]:
    diffs = "".join(block.body for block in section_blocks if block.language == "diff")
    return re.findall(r"^\+\+\+ b/(.+)$", diffs, re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "commands"),
    [("Add a result table and its query", 4), ("Add a queue option", 1), ("Add a warehouse", 4)],
)
def test_a_change_does_what_is_written(title: str, commands: int, tmp_path: Path) -> None:
    found = section(title, tmp_path)
    assert follow(found, changed_tree(found, tmp_path)) == commands


def test_a_table_and_its_query_take_five_files(tmp_path: Path) -> None:
    found = section("Add a result table and its query", tmp_path)
    assert len(changed_files(found)) == 5
    tree = changed_tree(found, tmp_path)
    type_in("python -m dfpipe.warehouse.translate", tree, environment_of(tree))
    before, after = (
        sorted(path.name for path in (root / "dfpipe/warehouse/queries/duckdb").iterdir())
        for root in (ROOT, tree)
    )
    assert before == after


def test_a_source_stores_posts_and_sets_others_aside(tmp_path: Path) -> None:
    tree = changed_tree(section("Add a source to the collector", tmp_path), tmp_path)
    items = [
        {"id": "1", "content_text": "old", "date_published": "2020-01-01T00:00:00Z"},
        {"id": "2", "content_text": "new", "date_published": "2026-03-04T00:00:00Z"},
        {"id": "3", "date_published": "2026-03-04T01:00:00Z"},
    ]
    (tmp_path / "feed.json").write_text(json.dumps({"items": items}), encoding="utf-8")
    with serving(tmp_path) as url:
        found = python(FOLLOW, f"feed:{url}/feed.json", tree)
    told = [line for line in found.splitlines() if line.startswith("True")]
    assert told == ["True 1 1", "True 0 1"], found


def test_a_page_is_shown_and_linked(tmp_path: Path) -> None:
    tree = changed_tree(section("Add a page to the launcher", tmp_path), tmp_path)
    found = python(SHOW, "", tree)
    assert '<th scope="row">popular_words' in found
    assert found.count('href="/queries"') == 2


def test_the_queries_that_fail_in_sqlite_are_named(tmp_path: Path) -> None:
    found = section("Add a warehouse", tmp_path)
    tree = changed_tree(found, tmp_path)
    type_in("python -m dfpipe.warehouse.translate", tree, environment_of(tree))
    failing = re.findall("^fails: (.+)$", python(ASK, "", tree), re.MULTILINE)
    (said,) = re.findall(
        r"SQLite lacks functions that (.+?) need, so these fail",
        EXTEND.read_text(encoding="utf-8").replace("\n", " "),
    )
    assert sorted(re.findall(r"`(\w+)`", said)) == failing
