"""Options are spelled alike in all commands, and in documents only as the commands have them."""

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner

from collector.cli.main import collector
from dfpipe.cli import dfpipe
from dfpipe.options import AnalysisOptions
from dfpipe.version import VERSION
from launcher.cli import launcher
from taskqueue.cli.main import taskqueue
from tests.support.processes import ROOT
from workflow.cli.main import workflow

GROUPS: dict[str, click.Group] = {
    "collector": collector,
    "dfpipe": dfpipe,
    "launcher": launcher,
    "taskqueue": taskqueue,
    "workflow": workflow,
}
# Everywhere on the line, and handled before the command is.
EVERYWHERE = {"--help", "--verbose", "--quiet"}
CALL = re.compile(rf"(?<![\w/.-])(?:\.venv/bin/)?({'|'.join(GROUPS)}) ([a-z-]+)([^|;&`<>#]*)")
# Also known to Beam on the command line of a run, whose options have underscores.
BEAM = {"dfpipe run"}
TEXTS = ("*.md", "*.yaml", "*.html", "Makefile", "Dockerfile", "*.py")


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """All commands under a command with their full names, the command itself first."""
    yield name, command
    if isinstance(command, click.Group):
        for each in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), each)
            assert found
            yield from commands(f"{name} {each}", found)


ALL = {name: each for group in GROUPS for name, each in commands(group, GROUPS[group])}


def options_of(name: str) -> set[str]:
    own = {o for p in ALL[name].params if isinstance(p, click.Option) for o in p.opts}
    return own | (run_options() if name == "dfpipe run" else set())


def run_options() -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    AnalysisOptions._add_argparse_args(parser)
    return {"--quiet", *(action.option_strings[0] for action in parser._actions)}


def beam_options() -> set[str]:
    return {f"--{name}" for name in PipelineOptions([]).get_all_options(add_extra_args_fn=None)}


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *TEXTS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / each for each in listed.stdout.split() if "tests/" not in each]


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of this project that a text calls, with the options that it gives them."""
    text = re.sub(r" *\\\n\s*", " ", text)
    for group, name, rest in CALL.findall(text):
        full = f"{group} {name}"
        words = rest.split("\n")[0].split()
        if words and f"{full} {words[0]}" in ALL:
            full = f"{full} {words[0]}"
        own = words[: words.index("--")] if "--" in words else words
        yield full, re.findall(r"(?<!\S)(--[\w-]+)", " ".join(own))


@pytest.mark.parametrize("name", sorted(ALL))
def test_words_are_separated_by_dashes(name: str) -> None:
    assert not [option for option in options_of(name) if "_" in option]


def test_documents_give_options_that_the_commands_have() -> None:
    checked, wrong = 0, []
    for file in files():
        for name, given in calls(file.read_text(encoding="utf-8")):
            if name not in ALL:
                continue
            known = options_of(name) | EVERYWHERE | (beam_options() if name in BEAM else set())
            checked += len(given)
            wrong += [f"{file.name}: {name} {option}" for option in given if option not in known]
    assert not wrong
    assert checked > 100


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_every_command_tells_its_version(name: str) -> None:
    done = CliRunner().invoke(GROUPS[name], ["--version"], prog_name=name)
    assert (done.exit_code, done.output) == (0, f"{name}, version {VERSION}\n")


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_underscores_are_understood(name: str) -> None:
    normalize = GROUPS[name].context_settings["token_normalize_func"]
    assert normalize("queue_yaml") == "queue-yaml"


@pytest.mark.parametrize(
    "argv",
    [
        *(["import", "none", name, "sqlite:///x.db"] for name in ("--store", "--to")),
        *(["export", name, "sqlite:///none.db"] for name in ("--store", "--from")),
        *(["story", "a", "b", "--sink=none:", name, "x"] for name in ("--store", "--source")),
    ],
    ids=" ".join,
)
def test_the_store_has_one_name_and_its_old_ones(argv: list[str]) -> None:
    with pytest.raises(Exception, match="none"):  # and not "No such option"
        dfpipe.main(argv, standalone_mode=False)
