"""The reference names all that there is, and the documents' links lead somewhere."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dfpipe.cli import COMMANDS, dfpipe
from dfpipe.options import AnalysisOptions
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.tables import TABLES
from tests.support.documents import DOCUMENTS, ROOT, name

REFERENCE = ROOT / "docs" / "reference"


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts if isinstance(parameter, click.Option) else ()


def test_every_command_and_option_is_in_the_reference() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    told = {section.split("\n", 1)[0].strip("`"): section for section in sections}
    context = click.Context(dfpipe)
    for command_name in COMMANDS:
        section = told[f"dfpipe {command_name}"]
        command = dfpipe.get_command(context, command_name)
        assert command
        for option in options(command):
            assert f"`{option}" in section, f"{command_name} {option}"
    parser = argparse.ArgumentParser(add_help=False)
    AnalysisOptions._add_argparse_args(parser)
    for action in parser._actions:
        assert f"`{action.option_strings[0]}" in told["dfpipe run"], action.option_strings
    for option in options(dfpipe):
        assert f"`{option}" in text


def test_every_table_is_in_the_reference() -> None:
    text = (REFERENCE / "results.md").read_text(encoding="utf-8")
    for table in TABLES:
        _, section = text.split(f"## `{table.name}`", 1)
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section.split("\n## ")[0], re.MULTILINE)
        assert rows == [(name, column.kind) for name, column in table.columns.items()]


def test_every_query_is_in_the_reference() -> None:
    text = (REFERENCE / "results.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^### ", text, flags=re.MULTILINE)
    told = {section.split("\n", 1)[0].strip("`"): section for section in sections}
    for query in map(named_queries.load, named_queries.names()):
        for parameter in query.parameters:
            assert f"| `{parameter.name}` | {parameter.kind} |" in told[query.name]
    assert set(named_queries.names()) <= set(told)


def test_every_counter_is_in_the_reference() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    source = "".join(path.read_text() for path in (ROOT / "dfpipe" / "transforms").glob("*.py"))
    counted = re.findall(r'Metrics\.counter\("dfpipe", "(\w+)"\)', source)
    counted += re.findall(r'^        "(\w+)": ', source, re.MULTILINE)
    assert len(set(counted)) == 10
    for counter in counted:
        assert f"| `{counter}` |" in text


def test_every_dependency_is_explained_with_its_range() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    module = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    lists = [
        n.value for n in module.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.List)
    ]
    strings = [node for each in lists for node in ast.walk(each)]
    needed = {node.value for node in strings if isinstance(node, ast.Constant)}
    assert len(needed) > 20
    for requirement in map(str, needed):
        assert f"| `{requirement}` |" in text, requirement


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, heading = target.partition("#")
        if file.startswith("https://"):
            continue
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, target
