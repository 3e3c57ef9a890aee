"""The commands import and export, as a user runs them."""

import io
import json
import lzma
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dfpipe.cli import main
from dfpipe.datastore import connect
from dfpipe.posts.post import KIND
from tests.support.archives import zipped
from tests.support.command import DFPIPE, dfpipe, environment

STORE = "sqlite:///posts.db"


def lines(count: int) -> bytes:
    record = {"user": "a", "text": "x", "created_at": "2020-01-01T00:00:00Z", "urls": []}
    return b"".join(json.dumps({"tid": n} | record).encode() + b"\n" for n in range(1, count + 1))


def test_import_then_export(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(lines(3) + b"broken\n"))
    done = dfpipe("import", "a.jsonl.xz", "--store", STORE, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "         4 records read",
        "         3 stored",
        "         0 replaced by a newer version or a longer text",
        "         0 seen before",
        "         0 deletion notices and posts they delete (0 stored posts removed)",
        "         1 skipped",
        "           1 broken JSON (a.jsonl.xz:4)",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    done = dfpipe("export", cwd=tmp_path, env={"DFPIPE_STORE": STORE})
    assert (done.returncode, done.stderr) == (0, "")
    assert list(map(json.loads, done.stdout.splitlines())) == list(
        map(json.loads, lines(3).splitlines())
    )
    argv = ["export", "--store", STORE, "--until", "2019-01-01T00:00:00Z", "--output", "out"]
    done = dfpipe(*argv, cwd=tmp_path)
    assert done.stdout == "0 posts written to out\n"
    assert (tmp_path / "out").read_bytes() == b""


def test_a_report_in_json_from_standard_input(tmp_path: Path) -> None:
    done = dfpipe(
        "import", "-", "--store", STORE, "--json", cwd=tmp_path, given=lines(2).decode() + "x\n"
    )
    options = ("--store", "sqlite:///other.db", "--format")
    again = dfpipe("import", "-", *options, "json", cwd=tmp_path, given=lines(2).decode() + "x\n")
    assert again.stdout == done.stdout
    counts = dfpipe("import", "-", *options, "csv", cwd=tmp_path, given=lines(2).decode())
    assert counts.stdout == "read,stored,replaced,seen,deleted,skipped,removed\n2,0,0,2,0,0,0\n"
    assert json.loads(done.stdout) == {
        "read": 3,
        "stored": 2,
        "replaced": 0,
        "seen": 0,
        "deleted": 0,
        "skipped": {"broken JSON": {"count": 1, "first": ["standard input:3"]}},
        "removed": 0,
        "passed_over": {},
        "failed": [],
    }


def test_a_bar_on_a_terminal_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(lines(1200))
    reader, terminal = pty.openpty()
    child = subprocess.Popen(
        [*DFPIPE, "import", "a", "--store", STORE],
        cwd=tmp_path,
        env=environment({"TERM": "xterm"}),
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(reader, 65536):
            shown += data
    except OSError:  # how a terminal on Linux says that its last user has gone
        pass
    assert child.communicate()[0].startswith(b"     1,200 records read\n     1,200 stored\n")
    assert b"storing" in shown
    assert b"1,200 records" in shown


def test_shift_to_now(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    dfpipe("import", "-", "--store", STORE, "--shift-to-now", cwd=tmp_path, given=lines(2).decode())
    done = dfpipe("export", "--store", STORE, cwd=tmp_path)
    times = [datetime.fromisoformat(json.loads(x)["created_at"]) for x in done.stdout.splitlines()]
    assert before <= times[0] == times[1] <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("words", "stdin", "status", "message"),
    [
        (["import", "none", "--store", STORE], b"", 2, "none does not exist: name a file"),
        (["import", ".", "--store", STORE], b"", 1, ". is empty: name a file with posts"),
        (["import", "-", "--store", STORE], b"", 1, "standard input is empty: name a file"),
        (["import", "-", "--store", STORE], b"hello\n", 1, "standard input seems to be plain text"),
        (["import", "-", "--store", STORE], b"\x1f\x8b\x08", 1, "standard input is damaged ("),
        (
            ["import", "-", "--store", STORE, "--strict"],
            lines(1) + b"x\n",
            1,
            "standard input:2: broken JSON: --strict stored nothing; fix the record, or",
        ),
        (["import", "--store", STORE], b"", 2, "Missing argument 'FILE...'. (see `dfpipe import"),
        (["import", "-"], b"", 2, "Missing option '--store' (env var: 'DFPIPE_STORE'). (see `"),
        (
            ["import", "-", "--store", "x:y"],
            b"id,text\n",
            2,
            "'x:y' is not the URL of a store; expected",
        ),
        (
            ["import", "-", "--store", "sqlite:///no/p.db"],
            b"x",
            1,
            "no/p.db cannot be created: check",
        ),
        (["export", "--store", STORE], b"", 1, "posts.db does not exist: check the path"),
        (
            ["export", "--store", STORE, "--since", "2015"],
            b"",
            2,
            "Invalid value for '--since': expected a time such as 2015-01-11T00:00:00Z, or a date",
        ),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    stdin: bytes,
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DFPIPE_STORE", raising=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as left:
        main(words)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (status, "")
    assert err.startswith(f"dfpipe: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_killed_import_leaves_whole_batches(tmp_path: Path, is_zip: bool) -> None:
    every = lines(2200).splitlines(keepends=True)
    members = {f"{n}.jsonl": b"".join(every[n::7]) for n in range(7)}
    (tmp_path / "a").write_bytes(zipped(members) if is_zip else lines(2200))
    script = """
import os, signal, sys
from dfpipe.posts import importing
from dfpipe.cli import main
real, calls = importing.store_posts, []
def store_posts(*args, **kwargs):
    done = real(*args, **kwargs)
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
importing.store_posts = store_posts
main(sys.argv[1:])
"""
    argv = ["import", "a", "--store", STORE]
    killed = subprocess.run(
        [sys.executable, "-c", script, *argv], cwd=tmp_path, env=environment(), check=False
    )
    assert killed.returncode == -signal.SIGKILL
    query = connect(f"sqlite:///{tmp_path}/posts.db").query(kind=KIND)
    assert len(list(query.fetch())) == 1500
    assert "       700 stored\n" in dfpipe(*argv, cwd=tmp_path).stdout


def test_an_archive_that_was_cut_off_keeps_what_could_be_read(tmp_path: Path) -> None:
    whole = lzma.compress(lines(20_000))
    (tmp_path / "a.jsonl.xz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.jsonl").write_bytes(lines(30_000)[-3000:].partition(b"\n")[2])
    done = dfpipe("import", "a.jsonl.xz", "b.jsonl", "--store", STORE, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("dfpipe: a.jsonl.xz is damaged (")
    assert done.stderr.endswith("): get it again; what could be read is stored\n")
    assert done.stderr.count("\n") == 1
    stored = int(done.stdout.splitlines()[1].split()[0].replace(",", ""))
    assert 1000 < stored < 20_000
    (tmp_path / "a.jsonl.xz").write_bytes(whole)
    done = dfpipe("import", "a.jsonl.xz", "b.jsonl", "--store", STORE, cwd=tmp_path)
    assert done.returncode == 0
    assert len(dfpipe("export", "--from", STORE, cwd=tmp_path).stdout.splitlines()) > 20_000


def test_files_that_cannot_be_read_are_named_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(lines(2))
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "c").write_bytes(b"PK\3\4 cut")
    (tmp_path / "empty").write_bytes(b"")
    files = ("empty", "b.pdf", "a", "c")
    done = dfpipe("import", *files, "--store", STORE, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == "         2 stored"
    assert done.stderr.splitlines() == [
        "dfpipe: warning: empty is empty: name a file with posts",
        "dfpipe: b.pdf seems to be a PDF document: name a file with the posts as data",
        "dfpipe: c is a zip that was cut off or damaged (File is not a zip file): get it again",
        "dfpipe: 2 files could not be read whole: b.pdf, c; what could be read is stored",
    ]
    done = dfpipe("import", *files, "--store", "sqlite:///2.db", "--strict", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "2.db").exists()


def test_the_real_posts(data: Path, tmp_path: Path) -> None:
    argv = ["import", str(data / "tweets_4day.jsonl.xz"), "--store", STORE]
    assert "    38,672 stored\n" in dfpipe(*argv, cwd=tmp_path).stdout
    second = dfpipe(*argv, cwd=tmp_path).stdout
    assert "         0 stored\n" in second
    assert "    38,672 seen before\n" in second
    exported = dfpipe("export", "--store", STORE, cwd=tmp_path).stdout
    with lzma.open(data / "tweets_4day.jsonl.xz") as original:
        expected = [json.loads(line) for line in original]
    expected.sort(key=lambda post: (post["created_at"], post["tid"]))
    assert [json.loads(line) for line in exported.splitlines()] == expected
