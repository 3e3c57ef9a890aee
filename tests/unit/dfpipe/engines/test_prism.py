"""The messages if Prism cannot be used; tests/engines runs it for real."""

import sys
from pathlib import Path
from threading import Thread

import click
import duckdb
import pytest

from dfpipe.engines import job_server
from tests.support.analysis import END, store_posts
from tests.support.command import OFFLINE, dfpipe

# It ends once it was found to serve.
DIES = """
import os, signal, socket, sys
port = int(sys.argv[sys.argv.index("--job_port") + 1])
with socket.create_server(("127.0.0.1", port)) as server:
    print("I serve", flush=True)
    server.accept()
os.kill(os.getpid(), signal.SIGKILL)
"""
POSTS = [{"tid": 1, "user": "anna", "text": "storm", "created_at": END.replace(day=9)}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prism")
    store_posts(f"sqlite:///{path}/p.db", POSTS)
    (path / "notes.txt").write_text("touch it-was-run\n")
    (path / "dies.py").write_text(DIES)
    for name, program in {
        "silent": "exit 3",
        "told": "echo in a moment; echo 'panic: no luck'; echo goroutine 1; exit 2",
        "dies": f'exec {sys.executable} dies.py "$@"',
    }.items():
        (path / name).write_text(f"#!/bin/sh\n{program}\n")
        (path / name).chmod(0o755)
    return path


def run(folder: Path, *argv: str) -> tuple[int, str, str]:
    ends = ["--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb", f"--until={END.isoformat()}"]
    done = dfpipe("run", *ends, *argv, cwd=folder, env={**OFFLINE, "HOME": str(folder)})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (
            ["--prism_location=absent"],
            2,
            "--prism_location=absent is not a file: give Prism's program",
        ),
        (["--prism_location=/"], 2, "--prism_location=/ is not a file: give Prism's program, whi"),
        (["--prism_location=notes.txt"], 1, "/notes.txt (Exec format error): name Prism"),
        (["--prism_location=silent"], 1, "/silent exited with status 3 after it was started: name"),
        (
            ["--prism_location=told"],
            1,
            "/told exited with status 2 after it was started: name Prism's program with "
            "--prism_location; its last line: panic: no luck\n",
        ),
        (
            ["--prism_location=dies"],
            1,
            "dfpipe: Prism exited with status -9 during the run: run it again with --verbose to "
            "see its log; its last line: I serve\n",
        ),
        (
            ["--job_endpoint=127.0.0.1:1"],
            1,
            "--job_endpoint=127.0.0.1:1 does not answer (Connection refused): give t",
        ),
        (["--prism_location=https://a.invalid/"], 1, "cannot get Prism: Provided --prism_loc"),
        ([], 1, "cannot get Prism: Unable to fetch remote prism binary"),
    ],
    ids=["absent", "folder", "text", "silent", "told", "dies", "endpoint", "page", "offline"],
)
def test_mistakes_are_one_line(folder: Path, argv: list[str], status: int, message: str) -> None:
    code, said, errors = run(folder, "--runner=PrismRunner", *argv)
    assert (code, said) == (status, "")
    assert errors.startswith("dfpipe: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert not (folder / "it-was-run").exists()


def test_a_named_program_is_not_done_without(folder: Path) -> None:
    code, _, errors = run(folder, "--runner=DirectRunner", "--prism_location=absent")
    assert (code, errors.startswith("dfpipe: --prism_location=absent is not a file")) == (2, True)


def test_direct_runner_without_a_network_is_in_this_process(folder: Path) -> None:
    code, said, errors = run(folder, "--runner=DirectRunner")
    assert (code, errors) == (0, "")
    assert said.startswith("1 posts, 1 words, 0 pairs ranked")
    with duckdb.connect(str(folder / "r.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT runner FROM runs").fetchall() == [("FnApiRunner",)]


def test_a_worker_that_fails_late_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        sys.stderr.write("Traceback")

    with job_server.quiet():
        sys.stderr.write("in the middle")
    late = Thread(target=fail)
    late.start()
    late.join()
    click.echo("dfpipe: the run failed", err=True)
    assert capsys.readouterr().err == "dfpipe: the run failed\n"
