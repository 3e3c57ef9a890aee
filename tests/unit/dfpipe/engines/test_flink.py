"""The messages if Flink cannot be used, and the guard; tests/engines runs it for real."""

import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe.engines import flink, flink_guard
from dfpipe.errors import DfpipeError
from tests.support.processes import free_port

SECONDS = 60


def refusal(*argv: str) -> str:
    with pytest.raises(DfpipeError) as raised, flink.serving(PipelineOptions([*argv])):
        pass
    return str(raised.value)


@pytest.mark.parametrize(
    ("master", "reason"),
    [
        ("127.0.0.1:{free}", "Connection refused"),
        ("http://127.0.0.1:{free}/", "Connection refused"),
        ("127.0.0.1:{other}", "HTTP Error 501: Unsupported method ('GET')"),
        ("two words:1", "URL can't contain control characters. 'two words' (found at least ' ')"),
    ],
    ids=["nobody", "nobody, as a URL", "another server", "no address"],
)
def test_a_master_that_does_not_answer(master: str, reason: str) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        given = master.format(free=free_port(), other=other.server_port)
        text = refusal("--runner=FlinkRunner", f"--flink_master={given}")
        other.shutdown()
    assert text == (
        f"--flink_master={given} does not answer as Flink does ({reason}): give the address of "
        "Flink's REST API, such as http://HOST:8081"
    )


def test_a_job_server_that_does_not_answer() -> None:
    endpoint = f"--job_endpoint=localhost:{free_port()}"
    expected = (
        f"{endpoint} does not answer (Connection refused): give the HOST:PORT of a job server"
    )
    assert refusal("--runner=PortableRunner", endpoint) == expected
    assert refusal("--runner=FlinkRunner", endpoint) == expected
    assert "does not answer" in refusal("--runner=PortableRunner", "--job_endpoint=nowhere")


def test_no_java() -> None:
    text = refusal("--runner=FlinkRunner", "--job_server_java_launcher=absent")
    assert text.startswith("Flink's job server needs Java, but cannot run absent: install Java 17")


def test_no_jar() -> None:
    argv = ["--runner=FlinkRunner", f"--job_server_java_launcher={sys.executable}"]
    expected = "--flink_job_server_jar=absent is not a file: give the job server's jar"
    assert refusal(*argv, "--flink_job_server_jar=absent") == expected


def test_a_job_server_that_does_not_serve(tmp_path: Path) -> None:
    (tmp_path / "broken.jar").touch()
    text = refusal(
        "--runner=FlinkRunner",
        "--job_server_java_launcher=false",
        f"--flink_job_server_jar={tmp_path}/broken.jar",
    )
    assert text.startswith(
        "Flink's job server exited with status 1 after it was started: run it again"
    )


def test_a_job_whose_cluster_is_not_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as job_server:
        endpoint = f"127.0.0.1:{job_server.getsockname()[1]}"
        words = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--job_name=nightly"]
        with pytest.raises(KeyboardInterrupt), flink.serving(PipelineOptions(words)):
            raise KeyboardInterrupt
    text = capsys.readouterr().err
    assert text.startswith("dfpipe: the job nightly-")
    assert f" may still be running on the cluster of {endpoint}: cancel it there" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--runner=PortableRunner", "--job_endpoint=embed"]])
def test_other_runners_are_left_alone(words: list[str]) -> None:
    options = PipelineOptions(words)
    with flink.serving(options):
        assert "job_name" not in options.get_all_options(drop_default=True)


def guard(folder: Path, *command: str) -> "subprocess.Popen[str]":
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-I", flink_guard.__file__, "", "job", str(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_guard_ends_the_job_server(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(3600)"
    with guard(tmp_path / "staged", sys.executable, "-c", code) as process:
        said, _ = process.communicate("\n", timeout=SECONDS)
    assert (process.returncode, said) == (0, "")
    assert not (tmp_path / "staged").exists()


@pytest.mark.parametrize(("code", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_guard_ends_with_the_job_server(tmp_path: Path, code: str, status: int) -> None:
    with guard(tmp_path / "staged", "sh", "-c", code) as process:
        assert process.wait(SECONDS) == status
    assert not (tmp_path / "staged").exists()


def test_the_guard_tells_of_a_job_that_it_cannot_cancel() -> None:
    master = f"http://127.0.0.1:{free_port()}"
    text = flink_guard.cancel(master, "dfpipe-1")
    assert text.startswith(f"the job dfpipe-1 may still run: {master} does not answer (")
    assert text.endswith("): cancel it there")
