"""Tweets of the v2 API: pages with `data` and `includes`, and single tweets, flattened or not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dfpipe.posts.formats.result import (
    Deletion,
    Json,
    RefusedError,
    Result,
    Skip,
    attempt,
    inside,
    items,
    make_post,
    parse_tid,
    parse_time,
    snowflake_time,
    strings,
)
from dfpipe.posts.formats.x_posts import WITHHELD, post_links, retweet_text
from dfpipe.posts.post import Post

_INCLUDES = frozenset(("users", "tweets", "media", "places", "polls", "topics"))
_PAGE_FILE = re.compile(r"(.*/|)(data|users)(_\w+\.json)", re.DOTALL)
INCLUDED = ("users", "tweets", "polls")  # kinds of `includes` that are used
POLL_IDS = ("attachments", "poll_ids")  # where the ids of a tweet's polls are
Index = dict[str, object]  # things by their ids


@dataclass(frozen=True, slots=True)
class Included:
    """The users, media and tweets that the tweets of a page refer to."""

    users: Index
    tweets: Index
    polls: Index


# Fields that tweets have in the v2 API alone, and fields that tell a v1.1 tweet.
_ONLY_V2 = frozenset(
    (
        "author_id",
        "context_annotations",
        "conversation_id",
        "edit_controls",
        "edit_history_tweet_ids",
        "note_tweet",
        "public_metrics",
        "referenced_tweets",
        "reply_settings",
        "withheld",
    )
)
_ONLY_V11 = frozenset(("id_str", "full_text", "user", "retweeted_status"))
# Fields that other records may have too: one of these alone is a tweet if its id is a string.
_SHARED = frozenset(
    (
        "id",
        "text",
        "attachments",
        "created_at",
        "entities",
        "geo",
        "in_reply_to_user",
        "in_reply_to_user_id",
        "lang",
        "possibly_sensitive",
        "source",
        "__twarc",
    )
)


def is_page(document: Json) -> bool:
    """Tell whether a document is a page, if an empty one, or a line of the stream."""
    if "data" in document or inside(document, "meta", "result_count") is not None:
        return True
    return isinstance(document.get("errors"), list) and "id" not in document


def is_tweet(document: Json) -> bool:
    """Tell whether a document is a single v2 tweet, such as a line of a flattened file.

    >>> is_tweet({"id": "1", "text": "Storm"}), is_tweet({"id": 1, "id_str": "1", "text": "Storm"})
    (True, False)
    """
    keys = document.keys()
    if not {"id", "text"} <= keys or not _ONLY_V11.isdisjoint(keys):
        return False
    return not _ONLY_V2.isdisjoint(keys) or (isinstance(document["id"], str) and keys <= _SHARED)


def tweet_results(tweet: Json) -> Iterator[Result]:
    """Yield what the page of a single tweet would give for it.

    Flattening, as `twarc2 flatten` does it, puts the user into `author`, the original of a retweet
    into its reference in `referenced_tweets`, and a poll into `attachments`. A tweet without a user
    gets the user "", and a retweet without its original keeps its own text.
    """
    yield from _results(tweet, Included({}, {}, {}))


def is_includes(document: Json) -> bool:
    """Tell whether a document is the `includes` of a page alone."""
    return isinstance(document.get("users"), list) and document.keys() <= _INCLUDES


def includes_results(includes: Json) -> Iterator[Result]:
    """Yield nothing: what tweets refer to is not posts."""
    return iter(())


def page_files(name: str) -> tuple[str, str] | None:
    """Return the names of the two files of a page, data and includes, given either; else None.

    academictwitteR writes a page so.

    >>> page_files("tweets/users_17.json"), page_files("data.json")
    (('tweets/data_17.json', 'tweets/users_17.json'), None)
    """
    found = _PAGE_FILE.fullmatch(name)
    return (f"{found[1]}data{found[3]}", f"{found[1]}users{found[3]}") if found else None


def results(page: Json) -> Iterator[Result]:
    """Yield the posts of a page or stream line, and a deletion for each earlier version of one.

    Of `includes` the users' names, the originals of retweets and the polls are used; the tweets
    there are not posts of the page. The `errors` beside data concern what could not be included,
    and are passed over. A page that was asked for without dates gives those that the ids carry, and
    without authors the empty string.
    """
    data = page.get("data")
    if data is None and "errors" in page:
        yield Skip("an error answer without data")
    yield from data_results(data, included(page.get("includes")))


def data_results(data: object, referred: Included) -> Iterator[Result]:
    """Yield what the data of a page give, a list of tweets or one, with what they refer to."""
    for tweet in data if isinstance(data, list) else [data] if data is not None else []:
        if isinstance(tweet, dict):
            yield from _results(tweet, referred)
        else:
            yield Skip("not an object in data")


def included(includes: object) -> Included:
    """Return the things of a page's `includes` by their ids."""
    return Included(*(_index(inside(includes, kind)) for kind in INCLUDED))


def _index(things: object) -> Index:
    found = ((inside(thing, "id"), thing) for thing in items(things))
    return {key: thing for key, thing in found if isinstance(key, str)}


def _results(tweet: Json, referred: Included) -> Iterator[Result]:
    yield attempt(_post, tweet, referred)
    yield from _earlier_versions(tweet)


def _post(tweet: Json, referred: Included) -> Post:
    withheld = tweet.get("withheld")
    if inside(withheld, "scope") == "user" or inside(withheld, "copyright") is True:
        raise RefusedError(WITHHELD)
    tid = parse_tid(tweet.get("id"))
    text, entities = _content(tweet, referred)
    reference = _retweeted(tweet)
    retweeted = inside(reference, "id")
    original, links = _content(_found(referred.tweets, retweeted) or reference, referred)
    if isinstance(original, str):
        text, entities = retweet_text(text, original), links
    created_at = tweet.get("created_at")
    return make_post(
        tid,
        inside(tweet.get("author") or _found(referred.users, tweet.get("author_id")), "username"),
        text,
        snowflake_time(tid) if created_at is None else parse_time(created_at),
        post_links(entities, text, tid, retweeted),
    )


def _found(index: Index, key: object) -> object:
    return index.get(key) if isinstance(key, str) else None


def _retweeted(tweet: Json) -> object:
    """Return the reference to the original of a retweet, or None."""
    references = items(tweet.get("referenced_tweets"))
    return next((ref for ref in references if inside(ref, "type") == "retweeted"), None)


def _content(tweet: object, referred: Included) -> tuple[object, object]:
    note = inside(tweet, "note_tweet")
    source = note if isinstance(inside(note, "text"), str) else tweet
    text = inside(source, "text")
    if isinstance(text, str):
        text = "\n".join((text, *_poll_options(tweet, referred)))
    return text, inside(source, "entities")


def _poll_options(tweet: object, referred: Included) -> list[str]:
    ids = items(inside(tweet, *POLL_IDS))[-1:]  # a tweet has one poll at most
    poll = inside(tweet, "attachments", "poll")
    poll = poll or next((_found(referred.polls, key) for key in ids), None)
    return strings(inside(option, "label") for option in items(inside(poll, "options")))


def _earlier_versions(tweet: Json) -> Iterator[Result]:
    """Yield a deletion for each version before this one; each has an id of its own."""
    history = items(tweet.get("edit_history_tweet_ids"))
    if tweet.get("id") in history:
        for tid in history[: history.index(tweet["id"])]:
            yield attempt(_replaced, tid)


def _replaced(tid: object) -> Deletion:
    return Deletion(parse_tid(tid))
