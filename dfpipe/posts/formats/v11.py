"""Tweets of the v1.1 API: stream lines, REST pages, and those of a personal archive."""

from collections.abc import Iterator

from dfpipe.posts.formats import v2
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
    strings,
)
from dfpipe.posts.formats.x_posts import WITHHELD, post_links, retweet_text
from dfpipe.posts.post import Post

# What a stream sends beside tweets; a deletion is the only one of them that changes posts.
NOTICES = frozenset(
    ("limit", "scrub_geo", "status_withheld", "user_withheld", "disconnect", "warning", "event")
)
_IDS = frozenset(("id", "id_str"))
_TEXTS = frozenset(("text", "full_text"))
# Codes that stand for every country, and for a claim of copyright.
_WITHHELD_EVERYWHERE = {"XX", "XY"}
NOTICE = "a notice of the stream that concerns no single post"


def is_notice(document: Json) -> bool:
    """Tell whether a document is a notice of the stream, which comes beside tweets."""
    return "delete" in document or not NOTICES.isdisjoint(document)


def is_tweet(document: Json) -> bool:
    """Tell whether a document has an id and a text, and is not a tweet of v2."""
    has_both = not _IDS.isdisjoint(document) and not _TEXTS.isdisjoint(document)
    return has_both and not v2.is_tweet(document)


def results(tweet: Json) -> Iterator[Result]:
    """Yield the post of a tweet, or the deletion of a notice.

    The long form of the text is taken, wherever it is. A retweet is "RT @user: " and the long
    text of its original, with the original's links (see `post_links`). Where no user is given (as
    in a personal archive) it is the empty string.
    """
    if "delete" in tweet:
        yield attempt(_deletion, tweet)
    elif not NOTICES.isdisjoint(tweet):
        yield Skip(NOTICE)
    else:
        yield attempt(_post, tweet)


def _deletion(notice: Json) -> Deletion:
    status = inside(notice, "delete", "status")
    return Deletion(parse_tid(inside(status, "id_str"), inside(status, "id")))


def _post(tweet: Json) -> Post:
    if _is_withheld(tweet):
        raise RefusedError(WITHHELD)
    text, entities = _content(tweet)
    retweeted = tweet.get("retweeted_status")
    original, links = _content(retweeted)
    if isinstance(original, str):
        text, entities = retweet_text(text, original), links
    tid = parse_tid(tweet.get("id_str"), tweet.get("id"))
    return make_post(
        tid,
        inside(tweet, "user", "screen_name"),
        text,
        parse_time(tweet.get("created_at")),
        post_links(entities, text, tid, inside(retweeted, "id_str")),
    )


def _is_withheld(tweet: Json) -> bool:
    countries = set(strings(items(tweet.get("withheld_in_countries"))))
    return (
        tweet.get("withheld_copyright") is True
        or tweet.get("withheld_scope") == "user"
        or not countries.isdisjoint(_WITHHELD_EVERYWHERE)
    )


def _content(tweet: object) -> tuple[object, object]:
    extended = inside(tweet, "extended_tweet")
    if isinstance(inside(extended, "full_text"), str):
        return inside(extended, "full_text"), inside(extended, "entities")
    full_text = inside(tweet, "full_text")
    text = inside(tweet, "text") if full_text is None else full_text
    return text, inside(tweet, "entities")
