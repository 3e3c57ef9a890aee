"""The clock that follows cron.yaml, and the supervisor of the processes of `dfpipe serve`."""

import doctest
import json
import os
import signal
import stat
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import schedules
from service.errors import UsageError
from service.listening import KEEP_ALIVE
from service.schedules import Daily, Every, parse
from system import printing
from system.cron import LOOK, Clock, Job, read_jobs, service_of
from system.filling import import_files
from system.supervisor import Program, Supervisor
from system.system import POLL
from tests.support.command import dfpipe
from tests.support.processes import ROOT, wait_until
from tests.support.serving import free_ports

MONDAY = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every 5 hours", MONDAY + timedelta(hours=5)),
        ("every 17 minutes", MONDAY + timedelta(minutes=17)),
        ("Every  1  mins", MONDAY + timedelta(minutes=1)),
        ("every 7 hours synchronized", datetime(2026, 11, 23, 14, tzinfo=UTC)),
        ("every day 03:40", datetime(2026, 11, 24, 3, 40, tzinfo=UTC)),
        ("every day 10:31", datetime(2026, 11, 23, 10, 31, tzinfo=UTC)),
        ("every monday 10:30", datetime(2026, 11, 30, 10, 30, tzinfo=UTC)),
        ("every friday, sunday 00:00", datetime(2026, 11, 27, tzinfo=UTC)),
    ],
)
def test_when_a_schedule_is_due(text: str, expected: datetime) -> None:
    assert parse(text).after(MONDAY) == expected


def test_the_examples_in_the_code() -> None:
    for module in (schedules, printing):
        outcome = doctest.testmod(module)
        assert (outcome.attempted > 0, outcome.failed) == (True, 0)


@pytest.mark.parametrize(
    "line", ["plain", "3", "[]", "null", '{"message": "no time"}', '{"time": 3, "message": ""}']
)
def test_a_line_that_is_no_record_is_shown_as_it_is(line: str) -> None:
    assert printing.readable(line) == line


def test_nothing_in_a_line_moves_a_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "time": "2026-01-07T11:00:00",
        "severity": "ERROR",
        "message": "a\x1b[2J",
        "trace": "b",
    }
    printing.Printer()("name", json.dumps(record))
    assert capsys.readouterr().out == ("name       | 11:00:00 ERROR a\\x1b[2J\nname       | b\n")


@pytest.mark.parametrize(("no_color", "is_colored"), [("", True), ("1", False)])
def test_names_are_colored_unless_no_color_is_set(
    no_color: str, is_colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[str] = []
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(printing.click, "echo", printed.append)
    printing.Printer()("name", "plain")
    assert ("\x1b[" in printed[0]) is is_colored


def test_posts_that_are_too_old_to_be_analysed(tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text('{"tid": 1, "user": "a", "text": "b", "created_at": "2015-01-11T00:00:00Z"}')
    said: list[str] = []
    store = f"sqlite:///{tmp_path}/posts.db"
    import_files([str(posts)], store, False, said.append)
    assert [line.split() for line in said[:2]] == [["1", "records", "read"], ["1", "stored"]]
    assert said[-1].startswith(
        "the newest post is from 2015-01-11, but an analysis covers the last 4"
    )
    said.clear()
    import_files([str(posts)], store, True, said.append)
    assert not any("2015" in line for line in said)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--shift-to-now"], "--shift-to-now moves the posts of --posts"),
        (["--posts", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["--store", "no://x"], "'no://x' is not the URL of a store"),
        (["--sink", "no://x"], "'no://x' is not the URL of a warehouse"),
    ],
    ids=["no posts", "no file", "store", "sink"],
)
def test_a_serve_that_is_refused(tmp_path: Path, argv: list[str], message: str) -> None:
    done = dfpipe("serve", *argv, "--port", str(free_ports()), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"dfpipe: {message}")


@pytest.mark.parametrize("demo", [True, False], ids=["demo", "own"])
def test_what_is_made_up_has_a_folder_of_its_own(tmp_path: Path, demo: bool) -> None:
    argv = [*["--demo"] * demo, "--sink", "no://x", "--port", str(free_ports())]
    assert dfpipe("serve", *argv, cwd=tmp_path).returncode == 2
    [made] = tmp_path.iterdir()
    assert made.name == ("dfpipe-demo" if demo else "dfpipe-data")


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\xed" * 40, b"short", b"a" * 20 + b"\n" + b"b" * 20]
)
def test_a_damaged_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "task-token").write_bytes(content)
    done = dfpipe("serve", "--folder=.", "--port", str(free_ports()), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "task-token holds no token, which is a line of at least 16" in done.stderr
    assert done.stderr.endswith("remove it, and the next start makes another\n")


def test_a_store_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path) -> None:
    argv = ["--store", f"sqlite:///{tmp_path}/none/a.db", "--port", str(free_ports())]
    done = dfpipe("serve", *argv, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "none/a.db cannot be created: check that its folder exists" in done.stderr


def test_a_schedule_in_another_zone() -> None:
    schedule = parse("every day 03:40", ZoneInfo("America/New_York"))
    assert isinstance(schedule, Daily)
    assert schedule.after(MONDAY) == datetime(2026, 11, 24, 8, 40, tzinfo=UTC)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "last", "expected"),
    [
        # The hour from 2 comes twice on 25 October: 0:00 to 1:00 UTC, and 1:00 to 2:00.
        ("02:30", (10, 25, 0, 10), (10, 25, 0, 30)),
        ("02:30", (10, 25, 0, 30), (10, 26, 1, 30)),
        ("02:30", (10, 25, 1, 10), (10, 26, 1, 30)),
        ("02:30", (10, 25, 1, 40), (10, 26, 1, 30)),
        ("03:00", (10, 25, 1, 40), (10, 25, 2, 0)),
        # On 29 March there is no such hour.
        ("02:30", (3, 28, 12, 0), (3, 29, 1, 30)),
        ("02:30", (3, 29, 1, 30), (3, 30, 0, 30)),
        ("12:00", (3, 28, 11, 0), (3, 29, 10, 0)),
    ],
)
def test_a_schedule_as_summer_time_begins_and_ends(
    at: str, last: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    found = parse(f"every day {at}", BERLIN).after(datetime(2026, *last, tzinfo=UTC))
    assert found == datetime(2026, *expected, tzinfo=UTC)


@given(
    at=st.tuples(st.integers(0, 23), st.integers(0, 59)),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "UTC"]),
    days=st.sets(st.integers(0, 6), min_size=1),
    last=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_a_daily_schedule_is_due_once_a_day(
    at: tuple[int, int], zone: str, days: set[int], last: datetime
) -> None:
    schedule = Daily(frozenset(days), *at, ZoneInfo(zone))
    seen = [last.replace(tzinfo=UTC)]
    for _ in range(9):
        seen.append(schedule.after(seen[-1]))
    assert all(earlier < later for earlier, later in pairwise(seen))
    dates = [each.astimezone(schedule.zone).date() for each in seen[1:]]
    assert len(set(dates)) == len(dates)
    assert {each.weekday() for each in dates} <= days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every 0 minutes",
        "every -1 hours",
        "hourly",
        "every day",
        "every day 24:00",
        "every someday 10:00",
        "1st monday of month 10:00",
        "every 5 hours from 10:00 to 14:00",
    ],
)
def test_a_schedule_that_cannot_be_followed(text: str) -> None:
    with pytest.raises(ValueError, match="expected every N minutes"):
        parse(text)


def write(folder: Path, cron: str, dispatch: str = "dispatch: []") -> tuple[Path, Path]:
    files = folder / "cron.yaml", folder / "dispatch.yaml"
    for file, text in zip(files, (cron, dispatch), strict=True):
        file.write_text(text)
    return files


def test_jobs_and_their_services(tmp_path: Path) -> None:
    cron = """
cron:
- {url: /a, schedule: every 5 hours, description: one}
- {url: /b, schedule: "every day 03:40", timezone: Europe/Paris, target: third}
- {url: /c, schedule: every 1 minutes}
"""
    dispatch = 'dispatch: [{url: "*/a", service: first}, {url: "*/a", service: second}]'
    jobs = read_jobs(*write(tmp_path, cron, dispatch))
    assert [(job.url, job.service) for job in jobs] == [
        ("/a", "first"),
        ("/b", "third"),
        ("/c", "default"),
    ]
    assert service_of("/x/y", [("*/x/*", "deep")]) == "deep"


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("cron: [{schedule: every 5 hours}]", "1: cron[0].url: missing; it is required"),
        (
            "cron:\n- url: /a\n  schedule: sometimes",
            "3: cron[0].schedule: 'sometimes': expected",
        ),
        (
            "cron:\n- {url: /a, schedule: every 1 hours, timezone: Mars/Base}",
            "2: cron[0].timezone: 'Mars/Base': expected the name of a time zone",
        ),
        ("cron: 3", "1: cron: '3': expected a list"),
        ("cron: [", "1: not YAML"),
        (
            "cron: [{url: [a], schedule: every 5 hours}]",
            "1: cron[0].url: \"['a']\": expected",
        ),
        ("cron: [{url: a, schedule: every 5 hours}]", "1: cron[0].url: 'a': expected"),
        ("cron: [{url: /a, schedule: 2026-13-45}]", "1: cron[0].schedule: '2026-13-45': expected"),
        ("cron: [{url: /a, schedule: every 99999999999 hours}]", "1: cron[0].schedule: 'every 999"),
        (
            "cron: [{url: /a, schedules: x}]",
            "1: cron[0].schedules: unknown field; expected url",
        ),
    ],
    ids=[
        *("no url", "schedule", "zone", "no list", "no YAML"),
        *("url", "path", "date", "long", "unknown"),
    ],
)
def test_a_wrong_cron_yaml(tmp_path: Path, cron: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_jobs(*write(tmp_path, cron))
    assert str(refused.value).startswith(f"{tmp_path}/cron.yaml:{message}")


@pytest.mark.parametrize("rule", ["{service: a}", "{url: a, service: [b]}"], ids=["none", "list"])
def test_a_wrong_dispatch_yaml(tmp_path: Path, rule: str) -> None:
    with pytest.raises(UsageError, match=r"dispatch.yaml:1: dispatch\[0\].(url|service): "):
        read_jobs(*write(tmp_path, "cron: []", f"dispatch: [{rule}]"))


def test_a_clock_without_jobs_goes_on_until_it_is_stopped() -> None:
    clock = Clock([], {}, "", print)
    thread = threading.Thread(target=clock.run)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    clock.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_a_cron_yaml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read .*dispatch.yaml: No such file"):
        read_jobs(tmp_path / "cron.yaml", tmp_path / "dispatch.yaml")


class MovedClock(Clock):
    """Its time passes as it waits, and is set now and then: "wall" is what clocks show."""

    def __init__(self, job: Job, sets: dict[int, timedelta]) -> None:
        self.wall, self.passed, self.sets = MONDAY, 0.0, dict(sets)
        self.calls: list[tuple[float, datetime]] = []
        stop = threading.Event()
        stop.wait = self._wait  # type: ignore[method-assign, assignment]
        super().__init__([job], {"default": ""}, "", print, lambda: self.wall, stop)

    def _wait(self, seconds: float) -> bool:
        self.passed += seconds
        self.wall += timedelta(seconds=seconds)
        for after in [each for each in self.sets if each <= self.passed]:
            self.wall += self.sets.pop(after)
        return False

    def call(self, job: Job) -> bool:
        self.calls.append((self.passed, self.wall))
        if len(self.calls) == 4:
            self.stop()
        return True


def test_the_clock_calls_although_the_time_is_set_back() -> None:
    job = Job("/a", "default", Every(timedelta(minutes=5)), "")
    moved = MovedClock(job, {100: timedelta(hours=-7), 700: timedelta(days=-30)})
    moved.run()
    waits = [later - earlier for (earlier, _), (later, _) in pairwise(moved.calls)]
    assert max(waits) <= 2 * 300


def test_the_clock_calls_soon_after_a_laptop_has_slept() -> None:
    """Its waiting does not count while the machine sleeps."""
    moved = MovedClock(
        Job("/a", "default", Every(timedelta(hours=5)), ""), {100: timedelta(hours=8)}
    )
    moved.run()
    assert moved.calls[1][0] < 100 + LOOK + 1


def test_the_clock_calls_until_it_is_answered_well() -> None:
    calls: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append((self.path, self.headers["Authorization"]))
            self.send_response(500 if len(calls) == 1 else 200)
            self.end_headers()

        def log_message(self, *argv: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said: list[str] = []
        every = Job("/a", "default", Every(timedelta(hours=1)), "")
        later = Job("/b", "default", Daily(frozenset(range(7)), 0, 0), "")
        address = f"http://127.0.0.1:{server.server_port}"
        clock = Clock([every, later], {"default": address}, "secret", said.append)
        thread = threading.Thread(target=clock.run)
        thread.start()
        wait_until(lambda: len(said) == 2)
        clock.stop()
        thread.join(30)
        server.shutdown()
    assert calls == [("/a", "Bearer secret")] * 2
    assert said == ["GET /a 500: will retry", "GET /a 200"]


def test_a_job_of_an_unknown_service() -> None:
    with pytest.raises(UsageError, match="service 'other': expected one of default"):
        Clock([Job("/a", "other", Every(timedelta(1)), "")], {"default": ""}, "", print)


def test_programs_are_restarted_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, str]] = []
    code = "import os, time; print(os.getpid(), os.environ['A'], flush=True); time.sleep(600)"
    (tmp_path / "steady.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    (tmp_path / "refusing.py").write_text("import sys; sys.exit(2)")
    programs = [Program(name, [name], {"A": "x"}) for name in ("steady", "missing", "refusing")]
    refused: list[str] = []
    supervisor = Supervisor(programs, lambda *line: lines.append(line), refused.append)

    def pids() -> list[int]:
        return [int(line.split()[0]) for name, line in lines if name == "steady" and " x" in line]

    supervisor.start()
    wait_until(lambda: len(pids()) == 1)
    os.kill(pids()[0], signal.SIGKILL)
    wait_until(lambda: len(pids()) == 2)
    wait_until(lambda: refused == ["refusing"])
    supervisor.stop()
    for pid in pids():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert ("steady", "ended with -9: restarting in 1 s") in lines
    assert ("missing", "ended with 1: restarting in 1 s") in lines


def test_the_dispatchers_connection_outlasts_the_time_between_two_looks_at_a_job() -> None:
    assert 2 * int(POLL.removesuffix("s")) < KEEP_ALIVE


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    done = dfpipe("serve", "--sink", "no://x", "--port", str(free_ports()), cwd=tmp_path)
    assert done.returncode == 2
    folder = tmp_path / "dfpipe-data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert modes == dict.fromkeys(("task-token", "ingest-token", "cron.header"), 0o600)


def test_a_folder_that_others_can_read_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    wrong = ("serve", "--folder", str(tmp_path), "--sink", "no://x", "--port", str(free_ports()))
    assert f"can read the posts in {tmp_path}: `chmod 700 {tmp_path}`" in dfpipe(*wrong).stderr
    tmp_path.chmod(0o700)
    assert "chmod" not in dfpipe(*wrong).stderr
