"""Removing the posts that are too old to be analysed again."""

from collections.abc import Iterator
from datetime import datetime

from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store, give_space_back
from dfpipe.posts.post import KIND
from dfpipe.posts.storing import MOST_WRITES


def purge(client: Store, until: datetime) -> Iterator[int]:
    """Remove the posts with created_at < until, the oldest first; yield how many so far.

    Each step is one commit, and a purge that was stopped between two of them can be repeated. At
    the end an embedded store gives the space back to the disk.
    """
    removed = 0
    while keys := _oldest(client, until):
        client.delete_multi(keys)
        removed += len(keys)
        yield removed
    if removed:
        give_space_back(client)


def _oldest(client: Store, until: datetime) -> list[object]:
    query = client.query(kind=KIND, order=["created_at"])
    query.add_filter(filter=PropertyFilter("created_at", "<", until))
    query.keys_only()
    return [entity.key for entity in query.fetch(limit=MOST_WRITES)]
