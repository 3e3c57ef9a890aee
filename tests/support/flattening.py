"""Pages of X's v2 API as single tweets, the way `twarc2 flatten` writes them."""

from typing import Any


def flattened(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tweets of a page, each with what it refers to in `includes` written into it."""
    data = page.get("data", [])
    includes = page.get("includes", {})
    users = {user["id"]: user for user in includes.get("users", [])}
    polls = {poll["id"]: poll for poll in includes.get("polls", [])}
    tweets = {tweet["id"]: _with_poll(tweet, polls) for tweet in includes.get("tweets", [])}
    return [
        _expanded(_with_poll(tweet, polls), users, tweets)
        for tweet in (data if isinstance(data, list) else [data])
    ]


def _with_poll(tweet: dict[str, Any], polls: dict[str, Any]) -> dict[str, Any]:
    attachments = tweet.get("attachments", {})
    if not attachments.get("poll_ids"):
        return tweet
    return tweet | {"attachments": attachments | {"poll": polls.get(attachments["poll_ids"][-1])}}


def _expanded(
    tweet: dict[str, Any], users: dict[str, Any], tweets: dict[str, Any], depth: int = 2
) -> dict[str, Any]:
    expanded = dict(tweet)
    if "author_id" in tweet:
        expanded["author"] = users.get(tweet["author_id"], {})
    if "in_reply_to_user_id" in tweet:
        expanded["in_reply_to_user"] = users.get(tweet["in_reply_to_user_id"], {})
    if "referenced_tweets" in tweet and depth:
        expanded["referenced_tweets"] = [
            reference | _expanded(tweets.get(reference["id"], {}), users, tweets, depth - 1)
            for reference in tweet["referenced_tweets"]
        ]
    return expanded
