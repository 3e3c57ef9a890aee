"""`dfpipe demo` as a user runs it: its output is true, and its commands work."""

import re
import shlex
import signal
import subprocess
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import stop_words

from dfpipe.demo.timeline import timeline
from dfpipe.posts.formats.own import to_line
from tests import oracle
from tests.support.analysis import tables
from tests.support.command import DFPIPE, dfpipe, environment

RUN = re.compile(
    r"(?P<day>\w+): (?P<posts>[\d,]+) posts(?: \([\d,]+ read anew\))?, (?P<words>[\d,]+) words, "
    r"300 pairs ranked in [\d.]+ s: run (?P<ts>\S+) is in duckdb:///demo/results\.duckdb"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    done = dfpipe("demo", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_both_runs_are_what_the_oracle_computes(folder: Path, output: str) -> None:
    runs = {run["day"]: datetime.fromisoformat(run["ts"]) for run in RUN.finditer(output)}
    today, yesterday = runs["Today"], runs["Yesterday"]
    assert today - yesterday == timedelta(days=1)
    posts = [asdict(post) for post in timeline(today - timedelta(days=6), today)]
    assert (
        f"Stored {len(posts):,} synthetic posts covering 6 days in sqlite:///demo/posts.db."
        in output
    )
    words = [*stop_words.get_stop_words("en"), "rt", "via", "amp"]
    for end in (yesterday, today):
        expected = oracle.analyse(posts, end, stop_words=words)
        assert tables(folder / "demo" / "results.duckdb", end) == expected


def test_the_tables_are_those_of_the_commands_beside_them(folder: Path, output: str) -> None:
    asked = re.findall(
        r"^\$ \S*dfpipe (query .*/results\.duckdb --limit .*)$", output, re.MULTILINE
    )
    assert [words.split()[1] for words in asked] == [
        *("popular_words", "top_urls", "interesting_pairs", "emerging_pairs")
    ]
    first, last = (dfpipe(*shlex.split(words), cwd=folder) for words in (asked[0], asked[-1]))
    for answer in (first, last):
        # All but the line that tells how many rows more there are.
        assert "\n".join(answer.stdout.splitlines()[:-1]) in output
        assert len(re.findall(r"^ +\d+ ", answer.stdout, re.MULTILINE)) == 10


def test_the_last_command_does_it_with_a_file(output: str, tmp_path: Path) -> None:
    end = datetime.fromisoformat("2020-02-02T12:00:00+00:00")
    with (tmp_path / "own.jsonl").open("wb") as file:
        for post in timeline(end - timedelta(hours=9), end):
            line = to_line(post.tid, post.user, post.text, post.created_at, list(post.urls))
            file.write(line)
    words = shlex.split(output.splitlines()[-1].replace("FILE", "own.jsonl"))
    assert (words[0], Path(words[1]).name) == ("$", "dfpipe")
    done = dfpipe(*words[2:], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nStories:\n" in done.stdout


def test_a_second_time_adds_to_the_first(folder: Path, output: str) -> None:
    done = dfpipe("demo", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(
        r"Stored ([\d,]+) synthetic posts .* ([\d,]+) were there already", done.stdout
    )
    assert found, done.stdout
    stored, seen = (int(number.replace(",", "")) for number in found.groups())
    assert stored < 1_000 < seen
    assert len(RUN.findall(done.stdout)) == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = dfpipe("demo", "--folder", "file/demo", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "dfpipe: the folder file/demo cannot be made: Not a directory: name another with --folder\n"
    )


def test_an_interrupt_is_one_line(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DFPIPE, "demo"],
        cwd=tmp_path,
        env=environment({"PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert "synthetic posts" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "dfpipe: interrupted"
