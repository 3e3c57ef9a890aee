"""Composite indexes, and the file index.yaml that declares them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfpipe.errors import UsageError

PACKAGED = Path(__file__).with_name("index.yaml")


@dataclass(frozen=True, slots=True)
class Index:
    """An index over a kind: the properties in order, `-name` for a descending one.

    One ascending property without ancestor is an index that Datastore has built in.
    """

    kind: str
    properties: tuple[str, ...]
    ancestor: bool = False

    def columns(self) -> tuple[tuple[str, bool], ...]:
        """The names of the properties, and whether each descends."""
        return tuple((name.removeprefix("-"), name.startswith("-")) for name in self.properties)

    @property
    def built_in(self) -> bool:
        """Whether Datastore keeps it without being told."""
        return len(self.properties) == 1 and not self.ancestor

    def definition(self) -> str:
        """The index within its kind, as it is stored."""
        return json.dumps([self.ancestor, *self.properties])

    def as_yaml(self) -> str:
        """The lines of index.yaml that declare it."""
        lines = [f"- kind: {self.kind}"]
        if self.ancestor:
            lines.append("  ancestor: yes")
        lines.append("  properties:")
        for name, descending in self.columns():
            lines.append(f"  - name: {name}")
            if descending:
                lines.append("    direction: desc")
        return "\n".join(lines)


def from_definition(kind: str, definition: str) -> Index:
    """The index that `Index.definition` described."""
    ancestor, *properties = json.loads(definition)
    return Index(kind, tuple(properties), ancestor)


def read_indexes(path: Path = PACKAGED) -> tuple[Index, ...]:
    """Read the composite indexes of an index.yaml.

    Raises UsageError, naming the file, where it is missing or of another form.
    """
    import yaml  # only a store of the embedded kind needs it

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"cannot read the indexes in {path}: {reason}") from error
    try:
        return tuple(_from_yaml(entry) for entry in (content or {}).get("indexes") or ())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is not an index.yaml: expected `indexes:` and for each one `kind:` and "
            f"`properties:` with `name:` and `direction: asc|desc`, got {error!r}"
        ) from error


def _from_yaml(entry: dict[str, Any]) -> Index:
    signs = {"asc": "", "desc": "-"}
    properties = tuple(
        signs[prop.get("direction", "asc")] + str(prop["name"]) for prop in entry["properties"]
    )
    ancestor = entry.get("ancestor", False) in (True, "yes")
    return Index(str(entry["kind"]), properties, ancestor)
