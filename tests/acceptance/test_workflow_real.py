"""The old guide's workflows and random ones, by a real dispatcher and real handlers."""

import email.policy
import functools
import http.server
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support import workflow_stages as stages
from tests.support.processes import free_port, process, wait_until
from tests.support.workflow_processes import LONG, Servers, mortals
from tests.support.workflow_trees import Tree, evaluate, outputs_of, stage_of, trees
from workflow import Pipeline
from workflow.errors import PipelineExistsError
from workflow.web.status import get_status_tree

AT_ONCE = "This would happen immediately on run"
AFTER_FIRST = "This would happen after the first message"
PAGES = {"one.txt": "storm over the harbour", "two.txt": "cup final", "three.txt": ""}


class Mails:
    """A mail server's handler that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message: EmailMessage = BytesParser(policy=email.policy.default).parsebytes(
            envelope.content
        )
        self.mails.append((str(message["Subject"]), str(message.get_content()).strip()))
        return "250 OK"


@pytest.fixture(scope="module")
def mails() -> Iterator[Mails]:
    handler = Mails()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    controller.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGES_SMTP", f"smtp://127.0.0.1:{controller.port}")
        yield handler
    controller.stop()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    for name, text in PAGES.items():
        (folder / name).write_text(text)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Run:
    """Runs workflows to their ends, and knows what they have logged."""

    def __init__(self, servers: Servers | None, log: Path) -> None:
        self.servers = servers
        self.log = log

    def outputs(self, stage: Pipeline) -> dict[str, Any]:
        if self.servers is None:
            stage.start_test()
            return {slot.name: slot.value for slot in stage.outputs}
        stage.start()
        (outputs,) = self.servers.outputs(stage)
        found = get_status_tree(str(stage.pipeline_id))
        wait_until(lambda: self._is_done(stage), LONG)
        assert {slot["status"] for slot in found["slots"].values()} == {"filled"}
        return outputs

    def _is_done(self, stage: Pipeline) -> bool:
        found = get_status_tree(str(stage.pipeline_id))
        return {about["status"] for about in found["pipelines"].values()} == {"done"}

    def lines(self) -> list[str]:
        """What was logged since the last call, each once: a stage may run twice."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return list(dict.fromkeys(lines))


@pytest.fixture(scope="module", params=["embedded", "emulator", "test-mode"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mails: Mails
) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    log = folder / "log.txt"
    log.touch()
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "test-mode":
            patch.setenv("STAGES_LOG", str(log))
            yield Run(None, log)
            return
        store = f"sqlite:///{folder}/store.db"
        if request.param == "emulator":
            emulator = request.getfixturevalue("datastore_emulator")
            emulator.reset()
            patch.setenv("DATASTORE_EMULATOR_HOST", emulator.host)
            store = "datastore://dfpipe-test"
        servers = Servers(folder, store, {"STAGES_LOG": str(log)})
        with servers.running():
            yield Run(servers, log)
        servers.close()


def test_add_one(run: Run) -> None:
    assert run.outputs(stages.AddOne(15)) == {"default": 16}


def test_add_two(run: Run) -> None:
    assert run.outputs(stages.AddTwo(15)) == {"default": 17}


def test_log_message(run: Run) -> None:
    run.lines()
    assert run.outputs(stages.AddTwoAndLog(15)) == {"default": None}
    assert run.lines() == ["The value is: 17"]


@pytest.mark.parametrize(("a", "b", "gcd"), [(1071, 462, 21), (462, 1071, 21), (1071, 463, 1)])
def test_euclid(run: Run, a: int, b: int, gcd: int) -> None:
    assert run.outputs(stages.EuclidGCD(a, b)) == {"default": None, "gcd": gcd}


def test_multiply_and_email(run: Run, mails: Mails) -> None:
    stage = stages.MultiplyAndEmail(6, 7)
    assert run.outputs(stage) == {"default": 42}
    assert (f"Result of pipeline ID {stage.pipeline_id}", "6 * 7 = 42") in mails.mails


def test_delay(run: Run) -> None:
    assert run.outputs(stages.Delay(seconds=0.2)) == {"default": 0.2}


def test_log_wait_log_after(run: Run) -> None:
    run.lines()
    run.outputs(stages.LogWaitLogAfter("first", "second", 0.5))
    found = run.lines()
    assert sorted(found) == sorted(["first", "second", AT_ONCE, AFTER_FIRST])
    assert found.index("first") < found.index("second")
    assert found.index("first") < found.index(AFTER_FIRST)


def test_log_wait_log_in_order(run: Run) -> None:
    run.lines()
    run.outputs(stages.LogWaitLogInOrder("first", "second", 0.5))
    found = run.lines()
    assert sorted(found) == sorted(["first", "second", AT_ONCE])
    assert found.index("first") < found.index("second")


def test_my_search_engine(run: Run, web: str) -> None:
    urls = [f"{web}/{name}" for name in PAGES]
    assert run.outputs(stages.MySearchEnginePipeline(*urls)) == {"default": 6}


def test_a_hundred_stages_at_once(run: Run) -> None:
    assert run.outputs(stages.Many(100)) == {"default": 5050}


def test_a_key_is_used_once(run: Run) -> None:
    if run.servers is None:
        return
    stage = stages.AddOne(1)
    stage.start(idempotence_key="only-once")
    with pytest.raises(PipelineExistsError):
        stages.AddOne(1).start(idempotence_key="only-once")
    assert run.servers.outputs(stage) == [{"default": 2}]


# Random workflows, while all that runs them is killed


def random_trees(number: int) -> list[Tree]:
    """Random trees of stages, the same ones each time."""
    found: list[Tree] = []

    @seed(4)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(trees())
    def collect(tree: Tree) -> None:
        found.append(tree)

    collect()
    return found


def check_kills(folder: Path, store: str, number: int, kills: int) -> None:
    """So many workflows, while each process is killed so many times, give what they must."""
    servers = Servers(folder, store)
    some = random_trees(number)
    started = [stage_of(tree) for tree in some]
    dispatchers = [servers.dispatch("--lease-secs", "2") for _ in range(2)]
    argv = [servers.gunicorn(), *dispatchers]
    with mortals(*argv, env=servers.env, kills=kills, seed=4) as processes:
        for wave in range(3):
            # So processes are killed while there are workflows, however fast these run.
            least = wave * kills
            wait_until(lambda least=least: sum(p.kills for p in processes) >= least, LONG)
            for stage in started[wave::3]:
                stage.start()
        outputs = servers.outputs(*started)
    for tree, found in zip(some, outputs, strict=True):
        expected = evaluate(tree, [])
        assert found == {name: expected[name] for name in outputs_of(tree)}
    servers.close()


def test_random_workflows_while_processes_are_killed(tmp_path: Path) -> None:
    check_kills(tmp_path, f"sqlite:///{tmp_path}/store.db", number=24, kills=2)


def test_random_workflows_on_the_emulator_while_processes_are_killed(
    tmp_path: Path, emulator_url: str
) -> None:
    check_kills(tmp_path, emulator_url, number=9, kills=1)


# Stages that end their own process


def test_stages_that_kill_their_process(tmp_path: Path) -> None:
    """Each is given up after its attempts; stages that ran beside it are not charged."""
    servers = Servers(tmp_path, f"sqlite:///{tmp_path}/store.db")
    logs = [tmp_path / name for name in ("run.txt", "end.txt")]
    killers = [stages.Kills(str(logs[0])), stages.KillsAtTheEnd(str(logs[1]))]
    others = [stages.Slow(1).with_params(max_attempts=2) for _ in range(6)]
    # One process, so that they meet.
    command = [word if word != "2" else "1" for word in servers.gunicorn()]
    with process(*command, env=servers.env):
        wait_until(servers.is_up, LONG)
        for stage in [*others, *killers]:
            stage.with_params(backoff_seconds=0.1).start()
        with process(*servers.dispatch("--lease-secs", "20"), env=servers.env):
            assert servers.outputs(*others) == [{"default": 1}] * 6
            wait_until(lambda: all(servers.is_over(stage) for stage in killers), LONG)
    assert [len(log.read_text().splitlines()) for log in logs] == [3, 3]
    run, end = (get_status_tree(str(stage.pipeline_id))["pipelines"] for stage in killers)
    (about,) = run.values()
    assert about["abortMessage"].startswith("Aborting after 3 attempts: its process ended")
    (about,) = end.values()
    assert about["status"] == "done"
    assert "finalized() failed, attempt 3 of 3: its process ended" in about["lastRetryMessage"]
    servers.close()
