"""Fetching an account page by page; each page is stored together with the progress."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from collector.fetching.accounts import Account, Accounts
from collector.fetching.dead_letters import letter_entity
from collector.fetching.limits import StoredLimits
from collector.settings import CollectorSettings
from collector.sources import (
    AccountRefusedError,
    BadRequestError,
    Page,
    PostSource,
    QuotaSpentError,
    RateLimitedError,
    UnavailableError,
    open_source,
)
from dfpipe.datastore import Store, StoreError
from dfpipe.posts.formats.result import Deletion, Skip
from dfpipe.posts.post import Post
from dfpipe.posts.storing import Stored, store
from service.clock import Clock, utc_now

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Context:
    """What fetches need: a client of the store, the settings, and a clock. For any threads."""

    client: Store
    settings: CollectorSettings
    clock: Clock = utc_now
    _sources: dict[str, PostSource] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, name: str) -> PostSource:
        """The source of that name, opened once."""
        with self._lock:
            if name not in self._sources:
                limits = StoredLimits(self.client, self.settings.rate_headroom, self.clock)
                self._sources[name] = open_source(name, self.settings, limits)
            return self._sources[name]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fetch did.

    `set_aside` counts dead letters. An unfinished fetch resumes at `retry_at`: now where
    its time was over, later where the source allows no more requests, for that `reason`. If
    another fetch of the account has overtaken it, that one continues, and this is None.
    """

    stored: Stored = field(default_factory=Stored)
    set_aside: int = 0
    is_finished: bool = False
    retry_at: datetime | None = None
    reason: str = ""
    is_overtaken: bool = False


class OvertakenError(Exception):
    """Another fetch of the account has stored a page meanwhile, or it is no longer followed."""


def fetch(
    context: Context,
    account_id: str,
    *,
    limit_seconds: float,
    on_page: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Store what is new on an account, from where the last fetch stopped; for at most that long.

    It may be killed at any moment, repeated, and run twice at once. `on_page` is called after each
    page with what was done so far. An account that is not followed gives nothing.

    Raises AccountRefusedError, after the account was disabled, and UnavailableError, after it was
    written down with it: the same call may succeed later.
    """
    accounts = Accounts(context.client)
    account = accounts.get(account_id)
    if account is None or not account.is_active:
        return Outcome(is_finished=True)
    run = _Fetch(context, account)
    try:
        return run.to_the_end(limit_seconds, on_page or (lambda outcome: None))
    except OvertakenError:
        return replace(run.outcome, is_overtaken=True)
    except RateLimitedError as error:
        if isinstance(error, QuotaSpentError):
            accounts.failed(account_id, str(error), context.clock())
        return replace(run.outcome, retry_at=error.reset_at, reason=str(error))
    except AccountRefusedError as error:
        if not isinstance(error, BadRequestError) or run.account.progress is None:
            _disable(accounts, account_id, error, context.clock())
            raise
        raise _starting_over(accounts, run.account, error, context.clock()) from error
    except UnavailableError as error:
        accounts.failed(account_id, str(error), context.clock())
        raise
    except (StoreError, GoogleAPIError, GoogleAuthError):
        raise  # the store does not answer: nothing can be written down
    except Exception as error:  # a library's or our own fault: the list of accounts must show it
        raise _unexpected(accounts, account_id, error, context.clock()) from error


def _disable(accounts: Accounts, account_id: str, error: Exception, now: datetime) -> None:
    accounts.disable(account_id, str(error), now)
    _logger.error("account disabled", extra={"account": account_id, "reason": str(error)})


def _starting_over(
    accounts: Accounts, account: Account, error: Exception, now: datetime
) -> UnavailableError:
    # What the source does not understand may be where this fetch resumed.
    accounts.restart(account)
    accounts.failed(account.id, str(error), now)
    return UnavailableError(f"{error}, so the fetch starts over")


def _unexpected(
    accounts: Accounts, account_id: str, error: Exception, now: datetime
) -> UnavailableError:
    _logger.exception("fetch failed", extra={"account": account_id}, exc_info=error)
    reason = f"unexpected {type(error).__name__}: {error}"
    accounts.failed(account_id, reason, now)
    return UnavailableError(reason)


class _Fetch:
    """One fetch of one account, a page after another."""

    def __init__(self, context: Context, account: Account) -> None:
        self._context = context
        self.account = account
        self.outcome = Outcome()

    def to_the_end(self, seconds: float, on_page: Callable[[Outcome], None]) -> Outcome:
        """Store all pages, or as many as the time allows."""
        account, clock = self.account, self._context.clock
        source = self._context.source(account.source)
        end = clock() + timedelta(seconds=seconds)
        watermark = account.watermark
        if watermark is None:
            watermark = source.start(account.followed_at - self._context.settings.history)
        for page in source.pages(account.name, watermark, account.progress):
            self._store(page)
            on_page(self.outcome)
            if page.watermark is None and clock() >= end:
                self.outcome = replace(self.outcome, retry_at=clock())
                break
        else:
            self.outcome = replace(self.outcome, is_finished=True)
        return self.outcome

    def _store(self, page: Page) -> None:
        """Store a page together with the account's new state: both, or neither."""
        client, now = self._context.client, self._context.clock()
        posts = [found.result for found in page.results if isinstance(found.result, Post)]
        removed = [f.result.tid for f in page.results if isinstance(f.result, Deletion)]
        aside = [(f, f.result.reason) for f in page.results if isinstance(f.result, Skip)]
        letters = [
            letter_entity(client, self.account.id, found.raw, reason, now, found.name)
            for found, reason in aside
        ]
        after = self._after(page, posts, now)

        def advance(stored: Stored) -> None:
            self._check_not_overtaken()
            Accounts(client).put(_counted(after, stored))

        stored = store(client, posts, removed, now=now, beside=letters, also=advance)
        self.account = _counted(after, stored)
        self.outcome = replace(
            self.outcome,
            stored=self.outcome.stored + stored,
            set_aside=self.outcome.set_aside + len(aside),
        )
        for found, reason in aside:
            extra = {"account": self.account.id, "reason": reason, "post": found.name}
            _logger.warning("set aside", extra=extra)

    def _after(self, page: Page, posts: list[Post], now: datetime) -> Account:
        """The account once the page is stored."""
        account = replace(
            self.account,
            progress=None if page.watermark is not None else page.progress,
            watermark=self.account.watermark if page.watermark is None else page.watermark,
            step=self.account.step + 1,
            last_fetch=now,
            error="",
            errors=0,
        )
        newest = max((post.created_at for post in posts), default=None)
        if newest and (account.last_new_post is None or newest > account.last_new_post):
            return replace(account, last_new_post=newest)
        return account

    def _check_not_overtaken(self) -> None:
        stored = Accounts(self._context.client).get(self.account.id)
        if stored is None or not stored.is_active or stored.step != self.account.step:
            raise OvertakenError


def _counted(account: Account, stored: Stored) -> Account:
    return replace(account, posts=account.posts + stored.new)
