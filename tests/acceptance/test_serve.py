"""`dfpipe serve`: the whole system as real processes, and what becomes of them."""

import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from dfpipe import datastore
from tests.support.command import dfpipe
from tests.support.processes import ROOT, wait_until
from tests.support.serving import SECONDS, Serving, free_ports, running

WORDS = ("storm over the harbour", "the storm goes on", "ferries wait for the storm")


def post(number: int, text: str) -> dict[str, object]:
    when = datetime.now(UTC) - timedelta(hours=1)
    return {"tid": number, "user": "anna", "text": text, "created_at": f"{when:%Y-%m-%dT%H:%M:%SZ}"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A system with three posts, started once for the tests of this file."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "data").mkdir()
    posts = folder / "posts.jsonl"
    posts.write_text("".join(f"{json.dumps(post(i, text))}\n" for i, text in enumerate(WORDS, 1)))
    store = f"sqlite:///{folder / 'data' / 'posts.db'}"
    assert dfpipe("import", str(posts), "--store", store).returncode == 0
    serving = Serving(folder)
    try:
        serving.wait_for("/healthz")
        serving.wait_for("/status")
        # The clock's own first run; none of its calls comes in the middle of a test.
        serving.wait(lambda: any("GET /launchpipeline 202" in line for line in list(serving.lines)))
        yield serving
    finally:
        serving.kill()


def test_what_it_prints_first(system: Serving) -> None:
    shown = "\n".join(system.lines)
    assert f"http://127.0.0.1:{system.port}/," in shown
    assert f"http://127.0.0.1:{system.port + 1}/status" in shown
    assert "/launchpipeline" in shown
    for name in ("task", "ingest"):
        assert system.token(name) not in shown
        assert (system.folder / "data" / f"{name}-token").stat().st_mode & 0o077 == 0


def test_who_has_no_proof_starts_nothing(system: Serving) -> None:
    before = {run["id"] for run in system.get("/api/executions")["executions"]}
    forged = {"X-Appengine-Cron": "true"}
    assert system.call("/launchpipeline", token="") == (403, "")
    assert system.call("/launchpipeline", token="", headers=forged) == (403, "")
    assert system.call("/launchpipeline", token="ingest") == (403, "")
    assert {run["id"] for run in system.get("/api/executions")["executions"]} == before


def test_a_pushed_post_is_stored(system: Serving) -> None:
    pushed = post(77, "pushed to the system")
    assert system.call("/ingest", body=pushed, token="ingest") == (202, {"taken": 1, "errors": []})
    client = datastore.connect(f"sqlite:///{system.folder / 'data' / 'posts.db'}")
    try:
        system.wait(lambda: client.get(client.key("Tweet", 77)) is not None)
    finally:
        client.close()


def test_a_killed_process_is_started_again(system: Serving) -> None:
    found = re.compile(rf"collector .* Listening at: http://127.0.0.1:{system.port + 1} \((\d+)\)")

    def pids() -> list[int]:
        return [int(match[1]) for line in list(system.lines) if (match := found.search(line))]

    system.wait(lambda: bool(pids()))
    os.kill(pids()[-1], signal.SIGKILL)
    system.wait(lambda: any("ended with -9: restarting" in line for line in list(system.lines)))
    system.wait(lambda: len(pids()) > 1)
    system.wait_for("/status")


@pytest.mark.parametrize("is_same_folder", [False, True])
def test_another_on_the_same_port_or_in_the_same_folder_is_refused(
    system: Serving, is_same_folder: bool
) -> None:
    argv = ["--folder=data"] if is_same_folder else ["--folder=other", f"--port={system.port}"]
    done = dfpipe("serve", *argv, cwd=system.folder)
    assert done.returncode == 2
    assert done.stdout == ""
    if is_same_folder:
        line = "another `dfpipe serve` uses the folder data: stop it, or name another with --folder"
    else:
        line = f"cannot listen on port {system.port} of 127.0.0.1: "
    assert done.stderr.startswith(f"dfpipe: {line}")
    assert done.stderr.count("\n") == 1


def test_a_service_that_refuses_its_files_ends_the_system(tmp_path: Path) -> None:
    for name in ("queue.yaml", "cron.yaml", "dispatch.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "chains.yaml").write_text("chains:\n- name: A\n")
    done = dfpipe("serve", f"--config={tmp_path}", f"--port={free_ports()}", cwd=tmp_path)
    assert done.returncode == 2
    assert "chains.yaml:2: chains[0].name: 'A': expected up to 40 of a-z" in done.stdout
    assert done.stderr == "dfpipe: launcher cannot start: correct what its line above says\n"


def wrappers(system: Serving, run_id: str) -> list[psutil.Process]:
    """The processes around an execution's local jobs, whoever has started them."""
    jobs = system.folder / "data" / "jobs"
    return [psutil.Process(int(file.read_text())) for file in jobs.glob(f"{run_id}-*/pid")]


def processes(jobs: list[psutil.Process]) -> list[psutil.Process]:
    return [*jobs, *(child for job in jobs for child in job.children())]


def test_killed_it_leaves_nothing_but_jobs_which_ctrl_c_ends(system: Serving) -> None:
    """The last test: a local job outlives the launcher, which may be back, and not a Ctrl-C."""
    status, run = system.call("/api/executions", body={"chain": "slow"})
    assert status == 202
    system.wait(lambda: any(job.children() for job in wrappers(system, run["id"])))
    jobs = processes(wrappers(system, run["id"]))
    everybody = [each for each in system.children() if each not in jobs]
    assert any("launcher" in each.cmdline() for each in everybody)
    system.process.kill()
    assert system.end() == -signal.SIGKILL
    wait_until(lambda: running(everybody) == [], SECONDS)
    assert running(jobs) == jobs
    system.start()
    system.wait(lambda: system.call(f"/api/executions/{run['id']}")[0] == 200)
    assert system.get(f"/api/executions/{run['id']}")["state"] == "running"
    assert processes(wrappers(system, run["id"])) == jobs
    everybody = [*system.children(), *jobs]
    assert system.end() == 0
    assert running(everybody) == []
    assert any("ended job" in line and run["id"] in line for line in system.lines)


def test_the_demo_shows_a_page_that_grows(tmp_path: Path) -> None:
    serving = Serving(tmp_path, "--demo")
    try:
        serving.wait_for("/healthz")
        assert serving.call("/", token="")[1].count('type="password"') == 1
        cookie = serving.log_in()
        status, page = serving.call("/", token="", headers={"Cookie": cookie})
        assert status == 200
        assert "Log out" in page
        assert 'class="stories"' in page
        assert "The posts here are synthetic" in page
        assert serving.call("/status", token="", headers={"Cookie": cookie})[0] == 200
        assert "Nothing in this run" not in page
        serving.wait(lambda: len(serving.get("/api/executions")["executions"]) > 0)
        runs = serving.get("/api/executions")["executions"]
        assert serving.run_ended(runs[-1]["id"])["state"] == "succeeded"
        serving.wait(lambda: any("posts pushed" in line for line in list(serving.lines)))
        everybody = serving.children()
        assert serving.end(signal.SIGTERM) == 0
        assert running(everybody) == []
    finally:
        serving.kill()
