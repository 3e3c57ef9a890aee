"""Commands about dead letters: what could not be read as a post."""

import json
from datetime import UTC, datetime
from itertools import islice

import click

from collector.cli.options import client_of, settings_of
from dfpipe.errors import UsageError
from service.options import STORE, format_option, limit_option
from service.tables import print_csv, print_table, printable
from service.times import rfc3339

IDS = click.argument("ids", metavar="[ID...]", nargs=-1)
ALL = click.option("--all", "everything", is_flag=True, help="All of them.")


@click.group(short_help="Inspect records that were set aside, and read them again.")
def deadletters() -> None:
    """Inspect records that could not be read as posts, read them again, or remove them."""


@deadletters.command("list", short_help="List them, the oldest first.")
@STORE
@format_option()
@limit_option(100)
def list_(store: str | None, format_: str, limit: int) -> None:
    """List dead letters, the oldest first."""
    from collector.fetching.dead_letters import DeadLetters

    with client_of(settings_of(store)) as client:
        letters = list(DeadLetters(client).list(limit))
    rows = [
        {"id": each.id, "time": rfc3339(each.time, "seconds")}
        | {"account": each.account, "error": each.error}
        for each in letters
    ]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif format_ == "csv":
        print_csv(rows)
    elif rows:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        click.echo("no dead letters")


@deadletters.command(short_help="Print one of them.")
@click.argument("letter_id", metavar="ID")
@STORE
def show(letter_id: str, store: str | None) -> None:
    """Print the JSON that could not be read as a post."""
    from collector.fetching.dead_letters import DeadLetters

    with client_of(settings_of(store)) as client:
        letter = DeadLetters(client).get(letter_id)
    if letter is None:
        raise _unknown(letter_id)
    click.echo(printable(letter.raw.decode(errors="replace")))
    if not letter.is_whole:
        click.echo("the record was too large to keep; this is its beginning", err=True)


@deadletters.command(short_help="Read them again, for example after an upgrade.")
@IDS
@ALL
@STORE
def replay(ids: tuple[str, ...], everything: bool, store: str | None) -> None:
    """Read dead letters again and store what they give; one that still gives no post is kept."""
    from collector.fetching.dead_letters import DeadLetters

    _check_which(ids, everything)
    with client_of(settings_of(store)) as client:
        letters = DeadLetters(client)
        chosen = [letters.get(letter_id) for letter_id in ids] or letters.list()
        for letter_id, letter in zip(ids, chosen, strict=False):
            if letter is None:
                raise _unknown(letter_id)
        done = letters.replay((letter for letter in chosen if letter), datetime.now(UTC))
    click.echo(
        f"{done.read:,} read ({done.stored.new:,} new, {done.stored.replaced:,} replaced, "
        f"{done.stored.seen:,} seen before), {done.kept:,} kept"
    )


@deadletters.command(short_help="Remove them.")
@IDS
@ALL
@STORE
def remove(ids: tuple[str, ...], everything: bool, store: str | None) -> None:
    """Remove dead letters for good."""
    from collector.fetching.dead_letters import DeadLetters

    _check_which(ids, everything)
    with client_of(settings_of(store)) as client:
        letters = DeadLetters(client)
        removed = letters.remove(ids)
        while everything and (some := [letter.id for letter in islice(letters.list(500), 500)]):
            removed += letters.remove(some)
    click.echo(f"{removed:,} removed")


def _check_which(ids: tuple[str, ...], everything: bool) -> None:
    if bool(ids) == everything:
        raise UsageError("name the dead letters by ID, or give --all")


def _unknown(letter_id: str) -> UsageError:
    return UsageError(
        f"no dead letter has the ID {letter_id}: list them with `collector deadletters list`"
    )


COMMANDS = (deadletters,)
