"""`dfpipe run` as a user runs it: what it prints, what it refuses, and what a kill leaves."""

import re
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests import oracle
from tests.support.analysis import END, store_posts, tables
from tests.support.command import DFPIPE, OFFLINE, dfpipe, environment

UNTIL = "--until=2015-01-11T00:00:00Z"
POSTS = [
    {
        "tid": i,
        "user": "anna",
        "text": f"storm near harbour number{i % 50} @anna #boat{i % 7}",
        "created_at": END - timedelta(minutes=i),
        "urls": [f"http://example.com/{i % 9}"],
    }
    for i in range(1, 2_001)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    store_posts(f"sqlite:///{path}/p.db", POSTS)
    return path


ENDS = ("--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb", UNTIL)


def test_one_line_says_what_was_done(folder: Path) -> None:
    done = dfpipe("run", *ENDS, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"2,000 posts, 59 words, 300 pairs ranked in \d+\.\d s: "
        r"run 2015-01-11T00:00:00Z is in duckdb:///r\.duckdb\n",
        done.stdout,
    ), done.stdout


def test_the_ends_may_come_from_the_environment(folder: Path) -> None:
    env = {"DFPIPE_STORE": "sqlite:///p.db", "DFPIPE_SINK": "duckdb:///env.duckdb"}
    done = dfpipe("run", UNTIL, "--days", "0.01", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert tables(folder / "env.duckdb").run["tweets"] == 14


def test_an_empty_window_is_a_run(folder: Path) -> None:
    done = dfpipe(
        *("run", "--store=sqlite:///p.db", "--sink=duckdb:///empty.duckdb"),
        *("--until=2001-01-01T00:00:00Z",),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 posts, 0 words, 0 pairs ranked")
    assert "The window from 2000-12-28 00:00 to 2001-01-01 00:00 has no posts. " in done.stdout
    with duckdb.connect(str(folder / "empty.duckdb"), read_only=True) as connection:
        (row,) = connection.execute("SELECT tweets, skipped, words, urls FROM runs").fetchall()
    assert row == (0, 0, 0, 0)


def test_direct_runner_gives_the_same(folder: Path) -> None:
    for name, runner in (("a", []), ("b", ["--runner=DirectRunner"])):
        done = dfpipe(
            *("run", "--store=sqlite:///p.db", f"--sink=duckdb:///{name}.duckdb", UNTIL),
            *runner,
            cwd=folder,
            env=OFFLINE,  # or DirectRunner would be Prism, which is downloaded
        )
        assert done.returncode == 0, done.stderr
    assert tables(folder / "a.duckdb") == tables(folder / "b.duckdb")


def test_help_lists_the_options() -> None:
    done = dfpipe("run", "--help")
    assert done.returncode == 0
    assert "--stopwords-file" in done.stdout
    assert "--runner=DataflowRunner" in done.stdout


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["--store=sqlite:///p.db"], 2, "--sink is required: give --sink WAREHOUSE"),
        ([*ENDS, "--runner=Nothing"], 2, "cannot use --runner=Nothing: Unexpected pipeline"),
        ([*ENDS, "--top-word=3"], 2, "unknown option --top-word=3: did you mean --top-words?"),
        ([*ENDS, "--qqq"], 2, "unknown option --qqq (see `dfpipe run --help`)"),
        ([*ENDS, "stray"], 2, "unknown option stray"),
        ([*ENDS, "--days=0"], 2, "--days must be a number above 0"),
        ([*ENDS[:2], "--until=yesterday"], 2, "--until must be a time such as"),
        ([*ENDS, "--until"], 2, "expected one argument"),
        ([*ENDS, "--stopwords-file=absent.txt"], 2, "cannot read --stopwords-file=absent.txt"),
        ([*ENDS, "--store=mysql://x"], 2, "mysql://x"),
        ([*ENDS, "--sink=oracle://x"], 2, "'oracle://x' is not the URL of a warehouse"),
        ([*ENDS, "--store=sqlite:///absent.db"], 1, "absent.db"),
        ([*ENDS, "--sink=duckdb:///absent/r.duckdb"], 1, "absent"),
        ([*ENDS, "--sink=duckdb:///p.db"], 1, "p.db"),
    ],
)
def test_mistakes_are_one_line(folder: Path, argv: list[str], status: int, message: str) -> None:
    before = sorted(folder.iterdir())
    done = dfpipe("run", *argv, cwd=folder)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("dfpipe: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert sorted(folder.iterdir()) == before


def test_verbose_adds_the_traceback(folder: Path) -> None:
    done = dfpipe("run", *ENDS, "--days=0", "--verbose", cwd=folder)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_damaged_store_fails_in_one_line(folder: Path) -> None:
    (folder / "damaged.db").write_bytes(b"this is no database" * 100)
    done = dfpipe("run", *ENDS[1:], "--store=sqlite:///damaged.db", cwd=folder)
    assert done.returncode == 1
    assert "damaged.db" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_kill_at_any_moment_leaves_a_whole_run_or_none(folder: Path) -> None:
    expected = whole_run(folder)
    began = time.monotonic()
    start(folder, "r").wait()
    length = time.monotonic() - began
    for tenths in (3, 6, 8, 9):
        process = start(folder, f"k{tenths}")
        try:
            process.wait(length * tenths / 10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        file = folder / f"k{tenths}.duckdb"
        assert seen(file) in (None, expected)
        assert dfpipe("run", *ENDS, f"--sink=duckdb:///{file.name}", cwd=folder).returncode == 0
        assert seen(file) == expected


def whole_run(folder: Path) -> oracle.Analysis:
    assert dfpipe("run", *ENDS, "--sink=duckdb:///w.duckdb", cwd=folder).returncode == 0
    return tables(folder / "w.duckdb")


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    sink = f"--sink=duckdb:///{name}.duckdb"
    return subprocess.Popen(
        [*DFPIPE, "run", *ENDS, sink],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def seen(file: Path) -> oracle.Analysis | None:
    """Return the run as any reader finds it, None where there is none; never a part of it."""
    if not file.exists():
        return None
    with duckdb.connect(str(file)) as connection:
        names = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
        counts = [connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in names]
    if not any(n for (n,) in counts if n):
        return None
    return tables(file)
