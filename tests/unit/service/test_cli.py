"""What the commands of all services share: global options, errors, help, formats."""

import json

import click
import pytest

from service.cli import ServiceGroup, is_quiet
from service.options import format_option, limit_option
from service.tables import print_csv, print_table

ROWS = [{"id": "one", "posts": 1}, {"id": "two", "posts": 2}]


class RefusedError(Exception):
    exit_status = 1


@click.group("sample", cls=ServiceGroup, option_names={"count": "limit"})
def sample() -> None:
    """Do samples."""


@sample.command("show")
@format_option()
@limit_option(1)
def show(format_: str, limit: int) -> None:
    rows = ROWS[:limit]
    if format_ == "table":
        print_table(tuple(ROWS[0]), [tuple(row.values()) for row in rows])
    elif format_ == "csv":
        print_csv(rows)
    else:
        click.echo(json.dumps(rows))


@sample.command("fail")
@click.option("--top-words", type=int)
def fail(top_words: int | None) -> None:
    raise RefusedError("no room")


@sample.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
def exec_(program: tuple[str, ...]) -> None:
    click.echo(" ".join([*program, f"quiet={is_quiet()}"]))


@click.group("inner")
def inner() -> None:
    """Do inner samples."""


@inner.command("quiet")
def quiet() -> None:
    click.echo(is_quiet())


sample.add_command(inner)


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        sample.run(argv)
    return (int(end.value.code or 0), *capsys.readouterr())


@pytest.mark.parametrize("argv", [["--verbose", "fail"], ["fail", "--verbose"]], ids=" ".join)
def test_verbose_shows_the_traceback(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, *argv)
    assert (status, "Traceback" in err) == (1, True)
    assert err.endswith("sample: no room\n")
    assert call(capsys, "fail") == (1, "", "sample: no room\n")


@pytest.mark.parametrize(
    "argv",
    [["--quiet", "inner", "quiet"], ["inner", "--quiet", "quiet"], ["inner", "quiet", "--quiet"]],
    ids=" ".join,
)
def test_quiet_stands_anywhere(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, *argv) == (0, "True\n", "")
    assert call(capsys, "inner", "quiet") == (0, "False\n", "")


def test_the_options_of_a_program_are_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["exec", "rsync", "--quiet", "--verbose", "--x_y"]
    assert call(capsys, *argv)[1] == "rsync --quiet --verbose --x_y quiet=False\n"
    assert call(capsys, "exec", "--quiet", "--", "--quiet")[1] == "--quiet quiet=True\n"


@pytest.mark.parametrize("argv", [[], ["inner"]], ids=["group", "inner"])
def test_a_bare_group_prints_its_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, *argv)
    help_text = call(capsys, *argv, "--help")[1]
    assert (status, out, err) == (2, "", help_text)
    assert len(err.splitlines()) > 5


@pytest.mark.parametrize(
    ("argv", "suggestion"),
    [
        (["shwo"], "No such command 'shwo'. Did you mean 'show'?"),
        (["inner", "quite"], "Did you mean 'quiet'?"),
        (["fail", "--top-word=1"], "No such option '--top-word'. Did you mean '--top-words'?"),
        (["fail", "--top_word=1"], "Did you mean '--top-words'?"),
    ],
)
def test_what_is_misspelt_is_suggested(
    argv: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, *argv)
    assert status == 2
    assert suggestion in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (["--format", "csv", "--limit", "2"], "id,posts\none,1\ntwo,2\n"),
        (["--format=csv"], "id,posts\none,1\n"),
        (["--format=json", "--count=2"], json.dumps(ROWS) + "\n"),
        (["--json"], json.dumps(ROWS[:1]) + "\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_formats_and_limits(
    argv: list[str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "show", *argv) == (0, printed, "")


def test_a_table_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "show")
    assert status == 0
    assert [line.split() for line in out.splitlines() if "o" in line] == [
        ["id", "posts"],
        ["one", "1"],
    ]
