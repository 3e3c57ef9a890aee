"""Commands about accounts: follow, unfollow, accounts, fetch and purge."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from collector.cli.options import client_of, settings_of
from dfpipe.errors import DfpipeError, UsageError
from service.cli import is_quiet
from service.options import STORE, format_option, limit_option
from service.tables import print_csv, print_table
from service.times import parse_duration

if TYPE_CHECKING:
    from collector.fetching.fetching import Outcome

ACCOUNT = click.argument("account", metavar="SOURCE:NAME")
TO_THE_END = 1e7  # seconds


class NotFetchedError(DfpipeError):
    """A fetch could not be finished."""


@click.command(short_help="Follow an account.")
@ACCOUNT
@STORE
def follow(account: str, store: str | None) -> None:
    """Follow an account, such as x:home, bluesky:timeline or mastodon:#tag.

    An account that was unfollowed, or stopped because its source refused it, resumes where it
    stopped.
    """
    from collector.fetching.accounts import Accounts

    with client_of(settings_of(store)) as client:
        is_new = Accounts(client).follow(account, datetime.now(UTC))
    click.echo(f"{account} is followed" + ("" if is_new else " already"))


@click.command(short_help="Stop following an account; its posts stay.")
@ACCOUNT
@STORE
def unfollow(account: str, store: str | None) -> None:
    """Stop following an account; its posts stay."""
    from collector.fetching.accounts import Accounts

    with client_of(settings_of(store)) as client:
        if not Accounts(client).unfollow(account):
            raise UsageError(
                f"{account} is not followed: `collector accounts` lists the accounts that are"
            )
    click.echo(f"{account} is no longer followed")


@click.command(short_help="List the accounts and their state.")
@STORE
@format_option()
@limit_option(None)
def accounts(store: str | None, format_: str, limit: int | None) -> None:
    """List the accounts with state, last fetch, last new post, posts a day, and errors in a row."""
    from collector.fetching.accounts import Accounts
    from collector.status import about

    with client_of(settings_of(store)) as client:
        known = Accounts(client).all()
        found = [about(account, datetime.now(UTC)) for account in known[:limit]]
    if format_ == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif format_ == "csv":
        print_csv(found)
    elif not found:
        click.echo("no accounts yet: follow one with `collector follow SOURCE:NAME`")
    else:
        names = ("id", "state", "last_fetch", "last_new_post", "posts", "posts_a_day", "errors")
        heads = ("account", *(name.replace("_", " ") for name in names[1:]), "why")
        rows = [[*(each[n] for n in names), each["reason"] or each["error"]] for each in found]
        print_table(heads, rows)


@click.command(short_help="Fetch the new posts of one account now.")
@ACCOUNT
@STORE
def fetch(account: str, store: str | None) -> None:
    """Fetch all new posts of one followed account now.

    An interrupted fetch keeps what it stored, and the next one resumes there.
    """
    from collector.fetching.accounts import Accounts, parse_account
    from collector.fetching.fetching import Context
    from collector.fetching.fetching import fetch as fetch_account

    settings = settings_of(store)
    account = ":".join(parse_account(account))
    # Its log lines would repeat the summary at its end, or the error.
    logging.getLogger().addHandler(logging.NullHandler())
    with client_of(settings) as client:
        known = Accounts(client).get(account)
        if known is None or not known.is_active:
            why = f" ({known.reason})" if known else ""
            raise UsageError(
                f"{account} is not followed{why}: follow it with `collector follow '{account}'`"
            )
        with _line(account) as show:
            outcome = fetch_account(
                Context(client, settings), account, limit_seconds=TO_THE_END, on_page=show
            )
    click.echo(f"{account}: {summary(outcome)}")
    if outcome.is_overtaken:
        raise NotFetchedError(f"another fetch of {account} is running and continues instead")
    if outcome.retry_at:
        raise NotFetchedError(f"{outcome.reason} (fetch again then: it resumes where it stopped)")


def summary(outcome: "Outcome") -> str:
    """The numbers of a fetch as a line of text.

    >>> from collector.fetching.fetching import Outcome
    >>> summary(Outcome(set_aside=1))
    '0 new, 0 replaced, 0 seen before, 0 removed, 1 set aside'
    """
    stored = outcome.stored
    return (
        f"{stored.new:,} new, {stored.replaced:,} replaced, {stored.seen:,} seen before, "
        f"{stored.removed:,} removed, {outcome.set_aside:,} set aside"
    )


@contextmanager
def _line(account: str) -> Iterator[Callable[["Outcome"], None]]:
    """A function that shows how far a fetch is, on standard error if that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal or is_quiet():
        yield lambda outcome: None
        return
    with console.status(f"{account}: asking") as line:
        yield lambda outcome: line.update(f"{account}: {summary(outcome)}")


@click.command(short_help="Remove old posts.")
@STORE
@click.option(
    "--older-than",
    metavar="AGE",
    help="Such as 30d or 36h, since a post was written.  [default: COLLECTOR_KEEP, else 30d]",
)
def purge(store: str | None, older_than: str | None) -> None:
    """Remove posts older than the given age, 500 at a time."""
    from rich.console import Console

    from dfpipe.posts.purging import purge as purge_posts

    settings = settings_of(store)
    age = _age(older_than) if older_than else settings.keep
    until = datetime.now(UTC) - age
    removed = 0
    console = Console(stderr=True, quiet=is_quiet())
    with client_of(settings) as client, console.status("removing") as line:
        for removed in purge_posts(client, until):  # the last one is the sum
            line.update(f"removed {removed:,} posts")
    click.echo(f"{removed:,} removed, written before {until:%Y-%m-%dT%H:%M:%SZ}")


def _age(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--older-than is {error}") from error


COMMANDS = (follow, unfollow, accounts, fetch, purge)
