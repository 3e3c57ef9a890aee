"""The embedded store: the methods of Google's Datastore client over an SQLite file."""

from dfpipe.datastore.embedded.client import Client

__all__ = ["Client"]
