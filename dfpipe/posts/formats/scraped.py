"""Tweets as programs wrote them that read X's pages: snscrape, twscrape and twint."""

from collections.abc import Iterator
from datetime import datetime

from dfpipe.posts.formats.result import (
    Json,
    RefusedError,
    Result,
    attempt,
    inside,
    items,
    make_post,
    parse_tid,
    parse_time,
    snowflake_time,
)
from dfpipe.posts.formats.x_posts import post_links, retweet_text
from dfpipe.posts.post import Post

_TWEET = "snscrape.modules.twitter.Tweet"


def is_snscrape(document: Json) -> bool:
    """Tell whether a document is a tweet of snscrape or twscrape; the text was once `content`."""
    keys = document.keys()
    has_text = "rawContent" in keys or {"content", "renderedContent"} <= keys
    return {"id", "date"} <= keys and has_text and document.get("_type", _TWEET) == _TWEET


def snscrape_results(tweet: Json) -> Iterator[Result]:
    """Yield the post of a tweet; a retweet has the whole text and the links of its original."""
    yield attempt(_snscrape_post, tweet)


def _snscrape_post(tweet: Json) -> Post:
    tid = parse_tid(tweet.get("id_str"), tweet.get("id"))
    retweeted = tweet.get("retweetedTweet")
    text, source = _raw_content(tweet), tweet
    original = _raw_content(retweeted)
    if isinstance(original, str) and isinstance(retweeted, dict):
        text, source = retweet_text(text, original), retweeted
    return make_post(
        tid,
        inside(tweet, "user", "username") or tweet.get("username"),
        text,
        parse_time(tweet.get("date")),
        post_links({"urls": _links(source)}, text, tid, inside(retweeted, "id")),
    )


def _raw_content(tweet: object) -> object:
    return inside(tweet, "rawContent") or inside(tweet, "content")


def _links(tweet: Json) -> list[object]:
    links = items(tweet.get("links"))
    return links or [{"url": url} for url in items(tweet.get("outlinks"))]


def is_twint(document: Json) -> bool:
    """Tell whether a document is a tweet of twint."""
    keys = document.keys()
    return {"id", "username", "conversation_id"} <= keys and isinstance(document.get("tweet"), str)


def twint_results(tweet: Json) -> Iterator[Result]:
    """Yield the post of a tweet."""
    yield attempt(_twint_post, tweet)


def _twint_post(tweet: Json) -> Post:
    tid = parse_tid(tweet.get("id"))
    text = tweet.get("tweet")
    links = {"urls": [{"url": url} for url in items(tweet.get("urls"))]}
    return make_post(
        tid, tweet.get("username"), text, _twint_time(tid, tweet), post_links(links, text, tid)
    )


def _twint_time(tid: int, tweet: Json) -> datetime:
    """Return the time that the id carries: what twint writes is in the zone of its computer."""
    try:
        return snowflake_time(tid)
    except RefusedError:
        date, clock, zone = (str(tweet.get(key)) for key in ("date", "time", "timezone"))
        return parse_time(f"{date}T{clock}{zone}")
