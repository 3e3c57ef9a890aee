"""The command `taskqueue`, on a store and on a REST endpoint."""

import doctest
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

import taskqueue
from taskqueue import Queue, Task, TaskQueueService, TaskRetryOptions
from taskqueue.cli import main, services
from taskqueue.pull import puller
from taskqueue.push import pacing
from taskqueue.rest import fields
from taskqueue.rest.access import by_tokens
from taskqueue.rest.blueprint import create_app
from taskqueue.storage.leasing import Outcome, Verdict
from tests.support.command import environment

YAML = """
queue:
- {name: default, rate: 5/s, target: web}
- name: pull
  mode: pull
  acl: [{user_email: me@x.org}, {writer_email: me@x.org}]
"""
TOKEN = "token-of-me"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("TASKQUEUE_STORE", "DFPIPE_STORE", "TASKQUEUE_TOKEN", "DFPIPE_TASK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "queue.yaml").write_text(YAML)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return tmp_path


@pytest.fixture
def service(folder: Path) -> Iterator[TaskQueueService]:
    yield taskqueue.configure("sqlite:///q.db", "queue.yaml")
    taskqueue.bind(None)


@pytest.fixture
def endpoint(service: TaskQueueService) -> Iterator[str]:
    app = create_app(service, by_tokens({TOKEN: "me@x.org"}))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["store", "endpoint"])
def where(request: pytest.FixtureRequest, service: TaskQueueService) -> list[str]:
    """The options that name the queue `pull`, once in a store and once behind an endpoint."""
    if request.param == "store":
        return ["--store", "sqlite:///q.db", "--taskqueue-name", "pull"]
    url = request.getfixturevalue("endpoint")
    return ["--api-host", url, "--credentials-file", "token", "--taskqueue-name", "pull"]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit status, output and error output of a command."""
    with pytest.raises(SystemExit) as ended:
        main.main(argv)
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """The resource that a command prints, sorted and indented."""
    status, out, err = run(capsys, *argv)
    assert (status, err) == (0, "")
    resource = json.loads(out)
    assert out == json.dumps(resource, indent=2, sort_keys=True) + "\n"
    return resource


def test_the_way_of_a_task(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["addtask", *where, "--task-name", "one", "--payload", "hello", "--tag", "t"]
    task = shown(capsys, *argv)
    assert (task["id"], task["payloadBase64"], task["tag"]) == ("one", "aGVsbG8=", "t")
    leased = shown(capsys, "leasetask", *where, "--lease-secs", "60", "--payload-size-to-display=2")
    (item,) = leased["items"]
    assert (item["payloadBase64"], item["retry_count"]) == ("aGU=", 1)
    assert shown(capsys, "leasetask", *where, "--lease-secs", "60").get("items") is None
    name = ["--task-name", "one"]
    stamp = item["leaseTimestamp"]
    more = ["modifytask", *where, *name, "--lease-secs", "0", "--lease-timestamp", stamp]
    assert shown(capsys, *more)["leaseTimestamp"] == "0"
    status, _, err = run(capsys, *more)
    assert (status, err.count("\n")) == (1, 1)
    assert "lease it" in err
    assert shown(capsys, "gettask", *where, *name)["id"] == "one"
    assert len(shown(capsys, "listtasks", *where)["items"]) == 1
    stats = shown(capsys, "getqueue", *where, "--get-stats")["stats"]
    assert (stats["totalTasks"], stats["leasedLastMinute"]) == (1, "1")
    assert run(capsys, "deletetask", *where, *name) == (0, "", "")
    status, _, err = run(capsys, "deletetask", *where, *name)
    assert (status, err) == (1, "taskqueue: queue 'pull' has no task named 'one'\n")


def test_leases_by_tag(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for tag in ("a", "b", "b"):
        shown(capsys, "addtask", *where, "--payload", "x", "--tag", tag)
    lease = ["leasetask", *where, "--lease-secs", "60", "--num-tasks", "9"]
    assert len(shown(capsys, *lease, "--tag", "b")["items"]) == 2
    assert len(shown(capsys, *lease, "--group-by-tag")["items"]) == 1


def test_the_store_knows_its_queues(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, "getqueue", *PULL)["acl"]["consumerEmails"] == ["me@x.org"]
    status, _, err = run(capsys, "getqueue", *PULL[:2], "--taskqueue-name", "never")
    assert (status, err) == (
        1,
        "taskqueue: queue 'never' is not defined in the store, which has default, pull\n",
    )


def test_the_queues_may_have_a_store_of_their_own(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFPIPE_STORE", "sqlite:///q.db")
    assert run(capsys, "getqueue")[0] == 0
    monkeypatch.setenv("DFPIPE_STORE", "sqlite:///posts.db")
    monkeypatch.setenv("TASKQUEUE_STORE", "sqlite:///q.db")
    assert run(capsys, "getqueue")[0] == 0


@pytest.mark.parametrize(
    ("argv", "notice"),
    [
        (["getqueue", "--get_stats=True"], ""),
        (["getqueue", "--get_s=False", "--project=p"], ""),
        (["getqueue", "--noget_stats"], ""),
        (["leasetask", "--lease=5", "--num_tasks=1"], ""),
        (["leasetask", "--lease_secs", "5", "--dump_request"], "--dump_request"),
        (["leasetask", "--use_developer_key=True", "--lease_secs=5"], "--use_developer_key"),
        (["listtasks", "--developer_key_file", "~/.key"], "--developer_key_file"),
    ],
)
def test_command_lines_of_gtaskqueue(
    where: list[str], argv: list[str], notice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *argv, *where)
    assert status == 0
    assert ("stats" in json.loads(out)) is ("--get_stats=True" in argv)
    expected = f"taskqueue {argv[0]}: {notice} has no effect any more\n" if notice else ""
    assert err == expected


def test_a_generated_name_is_as_good_as_a_given_one(
    where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = ["--task-name", shown(capsys, "addtask", *where, "--payload", "x")["id"]]
    (leased,) = shown(capsys, "leasetask", *where, "--lease-secs", "60")["items"]
    longer = shown(capsys, "modifytask", *where, *name, "--lease-secs", "600")
    assert int(longer["leaseTimestamp"]) > int(leased["leaseTimestamp"])
    stamp = ["--lease-timestamp", longer["leaseTimestamp"]]
    assert shown(capsys, "modifytask", *where, *name, "--lease-secs=0", *stamp)["id"] == name[1]
    assert len(shown(capsys, "leasetask", *where, "--lease-secs", "60")["items"]) == 1
    assert run(capsys, "deletetask", *where, *name) == (0, "", "")


def test_a_countdown(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    task = shown(capsys, "addtask", *where, "--payload", "x", "--countdown", "900")
    assert int(task["leaseTimestamp"]) > int(task["enqueueTimestamp"]) + 890_000_000
    assert "items" not in shown(capsys, "leasetask", *where, "--lease-secs", "60")


def test_dead_letters_of_a_pull_queue(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = TaskRetryOptions(task_retry_limit=0)
    Queue("pull").add([Task("x", method="PULL", name=name, retry_options=limit) for name in "ab"])
    assert Queue("pull").lease_tasks(60, 10) == []
    dead = shown(capsys, "deadletters", *PULL)["items"]
    assert [(each["id"], "payloadBase64" in each) for each in dead] == [("a", False), ("b", False)]
    assert all("as often as task_retry_limit allows" in each["reason"] for each in dead)
    assert shown(capsys, "gettask", *PULL, "--task-name=a")["payloadBase64"] == "eA=="
    assert run(capsys, "deletetask", *PULL, "--task-name=a") == (0, "", "")
    assert shown(capsys, "retry", *PULL) == {"retried": 1}


def test_clear(
    where: list[str], service: TaskQueueService, capsys: pytest.CaptureFixture[str]
) -> None:
    Queue("pull").add([Task(b"x", method="PULL") for _ in range(5)])
    assert shown(capsys, "clear", *where, "--max-delete", "3") == {"deleted": 3}
    assert shown(capsys, "clear", *where) == {"deleted": 2}


def test_payloads_from_files(
    where: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "payload").write_bytes(bytes(range(256)))
    task = shown(capsys, "addtask", *where, "--payload-file", "payload")
    assert task["payloadBase64"].startswith("AAECAwQF")
    status, _, err = run(capsys, "addtask", *where, "--payload-file", "never")
    assert (status, err) == (2, "taskqueue: cannot read never: No such file or directory\n")


def test_push_tasks_and_dead_letters(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", "sqlite:///q.db"]
    task = shown(capsys, "addtask", *store, "--url", "/w", "--payload", "x", "--task-name", "one")
    assert (task["url"], task["method"]) == ("/w", "POST")
    retry = TaskRetryOptions(task_retry_limit=0)
    Queue().add(Task(url="/w", name="two", retry_options=retry))
    for claimed in service.leasing.claim(service.definition("default"), service.now(), 60, 10):
        dead = Outcome(claimed, Verdict.DEAD, status=500, reason="the handler answered 500")
        service.leasing.settle([dead], service.now())
    items = shown(capsys, "deadletters", *store)["items"]
    assert {(i["id"], i["status"], i["reason"]) for i in items} == {
        ("one", 500, "the handler answered 500"),
        ("two", 500, "the handler answered 500"),
    }
    assert all(int(item["deadTimestamp"]) > 0 for item in items)
    assert shown(capsys, "retry", *store, "--task-name", "one")["id"] == "one"
    status, _, err = run(capsys, "retry", *store, "--task-name", "one")
    assert status == 1
    assert "no dead letter 'one': see `taskqueue deadletters --taskqueue-name=default`" in err
    assert shown(capsys, "retry", *store) == {"retried": 1}
    assert "items" not in shown(capsys, "deadletters", *store)


PULL = ["--store", "sqlite:///q.db", "--taskqueue-name", "pull"]
HOST = ["--api-host", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["getqueue"], "no store was given: give --store sqlite:///FILE (or DFPIPE_STORE)"),
        (["getqueue", *PULL, *HOST], "--store and --api-host are both given: give one of them"),
        (["getqueue", "--api-host", "h:1"], "--api-host h:1: give http://HOST:PORT or https"),
        (["getqueue", "--store", "x:/y"], "'x:/y' is not the URL of a store; expected sqlite"),
        (["getqueue", *PULL, "--queue-yaml", "never"], "cannot read never: No such file"),
        (["addtask", *PULL, "--payload=a", "--payload-file=b"], "--payload and --payload-file are"),
        (["addtask", *HOST, "--url=/w"], "the REST API adds pull tasks only; remove --url"),
        (["getqueue", *PULL, "--get-stats=x"], "--get-stats=x: expected true or false"),
        (["getqueue", *PULL, "--s=x"], "No such option '--s'"),
        (["puller", *PULL, "--unknown=5", "--executable-binary=cat"], "No such option '--unknown'"),
        (
            ["puller", *PULL, "--sleep_interval_secs=5", "--executable-binary=/never"],
            "cannot find the program '/never'",
        ),
        (["deadletters", *HOST], "the REST API cannot do this: give --store"),
        (["leasetask", *PULL], "Missing option '--lease-secs'"),
        (["gettask", *PULL], "Missing option '--task-name'"),
        (["never"], "No such command 'never'"),
        (["dispatch", *PULL[:2]], "Missing option '--target'"),
        (["dispatch", *PULL[:2], "--target", "h"], "--target h: give http://HOST:PORT, or NAME="),
        (
            ["dispatch", *PULL[:2], "--queue-yaml=queue.yaml", "--target=http://h"],
            "queue 'default' has the target 'web': give --target web=URL",
        ),
        (
            ["serve", *PULL[:2]],
            "choose who may call: give one of --token-file, --audience and --no-auth",
        ),
        (["serve", *PULL[:2], "--token-file", "never"], "cannot read never: No such file"),
        (["puller", *PULL], "give the program either at the end or with --executable-binary"),
        (
            ["puller", *PULL, "--min-running-tasks=5", "--num-tasks=4", "cat"],
            "--min-running-tasks 5 is more than --num-tasks 4",
        ),
        (["puller", *PULL, "--executable-binary='x"], "--executable-binary 'x: No closing quota"),
        (["puller", *PULL, "./never"], "cannot find the program './never': give its path"),
        (["puller", *PULL, "--output-url=x", "cat"], "--output-url x: give http://HOST/PATH or"),
        (["puller", *PULL, "--lease-secs=nan", "cat"], "Invalid value for '--lease-secs': 'nan'"),
        (["puller", *PULL, "--lease-secs=inf", "cat"], "Invalid value for '--lease-secs': inf is"),
        (["dispatch", *PULL[:2], "--grace-secs=inf"], "Invalid value for '--grace-secs': inf is"),
        (["dispatch", *PULL[:2], "--metrics-port=65536"], "Invalid value for '--metrics-port'"),
        (["dispatch", *PULL[:2], "--target=http://["], "--target http://[: give http://HOST:PORT"),
        (["dispatch", *PULL[:2], "--target=http://h:99999"], "--target http://h:99999: give http"),
        (
            ["dispatch", *PULL[:2], "--target=a=http://h", "--target=a=http://i"],
            "--target a is given twice: give each name once",
        ),
        (["getqueue", "--api-host", "http://["], "--api-host http://[: give http://HOST:PORT or"),
    ],
)
def test_wrong_words(
    service: TaskQueueService,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    message: str,
) -> None:
    status, out, err = run(capsys, *argv)
    *notices, line = err.splitlines()
    assert (status, out) == (2, "")
    assert line.startswith(f"taskqueue: {message}")
    assert all("has no effect any more" in notice for notice in notices)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["getqueue", *PULL[:2], "--taskqueue-name=never"], "queue 'never' is not defined in"),
        (["leasetask", *PULL[:2], "--lease-secs=1"], "queue 'default' is a push queue"),
        (["leasetask", *PULL, "--lease-secs=604801"], "lease_seconds is 604801: give 0 to 604800"),
        (["leasetask", *PULL, "--lease-secs=1", "--num-tasks=1001"], "max_tasks is 1001: give 1"),
        (["puller", *PULL[:2], "cat"], "queue 'default' is a push queue"),
        (["addtask", *PULL, "--url=/w"], "queue 'pull' takes pull tasks only"),
        (["getqueue", *HOST], "http://127.0.0.1:1/taskqueue/v1beta2/projects/default/taskqueues"),
        (["puller", *HOST, "cat"], "http://127.0.0.1:1/taskqueue/v1beta2/projects/default"),
        (
            ["addtask", "--store=sqlite:///never/q.db", "--url=/w"],
            "never/q.db: it cannot be opened or created",
        ),
    ],
)
def test_what_fails(
    service: TaskQueueService,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    message: str,
) -> None:
    status, out, err = run(capsys, *argv)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"taskqueue: {message}")


def test_a_secret_that_is_too_short(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFPIPE_TASK_TOKEN", "short")
    status, _, err = run(capsys, "dispatch", *PULL[:2], "--target", "http://h")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("taskqueue: DFPIPE_TASK_TOKEN has 5 characters: give at least 16")


def test_a_port_that_is_taken(
    service: TaskQueueService, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        argv = ["--target", "http://h", "--target", "web=http://h", "--metrics-port", port]
        status, _, err = run(capsys, "dispatch", *PULL[:2], *argv, "--log-level", "ERROR")
    message = f"taskqueue: --metrics-port {port} cannot be used: Address already in use\n"
    assert (status, err) == (2, message)


def test_doctests() -> None:
    for module in (services, fields, pacing, puller):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


def test_who_may_not_call(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["getqueue", "--api-host", endpoint, "--taskqueue-name", "pull"]
    status, _, err = run(capsys, *argv)
    assert (status, err) == (
        1,
        "taskqueue: the request has no valid token: send Authorization: Bearer TOKEN\n",
    )


def test_an_endpoint_of_something_else(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["getqueue", "--api-host", endpoint, "--service-version", "v9"]
    status, _, err = run(capsys, *argv)
    assert status == 1
    assert "was not found" in err


def test_a_traceback_on_demand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "--verbose", "getqueue")
    assert "Traceback" in err
    assert err.endswith("or --api-host\n")


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in main.taskqueue.all_commands():
        status, out, _ = run(capsys, name, "--help")
        assert status == 0
        assert out.startswith(f"Usage: taskqueue {name} [OPTIONS]")


@pytest.mark.parametrize(
    "argv",
    [
        ["getqueue"],
        ["listtasks"],
        ["gettask", "--task-name=one"],
        ["leasetask", "--lease-secs=1"],
        ["modifytask", "--task-name=one", "--lease-secs=1"],
        ["deletetask", "--task-name=one"],
        ["clear"],
        ["deadletters"],
        ["retry", "--task-name=one"],
        ["puller", "cat"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_store_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    status, out, err = run(capsys, argv[0], "--store=sqlite:///typo.db", *argv[1:])
    assert (status, out) == (2, "")
    assert err == "taskqueue: typo.db does not exist: check the path\n"
    assert not (folder / "typo.db").exists()
    assert run(capsys, "addtask", "--store=sqlite:///typo.db", "--url=/w")[0] == 0
    assert run(capsys, "getqueue", "--store=sqlite:///typo.db")[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_dispatcher_ends_at_a_signal(folder: Path, number: int) -> None:
    argv = ["dispatch", "--store=sqlite:///q.db", "--target=http://127.0.0.1:1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "taskqueue", *argv],
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"PYTHONPATH": str(Path(__file__).parents[4])}),
    )
    assert process.stderr is not None
    line = json.loads(process.stderr.readline())
    assert line["logger"] == "taskqueue.push.dispatcher"
    process.send_signal(number)
    assert process.wait(20) == 0
