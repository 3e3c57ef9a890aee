"""A YAML file as a pydantic model; every error names the file, the line and the field.

    class Cron(Section):
        cron: tuple[Job, ...] = ()

    jobs = read_yaml(Path("cron.yaml"), Cron).cron

All scalars reach the model as texts, which its types parse: `2026-01-07` is a text until a field
says that it is a time. A key without a value counts as absent. Duplicate keys are errors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from service.errors import UsageError
from service.fields import problem, where

Model = TypeVar("Model", bound=BaseModel)
MOST_VALUES = 100_000
_NULL = "tag:yaml.org,2002:null"


def read_yaml(file: Path, model: type[Model]) -> Model:
    """Read and check a file. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"cannot read {file}: {reason}") from error
    return parse_yaml(text, model, str(file))


def parse_yaml(text: str, model: type[Model], source: str) -> Model:
    """The same for the text of a file; `source` is its name in errors. Raises UsageError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = {} if root is None else _Values(source).of(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{source}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{source}: not YAML: {reason}") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refusal(root, source, error) from error


def _refusal(root: yaml.Node | None, source: str, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    path = where(first)
    name = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in path).lstrip(".")
    return UsageError(f"{source}:{_line(root, path)}: {name or 'the file'}: {problem(first)}")


class _Values:
    """Turns the nodes of one file into plain values: dicts, lists and texts."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MOST_VALUES

    def of(self, node: yaml.Node) -> Any:
        # Aliases of aliases make of a small file more than the memory holds.
        self._left -= 1
        if self._left < 0:
            raise UsageError(f"{self._source}: too large; expected at most {MOST_VALUES:,} values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(each) for each in node.value]
        return None if node.tag == _NULL else node.value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            at = f"{self._source}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{at}: a list or mapping as a key; expected a name")
            if key.value in found:
                raise UsageError(f"{at}: {key.value}: duplicate key; keep one of them")
            found[key.value] = self.of(value)
        return {name: value for name, value in found.items() if value is not None}


def _line(root: yaml.Node | None, path: Sequence[int | str]) -> int:
    """The line of the deepest node on a path that the file has; pydantic may add parts to it."""
    node, line = root, root.start_mark.line + 1 if root else 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            pairs = [(each, each) for each in node.value[part : part + 1]]
        else:
            break
        if pairs:
            key, node = pairs[0]
            line = key.start_mark.line + 1
    return line
