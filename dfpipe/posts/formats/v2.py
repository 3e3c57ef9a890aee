"""Tweets of the v2 API: pages with `data` and `includes`, and single tweets, flattened or not."""

from collections.abc import Iterator
from typing import Any

from dfpipe.posts.formats.result import (
    Deletion,
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
from dfpipe.posts.formats.v11 import WITHHELD, retweet_text
from dfpipe.posts.post import Post

Index = dict[object, object]  # what is included, by its id

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


def is_page(document: dict[str, Any]) -> bool:
    """Tell whether a document is a page, if an empty one, or a line of the stream."""
    if "data" in document or inside(document, "meta", "result_count") is not None:
        return True
    return isinstance(document.get("errors"), list) and "id" not in document


def is_tweet(document: dict[str, Any]) -> bool:
    """Tell whether a document is a single v2 tweet, such as a line of a flattened file.

    >>> is_tweet({"id": "1", "text": "Storm"}), is_tweet({"id": 1, "id_str": "1", "text": "Storm"})
    (True, False)
    """
    keys = document.keys()
    if not {"id", "text"} <= keys or not _ONLY_V11.isdisjoint(keys):
        return False
    return not _ONLY_V2.isdisjoint(keys) or (isinstance(document["id"], str) and keys <= _SHARED)


def tweet_results(tweet: dict[str, Any]) -> Iterator[Result]:
    """Yield what the page of a single tweet would give for it.

    Flattening, as `twarc2 flatten` does it, puts the user into `author` and the original of a
    retweet into its reference in `referenced_tweets`. A tweet without them gets the user "" and
    its own text.
    """
    originals = _index(tweet.get("referenced_tweets"))
    yield attempt(_post, tweet, inside(tweet, "author"), originals)
    yield from _earlier_versions(tweet)


def results(page: dict[str, Any]) -> Iterator[Result]:
    """Yield the posts of a page or stream line, and a deletion for each earlier version of one.

    Of `includes` the users' names and the originals of retweets are used; the tweets there are no
    posts of the page. The `errors` beside data concern what could not be included, and are passed
    over. A page that was asked for without dates gives those that the ids carry, and without
    authors the empty string.
    """
    data = page.get("data")
    if data is None and "errors" in page:
        yield Skip("an error answer without data")
    users = _index(inside(page, "includes", "users"))
    tweets = _index(inside(page, "includes", "tweets"))
    for tweet in data if isinstance(data, list) else [data] if data is not None else []:
        if not isinstance(tweet, dict):
            yield Skip("not an object in data")
            continue
        author = tweet.get("author_id")
        yield attempt(_post, tweet, users.get(author) if isinstance(author, str) else None, tweets)
        yield from _earlier_versions(tweet)


def _index(included: object) -> Index:
    found = ((inside(thing, "id"), thing) for thing in items(included))
    return {key: thing for key, thing in found if isinstance(key, str)}


def _post(tweet: dict[str, Any], author: object, tweets: Index) -> Post:
    withheld = tweet.get("withheld")
    if inside(withheld, "scope") == "user" or inside(withheld, "copyright") is True:
        raise RefusedError(WITHHELD)
    tid = parse_tid(tweet.get("id"))
    text, entities = _content(tweet)
    original, links = _content(tweets.get(_retweeted(tweet)))
    if isinstance(original, str):
        text, entities = retweet_text(text, original), links
    created_at = tweet.get("created_at")
    return make_post(
        tid,
        inside(author, "username"),
        text,
        snowflake_time(tid) if created_at is None else parse_time(created_at),
        _urls(entities),
    )


def _content(tweet: object) -> tuple[object, object]:
    note = inside(tweet, "note_tweet")
    if isinstance(inside(note, "text"), str):
        return inside(note, "text"), inside(note, "entities")
    return inside(tweet, "text"), inside(tweet, "entities")


def _retweeted(tweet: dict[str, Any]) -> str | None:
    for reference in items(tweet.get("referenced_tweets")):
        tid = inside(reference, "id")
        if inside(reference, "type") == "retweeted" and isinstance(tid, str):
            return tid
    return None


def _urls(entities: object) -> list[str]:
    links = items(inside(entities, "urls"))
    return strings(_target(link) for link in links if not _shows_own_media(link))


def _target(link: object) -> object:
    return inside(link, "unwound_url") or inside(link, "expanded_url") or inside(link, "url")


def _shows_own_media(link: object) -> bool:
    # As in v1.1, where the link to the tweet's own picture or video is kept apart from the others.
    shown = inside(link, "display_url")
    return isinstance(shown, str) and shown.startswith(("pic.twitter.com/", "pic.x.com/"))


def _earlier_versions(tweet: dict[str, Any]) -> Iterator[Result]:
    """Yield a deletion for each version before this one; each has an id of its own."""
    history = items(tweet.get("edit_history_tweet_ids"))
    if tweet.get("id") in history:
        for tid in history[: history.index(tweet["id"])]:
            yield attempt(_replaced, tid)


def _replaced(tid: object) -> Deletion:
    return Deletion(parse_tid(tid))
