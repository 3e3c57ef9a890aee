"""The command `workflow`: what it prints, stores and refuses."""

import csv
import doctest
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taskqueue
import workflow
from taskqueue import TaskQueueService
from tests.support.command import environment
from tests.support.processes import ROOT, free_port, process, wait_until
from tests.support.workflow_stages import AddTwo
from workflow import settings
from workflow.cli import main, tree
from workflow.cli import options as cli_options
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner
from workflow.web.status import get_status_tree

STAGES = "tests.support.workflow_stages"
TOKEN = "token-of-the-cli-tests"
VARIABLES = (
    *(
        "DFPIPE_STORE",
        "TASKQUEUE_STORE",
        "WORKFLOW_MODULES",
        "WORKFLOW_QUEUE_YAML",
        "DFPIPE_MAIL_URL",
    ),
    *("DFPIPE_TASK_TOKEN", "DFPIPE_TASK_AUDIENCE", "DFPIPE_TASK_SERVICE_ACCOUNTS"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    workflow.bind(None)
    taskqueue.bind(None)


class Command:
    """The command in this process, on one store."""

    store = "sqlite:///w.db"

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str, status: int = 0) -> str:
        """What it prints, or where it fails what it says."""
        with pytest.raises(SystemExit) as end:
            main.main(argv)
        printed = self._capsys.readouterr()
        assert end.value.code == status, printed
        if status == 0:
            assert printed.err == ""
            return printed.out
        return printed.err or printed.out

    def on_store(self, *argv: str, status: int = 0) -> str:
        return self(argv[0], "--store", self.store, *argv[1:], status=status)

    def refusal(self, *argv: str, status: int = 2) -> str:
        """The one line in which it says what is wrong."""
        (line,) = self(*argv, status=status).splitlines()
        return line.removeprefix("workflow: ")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def work() -> None:
    """Do what is due in the store's queues."""
    engine = Engine(TaskQueueService(Command.store))
    workflow.bind(engine)
    taskqueue.bind(engine.service)
    runner = LocalRunner(engine)
    while runner.step():
        pass


# run


def test_run_prints_stages_as_they_change(command: Command) -> None:
    lines = command("run", f"{STAGES}.AddTwo", "15").splitlines()
    last = {line.split(maxsplit=1)[1]: line.split()[0] for line in lines}
    assert last[f"{STAGES}.AddTwo(15) = 17"] == "done"
    assert last[f"{STAGES}.AddOne(15) = 16"] == "done"
    assert last[f"{STAGES}.AddOne(16) = 17"] == "done"


def test_a_quiet_run_prints_the_stages_once(command: Command) -> None:
    assert (
        command("run", f"{STAGES}.AddOne", "1", "--quiet") == f"done       {STAGES}.AddOne(1) = 2\n"
    )


def test_run_takes_json_and_texts(command: Command) -> None:
    found = command("run", "workflow.common.List", "[1, 2]", "anna", '"15"', "null")
    assert '= [[1,2],"anna","15",null]' in found
    assert "= 3" in command("run", "workflow.common.Negate", "--", "-3")
    found = command("run", "workflow.common.Dict", "--kwargs", '{"a": [1]}')
    assert '(a=[1]) = {"a":[1]}' in found


def test_run_waits_and_calls_back(command: Command) -> None:
    found = command("run", f"{STAGES}.LogWaitLogInOrder", "one", "two", "0.3")
    assert "Delay(seconds=0.3) = 0.3" in found


def test_run_ends_when_all_stages_are_over(command: Command) -> None:
    printed = command("run", f"{STAGES}.LeavesBelow")
    assert f"done           {STAGES}.AtSecond(1) = 1" in printed


def test_run_of_an_aborted_workflow_fails(command: Command) -> None:
    found = command("run", "workflow.common.AbortIfTrue", "true", "enough", status=1)
    assert found.splitlines()[-1].startswith("aborted")
    assert found.rstrip().endswith("enough")


def test_run_tells_what_waits_for_ever(command: Command) -> None:
    line = command("run", f"{STAGES}.Waits", status=1).splitlines()[-1]
    assert line.endswith("waits for something outside this process")


def test_run_keeps_a_store_that_is_given(command: Command) -> None:
    command.on_store("run", f"{STAGES}.AddTwo", "15")
    assert f"{STAGES}.AddTwo" in command.on_store("list")
    command.on_store("start", f"{STAGES}.AddTwo", "15")
    found = command.on_store("run", f"{STAGES}.AddTwo", "15", status=2)
    assert found == (
        "workflow: the queues of sqlite:///w.db hold tasks: "
        "give an empty store, or leave out --store. "
        "`workflow serve` and `taskqueue dispatch` handle the tasks that are there\n"
    )


@pytest.mark.parametrize("variable", ["DFPIPE_STORE", "TASKQUEUE_STORE"])
def test_run_does_not_use_the_store_of_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch, folder: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, f"sqlite:///{folder}/others.db")
    command("run", f"{STAGES}.AddOne", "1")
    assert not (folder / "others.db").exists()


@pytest.mark.parametrize(("no_color", "is_colored"), [("", True), ("1", False)])
def test_run_draws_the_tree_on_a_terminal(no_color: str, is_colored: bool) -> None:
    parent, child = pty.openpty()
    words = [sys.executable, "-m", "workflow", "run", f"{STAGES}.Many", "30"]
    env = environment({"TERM": "xterm", "COLUMNS": "120", "NO_COLOR": no_color})
    with subprocess.Popen(words, stdout=child, stderr=child, cwd=ROOT, env=env) as running:
        os.close(child)
        shown = b""
        while select.select([parent], [], [], 120)[0]:
            try:
                shown += os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
    os.close(parent)
    assert running.returncode == 0
    assert b"Many(30) = 465" in shown
    assert b"11 more: 11 done" in shown
    assert (b"\x1b[32m" in shown) is is_colored


# On a store


def test_start_list_and_show(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.AddTwo", "15").strip()
    listed = command.on_store("list", "--format", "csv")
    assert re.fullmatch(rf"started,status,id,class,message\n\S+Z,waiting,{root},\S+Two,\n", listed)
    assert root in command.on_store("list")
    work()
    assert command.on_store("show", root) == (
        f"done       {STAGES}.AddTwo(15) = 17\n"
        f"done         {STAGES}.AddOne(15) = 16\n"
        f"done         {STAGES}.AddOne(16) = 17\n"
    )
    assert command.on_store("show", root, "--format=csv").splitlines()[:2] == [
        "pipeline_id,depth,status,text",
        f"{root},0,done,{STAGES}.AddTwo(15) = 17",
    ]
    assert json.loads(command.on_store("show", root, "--json"))["rootPipelineId"] == root
    (listed,) = json.loads(command.on_store("list", "--json"))["pipelines"]
    assert listed["pipelineId"] == root
    assert listed["status"] == "done"
    message = "there is no workflow with a stage 'x'"
    assert message in command.on_store("show", "x", status=1)


def test_one_failure_among_many_is_named(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.FailsAt", "60", "40", "--id", "wide").strip()
    work()
    (row,) = csv.DictReader(command.on_store("list", "--format=csv").splitlines())
    assert row["message"] == f"{STAGES}.Fails: ValueError: it is broken"
    assert "ValueError" in command.on_store("list")
    shown = command.on_store("show", root, "--children=2").splitlines()
    (failed,) = [line for line in shown if f"{STAGES}.Fails(" in line]
    assert failed.startswith("aborted      ")
    assert re.fullmatch(rf"first failure: {STAGES}.Fails \w{{32}}", shown[-2])
    assert shown[-1] == "  ValueError: it is broken"


def test_list_goes_on_and_filters(command: Command) -> None:
    for number in range(3):
        command.on_store("start", f"{STAGES}.AddOne", str(number), "--id", f"one-{number}")
    command.on_store("start", "workflow.common.Ignore", "--id", "other")
    first = command.on_store("list", "--class", f"{STAGES}.AddOne", "--limit", "2")
    assert "one-2" in first
    assert "one-0" not in first
    cursor = first.splitlines()[-1].removeprefix("more: --cursor ")
    rest = command.on_store("list", "--class", f"{STAGES}.AddOne", "--cursor", cursor)
    assert "one-0" in rest
    assert "more" not in rest


def test_start_takes_an_id_once(command: Command) -> None:
    assert command.on_store("start", f"{STAGES}.AddOne", "1", "--id", "mine") == "mine\n"
    found = command.on_store("start", f"{STAGES}.AddOne", "1", "--id", "mine", status=1)
    assert "'mine' was started before" in found


def test_abort_and_rerun(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.AddOne", "1").strip()
    assert command.on_store("abort", root, "--message", "enough") == (
        f"workflow {root} is being aborted\n"
    )
    assert "aborted already" in command.on_store("abort", root, status=1)
    work()
    assert command.on_store("show", root).startswith("aborted")
    again = command.on_store("rerun", root).strip()
    work()
    assert command.on_store("show", again) == f"done       {STAGES}.AddOne(1) = 2\n"


def test_retry_of_a_stage_that_waits_for_its_next_attempt(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.Fails").strip()
    work()
    assert "[attempt 2 of 3]  ValueError: it is broken" in command.on_store("show", root)
    assert command.on_store("retry", root) == f"stage {root} is tried again\n"
    work()
    assert "[attempt 3 of 3]" in command.on_store("show", root)


def test_cleanup_asks_and_wants_the_end(
    command: Command, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    root = command.on_store("start", f"{STAGES}.AddOne", "1").strip()
    assert "the workflow is not over" in command.on_store("cleanup", root, "--yes", status=1)
    work()
    (folder / "no").write_text("n\n")
    with (folder / "no").open() as answer:
        monkeypatch.setattr("sys.stdin", answer)
        assert "nothing was deleted" in command.on_store("cleanup", root, status=2)
    command.on_store("cleanup", root, "--yes")
    work()
    assert command.on_store("list") == ""


def test_reap_prints_what_it_did(command: Command) -> None:
    command.on_store("start", f"{STAGES}.AddOne", "1")
    assert json.loads(command.on_store("reap")) == {}
    service = TaskQueueService(Command.store)
    service.store.purge("default", service.now())
    assert json.loads(command.on_store("reap")) == {"resumed": 1}


# What is refused

HERE = ["--store", "sqlite:///w.db"]
TYPO = ["--store", "sqlite:///typo.db"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["list"], "no store: give --store, or set DFPIPE_STORE"),
        (["list", *TYPO], "typo.db does not exist: check the path"),
        (["reap", *TYPO], "typo.db does not exist: check the path"),
        *(
            ([name, "x", *TYPO], "typo.db does not exist: check the path")
            for name in ("show", "abort", "retry", "rerun", "cleanup")
        ),
        (["run", "Nothing"], "Nothing cannot be imported: it has no module: give the MODULE.CLASS"),
        (["run", "nowhere.Nothing"], "cannot be imported: No module named 'nowhere'"),
        (["run", "workflow.common.Nix"], "workflow.common has no stage Nix"),
        (["run", "workflow.common.Sum"], "does not take these arguments: Sum takes at least"),
        (["run", "workflow.common.Sum", "1", "--kwargs", "[]"], "--kwargs '[]' is not an object"),
        (["run", "workflow.common.Sum", "1", "--kwargs", "{"], "--kwargs '{' is not JSON"),
        (["run", "workflow.common.Sum", "1", "--queue-name", "x"], "queue 'x' is not defined"),
        (["run", "workflow.common.Sum", "1", "--queue-yaml", "none.yaml"], "none.yaml"),
        (["serve", "--module", "nowhere", "--store", "sqlite:///w.db"], "cannot import module"),
        (["serve", "--store", "sqlite:///w.db"], "nobody can log in: set DFPIPE_TASK_TOKEN"),
        (["start", f"{STAGES}.Picky", "x", *HERE], "these arguments: 'x' is no number"),
        (
            ["start", "workflow.common.Return", "--countdown", "inf", *HERE],
            "convert float infinity",
        ),
        (["nothing"], "No such command 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line(command: Command, argv: list[str], message: str) -> None:
    status = 1 if {"--queue-name", "--countdown"} & {*argv} else 2
    assert message in command.refusal(*argv, status=status)
    assert not Path("typo.db").exists()


def test_verbose_adds_the_traceback(command: Command) -> None:
    assert "Traceback" in command("--verbose", "list", status=2)


# serve and settings


def test_serve_answers_tasks_and_people(folder: Path) -> None:
    port = free_port()
    env = environment({"DFPIPE_TASK_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)})
    argv = ["-m", "workflow", "serve", "--store", f"sqlite:///{folder}/w.db", "--port", str(port)]
    argv += ["--module", STAGES, "--workers", "1", "--log-level", "ERROR"]
    url = f"http://127.0.0.1:{port}/_ah/pipeline/rpc/class_paths"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})

    def names() -> Any:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["classPaths"]
        except OSError:
            return []

    with process(*argv, env=env, cwd=folder) as server:
        wait_until(lambda: f"{STAGES}.AddTwo" in names())
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def test_settings_are_read_in_one_place() -> None:
    found = settings.read_settings(
        {
            "TASKQUEUE_STORE": "sqlite:///w.db",
            "WORKFLOW_QUEUE_YAML": "queue.yaml",
            "WORKFLOW_MODULES": "one, two",
            "DFPIPE_TASK_TOKEN": TOKEN,
        }
    )
    assert (found.store, found.queue_yaml) == ("sqlite:///w.db", "queue.yaml")
    assert found.modules == ("one", "two")
    assert found.auth.token == TOKEN
    assert found.mail is None


# Trees


def test_a_long_tree_is_cut(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.Many", "50").strip()
    work()
    found = command.on_store("show", root, "--children", "2").splitlines()
    assert len(found) == 4
    assert found[-1].strip() == "49 more: 49 done"


def test_a_deep_tree_has_lines(command: Command) -> None:
    root = command.on_store("start", f"{STAGES}.Tail", "40").strip()
    work()
    lines = list(tree.lines(get_status_tree(root)))
    assert [line.depth for line in lines] == list(range(41))


def test_stages_of_the_current_folder_are_found(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from workflow import Pipeline\n\n\nclass Two(Pipeline):\n    def run(self):\n"
        "        return 2\n"
    )
    script = Path(sys.executable).with_name("workflow")
    done = subprocess.run(
        [script, "run", "mine.Two"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("done       mine.Two() = 2\n", 0)


def test_the_benchmark_prints_a_row_for_each_workflow() -> None:
    argv = ["--how", "local", "--sizes", "5", "--depth", "3"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "workflow.py", *argv],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row.split("|")[2:4] for row in done.stdout.splitlines()[2:]] == [
        [" fan-out and fan-in ", " 7 "],
        [" recursion ", " 7 "],
        [" tail recursion ", " 4 "],
    ]


def test_doctests() -> None:
    for module in (cli_options, tree):
        assert doctest.testmod(module).failed == 0
    assert AddTwo.class_path == f"{STAGES}.AddTwo"
