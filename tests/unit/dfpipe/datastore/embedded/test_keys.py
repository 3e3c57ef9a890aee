"""Keys that the embedded store makes are those that Google's constructor makes."""

import copy
import pickle
from collections.abc import Callable

import pytest
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded.keys import make_key

PARTS = [7, "work/task-1", "é\x00"]
SAME: list[Callable[[Key], Key]] = [
    lambda key: key,
    copy.copy,
    copy.deepcopy,
    lambda key: pickle.loads(pickle.dumps(key)),  # our own
]


@pytest.mark.parametrize("last", PARTS)
@pytest.mark.parametrize("namespace", [None, "n"])
@pytest.mark.parametrize("change", SAME, ids=["itself", "copy", "deepcopy", "pickle"])
def test_equals_google_s(change: Callable[[Key], Key], namespace: str | None, last: int | str):
    key = change(make_key("Kind", last, "local", namespace))
    expected = Key("Kind", last, project="local", namespace=namespace)
    assert key == expected
    assert hash(key) == hash(expected)
    assert key.path == expected.path
    assert key.flat_path == expected.flat_path
    assert key.to_protobuf() == expected.to_protobuf()
    assert (key.kind, key.id, key.name) == (expected.kind, expected.id, expected.name)
    assert key.parent is None
    assert not key.is_partial
