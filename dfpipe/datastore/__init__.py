"""Datastore behind one seam: Google's client, or the embedded one with the same methods."""

from dfpipe.datastore.connecting import check, connect
from dfpipe.datastore.errors import StoreError
from dfpipe.datastore.protocol import Batch, Query, Results, Store, Transaction
from dfpipe.datastore.shortcuts import (
    build_indexes,
    count,
    fetch_keys,
    fetch_numbers,
    fetch_projection,
    fetch_values,
    get_values,
    give_space_back,
)
from dfpipe.datastore.transactions import outside_transaction, run_in_transaction
from dfpipe.errors import UsageError

__all__ = [
    "Batch",
    "Query",
    "Results",
    "Store",
    "StoreError",
    "Transaction",
    "UsageError",
    "build_indexes",
    "check",
    "connect",
    "count",
    "fetch_keys",
    "fetch_numbers",
    "fetch_projection",
    "fetch_values",
    "get_values",
    "give_space_back",
    "outside_transaction",
    "run_in_transaction",
]
