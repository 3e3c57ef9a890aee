"""What the collector is doing, in numbers: its accounts, its queues, and what was set aside."""

from datetime import UTC, datetime, timedelta
from typing import Any

from collector.fetching.accounts import Account, Accounts
from collector.fetching.dead_letters import KIND as DEAD_LETTER
from collector.fetching.scheduling import QUEUE as TIMELINE
from collector.ingest.intake import QUEUE as INGEST
from dfpipe.datastore import count
from taskqueue import TaskQueueService
from taskqueue.service import translated

_DAY = timedelta(days=1)


def overview(service: TaskQueueService, now: datetime) -> dict[str, Any]:
    """The state of the collector, as JSON. Raises what the queues and the store raise."""
    accounts = Accounts(service.client).all()
    active = sum(account.is_active for account in accounts)
    with translated():
        return {
            "time": _iso(now),
            "active": active,
            "inactive": len(accounts) - active,
            "posts": sum(account.posts for account in accounts),
            "dead_letters": count(service.client, service.client.query(kind=DEAD_LETTER)),
            "queues": {name: queue(service, name) for name in (TIMELINE, INGEST)},
            "accounts": [about(account, now) for account in accounts],
        }


def queue(service: TaskQueueService, name: str) -> dict[str, object]:
    """How many tasks a queue has in all, in flight, given up, and leased in the last minute."""
    counts = service.store.counts(name, service.now())
    return {
        "tasks": counts.tasks,
        "in_flight": counts.in_flight,
        "given_up": counts.dead,
        "last_minute": counts.last_minute,
    }


def about(account: Account, now: datetime) -> dict[str, object]:
    """One account, as it is shown."""
    return {
        "id": account.id,
        "state": state(account),
        "reason": account.reason,
        "last_fetch": _iso(account.last_fetch),
        "last_new_post": _iso(account.last_new_post),
        "posts": account.posts,
        "posts_a_day": posts_a_day(account, now),
        "errors": account.errors,
        "error": account.error,
    }


def state(account: Account) -> str:
    """What is done with an account: "active", "failing", or "stopped"."""
    if not account.is_active:
        return "stopped"
    return "failing" if account.errors else "active"


def posts_a_day(account: Account, now: datetime) -> float:
    """The posts that were stored, by the days since it was first followed, of which one at least.

    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> posts_a_day(Account(id="x:home", followed_at=start, posts=30), start + 4 * _DAY)
    7.5
    """
    return round(account.posts / max((now - account.followed_at) / _DAY, 1.0), 1)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
