"""Posts of a store as lines of JSON."""

from collections.abc import Iterator
from datetime import datetime

from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store
from dfpipe.posts.formats.own import to_line
from dfpipe.posts.post import KIND


def export_lines(
    client: Store, since: datetime | None = None, until: datetime | None = None
) -> Iterator[bytes]:
    """Yield the posts with since <= created_at < until as JSON lines, by created_at, then tid.

    What another program has stored with values of other types comes with null in their place.
    """
    query = client.query(kind=KIND, order=["created_at"])  # equal times come in the keys' order
    if since:
        query.add_filter(filter=PropertyFilter("created_at", ">=", since))
    if until:
        query.add_filter(filter=PropertyFilter("created_at", "<", until))
    for post in query.fetch():
        values = (post.get(name) for name in ("user", "text", "created_at", "urls", "edited_at"))
        yield to_line(post.key.id, *values)
