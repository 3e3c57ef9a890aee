"""Values as they are stored: JSON, with times and keys in tagged objects."""

import json
from datetime import UTC, datetime
from typing import Any

from google.cloud.datastore import Key

TAG = "__pipeline_json_type"
_TIME = "%Y-%m-%d %H:%M:%S.%f"


def dumps(value: object) -> str:
    """Write a value as JSON; tuples become lists and the keys of dictionaries strings.

    Raises TypeError or ValueError for what JSON does not have, NaN among it.
    """
    return json.dumps(value, default=_tagged, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:
    """Give back what `dumps` wrote; times are aware and in UTC."""
    return json.loads(text, object_hook=_untagged)


def _tagged(value: object) -> dict[str, Any]:
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return {TAG: "datetime", "value": utc.isoformat(" ", "microseconds")}
    if isinstance(value, Key):
        home = [value.project, value.namespace]
        return {TAG: "key", "value": [home, list(value.flat_path)]}
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be written as JSON")


def _untagged(found: dict[str, Any]) -> Any:
    if TAG not in found:
        return found
    try:
        return _meant(found)
    except (KeyError, TypeError, ValueError):
        return found  # an unrelated dictionary with the same key


def _meant(found: dict[str, Any]) -> Any:
    kind = found[TAG]
    if kind == "datetime":
        return datetime.strptime(found["value"], _TIME).replace(tzinfo=UTC)
    if kind == "key":
        (project, namespace), path = found["value"]
        return Key(*path, project=project, namespace=namespace)
    return found
