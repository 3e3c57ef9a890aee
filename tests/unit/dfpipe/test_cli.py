"""What the command does with errors, whatever its subcommand."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.auth.exceptions import DefaultCredentialsError

from dfpipe import cli
from dfpipe.added_commands import GROUP, AddedCommand, added_commands
from dfpipe.errors import DfpipeError, UsageError
from tests.support.command import DFPIPE, environment
from tests.support.processes import wait_until


@pytest.fixture(autouse=True)
def _python_handles_signals() -> Iterator[None]:
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    end = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, hangup)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_short_help_is_the_subcommand_s_own(name: str) -> None:
    command = cli.dfpipe.get_command(None, name)  # type: ignore[arg-type]  # no context is needed
    assert command
    assert (command.name, command.get_short_help_str(200)) == (name, cli.COMMANDS[name][1])


def _distribution(folder: Path, entry_point: str) -> Path:
    """Add a distribution with that entry point to a folder of sys.path."""
    info = folder / "other-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        f"[console_scripts]\nother = other:main\n\n[{GROUP}]\n{entry_point}\n\n[more]\na = b:c\n"
    )
    return folder


def test_added_commands_are_those_that_importlib_finds() -> None:
    points = metadata.entry_points(group=GROUP)
    assert {name: (each.value, each.extras) for name, each in added_commands().items()} == {
        point.name: (point.value.partition(" ")[0], tuple(point.extras)) for point in points
    }


def test_the_first_distribution_on_the_path_adds_a_command(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        _distribution(folder, f"more = {folder.name}.module:command [a, b]")
    assert added_commands(["/nothing", *map(str, folders)]) == {
        "more": AddedCommand("more", "first.module:command", ("a", "b"))
    }


def test_a_distribution_cannot_take_the_place_of_a_subcommand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(_distribution(tmp_path, "run = other.module:command"))
    for argv in (["run", "--help"], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith(
            "dfpipe: other.module:command adds the subcommand run, which dfpipe already has: "
        )


def test_help_lists_commands_although_an_added_one_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(_distribution(tmp_path, "broken = no_such_module:command"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "Answer a named query" in shown
    assert re.search(r"broken +\(cannot be imported: No module named 'no_such_module'\)", shown)


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
    ],
)
@pytest.mark.parametrize("error", [DfpipeError("the run failed"), ImportError("half a module")])
def test_an_interrupt_that_comes_back_as_another_error(
    error: Exception,
    number: int,
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wrap(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as interrupt:
            raise error from interrupt

    monkeypatch.setattr(cli.dfpipe, "main", wrap)
    assert ended() == status
    assert capsys.readouterr().err == f"dfpipe: {message}\n"


@pytest.mark.parametrize(
    ("error", "status"), [(DfpipeError("no room"), 1), (UsageError("no word"), 2)]
)
def test_an_error_is_one_line_and_a_status(
    error: DfpipeError,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli.dfpipe, "main", raising(error))
    assert ended() == status
    assert capsys.readouterr().err == f"dfpipe: {error}\n"
    assert ended("--verbose") == status
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("p.db stayed locked"), DefaultCredentialsError("none\nfound")]
)
def test_an_error_of_a_client_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.dfpipe, "main", raising(error))
    assert ended() == 1
    assert capsys.readouterr().err == f"dfpipe: {str(error).splitlines()[0]}\n"


def test_a_bare_command_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended() == 2
    assert capsys.readouterr().err.startswith("Usage: dfpipe [OPTIONS] COMMAND [ARGS]...\n\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["qurey"], "No such command 'qurey'. Did you mean 'query'?"),
        (
            ["import", "x", "--strct"],
            "No such option '--strct'. (Did you mean one of: '--store', '--strict'?)",
        ),
        (
            ["query", "popular_word"],
            "there is no query 'popular_word': did you mean popular_words?",
        ),
        (["run", "--top-word=3"], "unknown option --top-word=3: did you mean --top-words?"),
        (["run", "--job-name=x"], "unknown option --job-name=x: did you mean --job_name?"),
    ],
)
def test_what_is_misspelt_is_suggested(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*argv) == 2
    assert message in capsys.readouterr().err


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*DFPIPE, "stopwords"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "dfpipe: [Errno 28] No space left on device\n"


def test_output_that_is_closed_is_one_line() -> None:
    done = subprocess.run(
        [*DFPIPE, "stopwords"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=lambda: os.close(1),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("dfpipe: standard output is closed: send it to a file")


@pytest.mark.parametrize("argv", [["stopwords"], ["query", "--list"]])
def test_a_reader_that_goes_away_ends_the_command_quietly(argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*DFPIPE, *argv], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_sigterm_takes_the_temporary_files_along(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*DFPIPE, "import", "-", "--store", "sqlite:///posts.db"],
        cwd=tmp_path,
        env=environment({"TMPDIR": str(tmp_path)}),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any(tmp_path.glob("dfpipe-*/0")))
    child.terminate()
    _, message = child.communicate(timeout=60)
    assert (child.returncode, message.strip()) == (143, "dfpipe: terminated")
    assert not list(tmp_path.iterdir())


def test_the_status_of_sigterm_where_python_runs_a_text(tmp_path: Path) -> None:
    # As it does for each dataclass while modules are imported.
    text = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()"
    program = f"""if True:
        from dfpipe import cli
        cli.dfpipe.invoke = lambda context: exec({text!r})
        cli.main(["stopwords"])
    """
    (tmp_path / "ended.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ended"],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (143, "dfpipe: terminated")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.dfpipe, "main", raising(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError, match="ours"):
        cli.main([])


def test_an_ignored_interrupt_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr(cli.dfpipe, "main", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert ended() == 0


def raising(error: Exception) -> object:
    def main(*_: object, **__: object) -> None:
        raise error

    return main


def ended(*argv: str) -> object:
    with pytest.raises(SystemExit) as end:
        cli.main(list(argv))
    return end.value.code
