"""YAML files as models, and errors with their lines."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from service.errors import UsageError
from service.fields import Duration, Section
from service.yaml_file import parse_yaml, read_yaml


class Retry(Section):
    limit: int | None = Field(None, ge=0, alias="task_retry_limit")
    age: Duration | None = None


class Queue(Section):
    name: str = Field(pattern="^[a-z]+$")
    mode: Literal["push", "pull"] = "push"
    retry: Retry = Retry()


class File(Section):
    queue: tuple[Queue, ...] = ()
    parameters: dict[str, str] = {}


def test_scalars_are_texts_until_a_field_says_otherwise() -> None:
    text = """
queue:
- {name: a, retry: {task_retry_limit: 3, age: 1h30m}}
- name: b
  mode: pull
  retry:
parameters: {date: 2026-01-07, on: true, number: 010}
"""
    found = parse_yaml(text, File, "queue.yaml")
    assert [queue.name for queue in found.queue] == ["a", "b"]
    assert found.queue[0].retry.limit == 3
    assert found.queue[1].retry == Retry()
    assert found.parameters == {"date": "2026-01-07", "on": "true", "number": "010"}


@pytest.mark.parametrize("text", ["", "# only a comment", "queue:", "queue: ~", "queue: []"])
def test_a_key_without_a_value_counts_as_absent(text: str) -> None:
    assert parse_yaml(text, File, "queue.yaml") == File()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queue:\n- mode: push", "f:2: queue[0].name: missing; it is required"),
        (
            "queue:\n- name: a\n  mode: up",
            "f:3: queue[0].mode: 'up': expected 'push' or 'pull'",
        ),
        (
            "queue:\n- name: a\n  rate: 5/s",
            "f:3: queue[0].rate: unknown field; expected name, mode, retry",
        ),
        (
            "queue:\n- name: a\n\n  retry:\n    task_retry_limit: -1",
            "f:5: queue[0].retry.task_retry_limit: '-1': expected a number of at least 0",
        ),
        (
            "queue:\n- name: a\n  retry: {age: x}",
            "f:3: queue[0].retry.age: 'x': expected a number and s, m, h, d or w, such as 90s,"
            " 1h30m or 30d",
        ),
        ("queue: 3", "f:1: queue: '3': expected a list"),
        ("queue:\n- {name: [a]}", "f:2: queue[0].name: \"['a']\": expected a text"),
        ("queue:\n- name: a\n  name: b", "f:3: name: duplicate key; keep one of them"),
        ("3", "f:1: the file: '3': expected a mapping"),
        ("queue: [", "f:1: not YAML: expected the node content, but found '<stream end>'"),
        ("? [a]\n: b", "f:1: a list or mapping as a key; expected a name"),
        ("a\x00b", "f: not YAML: unacceptable character"),
        ("[" * 5000, "f: not YAML: maximum recursion depth"),
        ("queue: &a\n- *a", "f: not YAML: maximum recursion depth"),
    ],
)
def test_an_error_names_file_line_field_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_yaml(text, File, "f")
    assert str(refused.value).startswith(message)


def test_many_aliases_of_a_large_list_are_refused_soon() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(UsageError, match="too large"):
        parse_yaml("\n".join(levels), File, "f")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "queue.yaml"
    with pytest.raises(UsageError, match=r"cannot read .*queue\.yaml: No such file"):
        read_yaml(file, File)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        read_yaml(file, File)
    file.write_text("queue: [{name: a}]")
    assert read_yaml(file, File).queue[0].name == "a"
