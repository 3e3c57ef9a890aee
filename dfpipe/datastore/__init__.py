"""Datastore behind one seam: Google's client, or the embedded one with the same methods."""

from dfpipe.datastore.connecting import check, connect
from dfpipe.datastore.errors import StoreError
from dfpipe.datastore.indexes import Index
from dfpipe.datastore.protocol import Batch, Query, Results, Store, Transaction
from dfpipe.datastore.shortcuts import count, fetch_keys, fetch_values, get_values
from dfpipe.datastore.transactions import outside_transaction, run_in_transaction
from dfpipe.errors import UsageError

__all__ = [
    "Batch",
    "Index",
    "Query",
    "Results",
    "Store",
    "StoreError",
    "Transaction",
    "UsageError",
    "check",
    "connect",
    "count",
    "fetch_keys",
    "fetch_values",
    "get_values",
    "outside_transaction",
    "run_in_transaction",
]
