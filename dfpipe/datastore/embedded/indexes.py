"""The composite indexes of the project, which index.yaml declares to Google Cloud."""

from google.api_core.exceptions import FailedPrecondition

# The names of the properties of an index, in order; one alone is an index that Datastore has
# built in.
Index = tuple[str, ...]

# tests/unit/dfpipe/datastore/test_indexes.py keeps index.yaml equal to this.
DECLARED: frozenset[tuple[str, Index]] = frozenset(
    {("Tweet", ("created_at", "stored_at", "checksum"))}
)


def require(kind: str, index: Index) -> None:
    """Refuse an index that Datastore would not have.

    Raises FailedPrecondition, with the lines that index.yaml lacks.
    """
    if len(index) > 1 and (kind, index) not in DECLARED:
        raise missing_index(kind, *index)


def missing_index(kind: str, *properties: str) -> FailedPrecondition:
    """The error for a query that needs a composite index; `-name` is a descending property."""
    lines = [f"- kind: {kind}", "  properties:"]
    for name in properties:
        lines.append(f"  - name: {name.removeprefix('-')}")
        if name.startswith("-"):
            lines.append("    direction: desc")
    return FailedPrecondition("no matching index found. recommended index is:\n" + "\n".join(lines))
