"""Google's classes offer every method of the protocols, with its parameters.

mypy checks the embedded client; Google's has no types, so its signatures are compared here.
"""

import inspect

import pytest
from google.cloud import datastore
from google.cloud.datastore import aggregation

from dfpipe.datastore import protocol

PAIRS = [
    (protocol.Store, datastore.Client),
    (protocol.Query, datastore.query.Query),
    (protocol.Results, datastore.query.Iterator),
    (protocol.Batch, datastore.Batch),
    (protocol.Transaction, datastore.Transaction),
    (protocol.Count, aggregation.AggregationQuery),
]
METHODS = [
    (wanted, getattr(given, name, None))
    for promised, given in PAIRS
    for name, wanted in vars(promised).items()
    if inspect.isfunction(wanted) and "Protocol" not in wanted.__qualname__ and name != "__init__"
]
# Methods that hand on whatever they are given, and the class that takes it.
TAKERS = {"query": datastore.query.Query, "transaction": datastore.Transaction}


@pytest.mark.parametrize(("wanted", "given"), METHODS, ids=lambda f: getattr(f, "__qualname__", ""))
def test_a_method_takes_the_parameters_of_the_protocol(wanted: object, given: object) -> None:
    assert callable(wanted)
    assert callable(given)
    taken = dict(inspect.signature(given).parameters)
    if given.__name__ in TAKERS:
        taken |= inspect.signature(TAKERS[given.__name__]).parameters
    for parameter in inspect.signature(wanted).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.name in taken
    needed = [p for p in taken.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    if given.__name__ not in TAKERS:
        assert len(needed) <= len(inspect.signature(wanted).parameters)
