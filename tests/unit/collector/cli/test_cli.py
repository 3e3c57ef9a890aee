"""The command `collector`: what it prints, and how it fails."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from collector.cli.main import collector, main
from dfpipe.datastore import connect
from dfpipe.posts.post import KIND
from tests.support.http_handler import serving
from tests.support.processes import ROOT

POSTS = [
    {"tid": 1, "user": "a", "text": "old", "created_at": "2015-01-09T07:00:00Z"},
    {"tid": 2, "user": "a", "text": "new", "created_at": "2200-01-01T00:00:00Z"},
    {"tid": 3, "user": "a", "text": 3, "created_at": "2015-01-09T07:00:00Z"},
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new store, which the environment names."""
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("DFPIPE_STORE", url)
    for name in ("DFPIPE_TASK_TOKEN", "COLLECTOR_INGEST_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    return url


@pytest.fixture
def account(tmp_path: Path) -> str:
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(json.dumps(post) + "\n" for post in POSTS))
    return f"archive:{file}"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> "Run":
    return Run(capsys)


class Run:
    """Runs the command, and tells status and output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *argv: str) -> str:
        """What a command that succeeds prints."""
        status, out, err = self.all(*argv)
        assert (status, err) == (0, "")
        return out

    def fails(self, *argv: str) -> tuple[int, str]:
        """Status and message of one that fails."""
        status, _, err = self.all(*argv)
        assert err.count("\n") == 1, err
        return status, err.removeprefix("collector: ").rstrip("\n")

    def all(self, *argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(argv)
        return int(str(ended.value.code)), *self.capsys.readouterr()


def test_the_way_of_an_account(run: Run, store: str, account: str) -> None:
    assert run("accounts") == "no accounts yet: follow one with `collector follow SOURCE:NAME`\n"
    assert run("follow", account) == f"{account} is followed\n"
    assert run("follow", account) == f"{account} is followed already\n"
    counts = "0 replaced, {} seen before, 0 removed"
    assert run("fetch", account) == f"{account}: 2 new, {counts.format(0)}, 1 set aside\n"
    assert run("fetch", account) == f"{account}: 0 new, {counts.format(0)}, 0 set aside\n"
    shown = run("accounts")
    assert "archive:" in shown
    assert "active" in shown
    (found,) = json.loads(run("accounts", "--json"))
    assert (found["id"], found["posts"], found["posts_a_day"]) == (account, 2, 2.0)
    assert run("unfollow", account) == f"{account} is no longer followed\n"
    assert json.loads(run("accounts", "--json"))[0]["state"] == "stopped"
    status, message = run.fails("fetch", account)
    assert status == 2
    assert (
        message
        == f"{account} is not followed (unfollowed): follow it with `collector follow '{account}'`"
    )


def test_dead_letters(run: Run, store: str, account: str) -> None:
    assert run("deadletters", "list") == "no dead letters\n"
    run("follow", account)
    run("fetch", account)
    listed = run("deadletters", "list")
    assert "text is not a string" in listed
    identity = listed.splitlines()[3].split()[0]
    assert json.loads(run("deadletters", "show", identity)) == POSTS[2]
    kept = "0 read (0 new, 0 replaced, 0 seen before), 1 kept\n"
    assert run("deadletters", "replay", identity) == kept
    assert run("deadletters", "replay", "--all") == kept
    for command in ("replay", "remove"):
        assert run.fails("deadletters", command) == (
            2,
            "name the dead letters by ID, or give --all",
        )
    unknown = (2, "no dead letter has the ID x: list them with `collector deadletters list`")
    assert run.fails("deadletters", "replay", "x") == unknown
    assert run.fails("deadletters", "show", "x") == unknown
    assert run("deadletters", "remove", "x") == "0 removed\n"
    assert run("deadletters", "remove", "--all") == "1 removed\n"
    assert run("deadletters", "list") == "no dead letters\n"


def test_old_posts_are_purged(run: Run, store: str, account: str) -> None:
    run("follow", account)
    run("fetch", account)
    assert run("purge", "--older-than", "9000d").startswith("0 removed, written before ")
    assert run("purge").startswith("1 removed, written before ")
    client = connect(store)
    assert [entity["tid"] for entity in client.query(kind=KIND).fetch()] == [2]
    client.close()


def test_what_the_source_says_is_told(
    run: Run, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("follow", "mastodon:public")
    for status, message in (
        (429, "mastodon allows no more requests before"),
        (500, "returned 500"),
    ):
        with serving(lambda request, status=status: status) as server:  # type: ignore[misc]
            monkeypatch.setenv("COLLECTOR_MASTODON_URL", server.url)
            code, error = run.fails("fetch", "mastodon:public")
        assert (code, message in error) == (1, True), error
    with serving(lambda request: 401) as server:
        monkeypatch.setenv("COLLECTOR_MASTODON_URL", server.url)
        code, error = run.fails("fetch", "mastodon:public")
    assert "returned 401" in error
    assert json.loads(run("accounts", "--json"))[0]["state"] == "stopped"


WRONG = {
    "account": (
        ["follow", "nowhere:home"],
        "nowhere:home is not an account: expected one of",
    ),
    "unfollow": (["unfollow", "mastodon:home"], "mastodon:home is not followed: `collector acc"),
    "fetch": (
        ["fetch", "mastodon:home"],
        "mastodon:home is not followed: follow it with `collector follow '",
    ),
    "age": (["purge", "--older-than", "30"], "--older-than is '30': expected a number and s, m,"),
    "store": (["accounts", "--store", "file.db"], "file.db"),
    "queues": (["serve", "--queue-yaml", "missing.yaml"], "cannot read missing.yaml: No such"),
    "worker": (["ingest-worker", "--queue-yaml", "missing.yaml"], "cannot read missing.yaml"),
    "lease": (["ingest-worker", "--lease-secs", "nan"], "'nan' is not a number of seconds"),
    "poll": (["ingest-worker", "--poll-secs", "1e400"], "inf is not in the range"),
    "command": (["folow"], "No such command"),
    "option": (["fetch", "x:home", "--now"], "--now"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_one_line(run: Run, store: str, case: str) -> None:
    argv, message = WRONG[case]
    status, error = run.fails(*argv)
    assert status == 2
    assert message in error


def test_a_queue_yaml_without_the_queue_is_told(run: Run, store: str, tmp_path: Path) -> None:
    (tmp_path / "q.yaml").write_text("queue:\n- name: other\n  mode: pull\n")
    argv = ("ingest-worker", "--queue-yaml", str(tmp_path / "q.yaml"))
    status, error = run.fails(*argv)
    assert status == 1
    assert "queue 'ingest' is not defined in" in error


def test_without_a_store_it_says_what_to_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFPIPE_STORE", raising=False)
    message = "no store is set: give --store sqlite:///FILE, or set DFPIPE_STORE"
    for command in ("accounts", "serve", "ingest-worker", "purge"):
        assert run.fails(command) == (2, message)


def test_verbose_shows_the_traceback(run: Run, store: str) -> None:
    status, _, err = run.all("follow", "y:z", "--verbose")
    assert status == 2
    assert "Traceback" in err


@pytest.mark.parametrize("command", sorted(collector.all_commands()))
def test_every_command_has_its_help(run: Run, command: str) -> None:
    assert run(command, "--help").startswith(f"Usage: collector {command} ")


def test_help_needs_no_client_library_and_no_beam() -> None:
    check = (
        "import sys, collector.cli.main\n"
        "heavy = {'apache_beam', 'tweepy', 'atproto', 'mastodon', 'flask', 'gunicorn'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_progress_is_shown_on_a_terminal(
    run: Run, store: str, account: str, tmp_path: Path
) -> None:
    run("follow", account)
    terminal, inside = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "collector", "fetch", account],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=inside,
    )
    os.close(inside)
    out, _ = child.communicate(timeout=120)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert child.returncode == 0
    assert f"{account}: 2 new" in shown
    assert "2 new" in out.decode()
