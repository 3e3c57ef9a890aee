"""Which times the posts of a store cover."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dfpipe.datastore import Store
from dfpipe.posts.post import KIND

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """When the oldest and the newest post were written, in UTC."""

    oldest: datetime
    newest: datetime

    def until(self, now: datetime) -> str:
        """The --until of a run over the newest posts: the midnight after them, if it is over.

        >>> day = datetime(2015, 1, 9, 12, 30)
        >>> Span(day, day).until(day + 2 * DAY), Span(day, day).until(day + SECOND)
        ('2015-01-10', '2015-01-09T12:30:01Z')
        """
        midnight = self.newest.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        if midnight <= now:
            return f"{midnight:%Y-%m-%d}"
        return f"{self.newest.replace(microsecond=0) + SECOND:%Y-%m-%dT%H:%M:%SZ}"

    def __str__(self) -> str:
        """The times for people, to the minute."""
        return f"{self.oldest:%Y-%m-%d %H:%M} to {self.newest:%Y-%m-%d %H:%M} UTC"


def stored_span(client: Store) -> Span | None:
    """The span of a store; None if it holds no posts. Two posts are read."""
    ends = []
    for order in ("created_at", "-created_at"):
        found = client.query(kind=KIND, order=[order]).fetch(limit=1)
        ends += [entity["created_at"] for entity in found]
    return Span(*ends) if len(ends) == 2 else None
