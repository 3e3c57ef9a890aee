"""The followed accounts: their progress, counts and errors."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from collector.sources import canonical_name
from dfpipe.datastore import Store, run_in_transaction
from dfpipe.errors import UsageError

KIND = "CollectorAccount"
UNFOLLOWED = "unfollowed"
LONGEST_ID = 1_000
LONGEST_ERROR = 1_000
# Queries ask only for the accounts that are active.
_UNINDEXED = (
    *("reason", "watermark", "progress", "step", "last_fetch", "last_new_post", "posts"),
    *("followed_at", "error", "errors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One followed account; `id` is "SOURCE:NAME".

    Everything up to `watermark` is stored. `progress` is the JSON of a fetch that has not come to
    its end, and `step` counts the pages stored in all, so that of two fetches at once only one goes
    on. `posts` are those that were stored, `error` is the last one and `errors` how many there were
    in a row; `reason` says why an account is not active. Times are aware and in UTC.
    """

    id: str
    followed_at: datetime
    is_active: bool = True
    reason: str = ""
    watermark: str | None = None
    progress: str | None = None
    step: int = 0
    last_fetch: datetime | None = None
    last_new_post: datetime | None = None
    posts: int = 0
    error: str = ""
    errors: int = 0

    @property
    def source(self) -> str:
        """The name of its source, such as "mastodon"."""
        return self.id.partition(":")[0]

    @property
    def name(self) -> str:
        """The name of the account in its network, such as "home"."""
        return self.id.partition(":")[2]


def parse_account(account_id: str) -> tuple[str, str]:
    """Source and name of an account, as they are stored.

    Raises UsageError for an id that names no account of a known source.
    """
    if len(account_id.encode("utf-8", "replace")) > LONGEST_ID:
        raise UsageError(f"the account has over {LONGEST_ID:,} bytes: give SOURCE:NAME")
    source, _, name = account_id.partition(":")
    return source, canonical_name(source, name)


class Accounts:
    """Reads and changes the accounts that a store follows."""

    def __init__(self, client: Store) -> None:
        self._client = client

    def follow(self, account_id: str, now: datetime) -> bool:
        """Follow an account from now on; return whether it was not followed before.

        One that was unfollowed or disabled resumes where it stopped. Raises UsageError.
        """
        account_id = ":".join(parse_account(account_id))

        def change() -> bool:
            account = self.get(account_id)
            if account is not None and account.is_active:
                return False
            account = account or Account(id=account_id, followed_at=now)
            self.put(replace(account, is_active=True, reason="", error="", errors=0))
            return True

        return run_in_transaction(self._client, change)

    def unfollow(self, account_id: str) -> bool:
        """Fetch an account no more; return whether it was followed, or disabled. Keeps its posts.

        Raises UsageError.
        """
        account_id = ":".join(parse_account(account_id))

        def change() -> bool:
            account = self.get(account_id)
            if account is None or account.reason == UNFOLLOWED:
                return False
            self.put(replace(account, is_active=False, reason=UNFOLLOWED))
            return True

        return run_in_transaction(self._client, change)

    def disable(self, account_id: str, reason: str, now: datetime) -> None:
        """Fetch an account no more, because its source refuses it."""

        def change() -> None:
            account = self.get(account_id)
            if account is not None and account.is_active:
                # Where it stopped stays, for the day when it is followed again.
                stopped = replace(account, is_active=False, reason=reason[:LONGEST_ERROR])
                self.put(replace(stopped, last_fetch=now, errors=account.errors + 1))

        run_in_transaction(self._client, change)

    def failed(self, account_id: str, error: str, now: datetime) -> None:
        """Write down that a fetch did not succeed."""

        def change() -> None:
            account = self.get(account_id)
            if account is not None:
                errors = account.errors + 1
                self.put(
                    replace(account, error=error[:LONGEST_ERROR], errors=errors, last_fetch=now)
                )

        run_in_transaction(self._client, change)

    def restart(self, account: Account) -> None:
        """Forget the progress of a fetch, which then begins again at the watermark."""

        def change() -> None:
            stored = self.get(account.id)
            if stored is not None and stored.step == account.step:
                self.put(replace(stored, progress=None, step=stored.step + 1))

        run_in_transaction(self._client, change)

    def get(self, account_id: str) -> Account | None:
        """The account of that id, if it was ever followed."""
        entity = self._client.get(self._client.key(KIND, account_id))
        return None if entity is None else _from_entity(entity)

    def put(self, account: Account) -> None:
        """Store an account, or let the current transaction do it."""
        self._client.put(_to_entity(account, self._client))

    def all(self) -> list[Account]:
        """All accounts, those that are not active included, by their ids."""
        return [_from_entity(entity) for entity in self._client.query(kind=KIND).fetch()]

    def active(self) -> Iterator[Account]:
        """The accounts that are to be fetched."""
        query = self._client.query(kind=KIND)
        query.add_filter(filter=PropertyFilter("is_active", "=", True))
        return (_from_entity(entity) for entity in query.fetch())


def _to_entity(account: Account, client: Store) -> Entity:
    entity = Entity(client.key(KIND, account.id), exclude_from_indexes=_UNINDEXED)
    entity["is_active"] = account.is_active
    entity.update({name: getattr(account, name) for name in _UNINDEXED})
    return entity


def _from_entity(entity: Entity) -> Account:
    values = {name: entity[name] for name in _UNINDEXED}
    return Account(id=entity.key.name, is_active=entity["is_active"], **values)
