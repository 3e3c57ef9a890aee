"""Posts as the APIs of three networks write them, in the shapes of recorded answers."""

import html
from datetime import UTC, datetime
from typing import Any

from tests.support.networks import Item, World

Json = dict[str, Any]


def rfc3339(time: datetime, timespec: str = "milliseconds") -> str:
    return time.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def x_page(world: World, items: list[Item], now: datetime, next_token: str | None) -> Json:
    """A page of API v2, with the users and posts that it refers to."""
    errors = [_x_gone(item.refers_to) for item in items if item.refers_to]
    users = {item.user: _x_user(world, item.user) for item in items}
    page: Json = {
        "data": [_tweet(world, item, now) for item in items],
        "includes": {"users": list(users.values())},
        "meta": {"result_count": len(items)},
    }
    if not items:
        page = {"meta": {"result_count": 0}}
    else:
        page["meta"] |= {"newest_id": str(items[0].number), "oldest_id": str(items[-1].number)}
    if errors:
        page["errors"] = errors
    if next_token:
        page["meta"]["next_token"] = next_token
    return page


def _x_user(world: World, user: str) -> Json:
    return {"id": world.user_id(user), "name": user.title(), "username": user}


def _tweet(world: World, item: Item, now: datetime) -> Json:
    text = item.text_at(now)
    tweet: Json = {
        "id": str(item.number),
        "author_id": world.user_id(item.user),
        "created_at": "once" if item.is_malformed else rfc3339(item.created),
        "edit_history_tweet_ids": [str(number) for number in item.versions],
        "text": text[:12] + "…" if item.link else text,
    }
    if item.link:
        # The long form stands apart, with its own links.
        entities = {"urls": [{"start": 0, "end": 23, "expanded_url": item.link}]}
        tweet["note_tweet"] = {"text": f"{text} {item.link}", "entities": entities}
    if item.refers_to:
        tweet["referenced_tweets"] = [{"type": "quoted", "id": str(item.refers_to.number)}]
    if item.is_withheld(now):
        tweet["withheld"] = {"copyright": True, "country_codes": ["XX"], "scope": "tweet"}
    return tweet


def _x_gone(item: Item) -> Json:
    return {
        "value": str(item.number),
        "detail": f"Could not find tweet with referenced_tweets.id: [{item.number}].",
        "title": "Not Found Error",
        "resource_type": "tweet",
        "parameter": "referenced_tweets.id",
        "resource_id": str(item.number),
        "type": "https://api.twitter.com/2/problems/resource-not-found",
    }


def bluesky_post(item: Item, now: datetime) -> Json:
    """One post view."""
    text = item.text_at(now)
    whole = f"{text} {item.link}" if item.link else text
    record: Json = {"$type": "app.bsky.feed.post", "text": whole, "langs": ["en"]}
    record["createdAt"] = "once" if item.is_malformed else rfc3339(item.created, "microseconds")
    if item.link:
        start = len(f"{text} ".encode())
        link = {"$type": "app.bsky.richtext.facet#link", "uri": item.link}
        index = {"byteStart": start, "byteEnd": len(whole.encode())}
        record["facets"] = [{"index": index, "features": [link]}]
    labels = [{"src": "did:plc:mod", "uri": item.uri, "val": "!takedown"}]
    return {
        "uri": item.uri,
        "cid": f"bafy{item.number}",
        "author": {"did": f"did:plc:{item.user}", "handle": item.user, "labels": []},
        "record": record,
        "replyCount": item.number % 3,
        "likeCount": (item.number + int(now.timestamp())) % 9,
        "indexedAt": "once" if item.is_malformed else rfc3339(item.created),
        "labels": labels if item.is_withheld(now) else [],
    }


def status(world: World, item: Item, now: datetime) -> Json:
    """One status of Mastodon; its content is HTML."""
    content = html.escape(item.text_at(now))
    if item.link:
        shown = html.escape(item.link)
        content += f' <a href="{shown}" rel="nofollow"><span>{shown}</span></a>'
    is_edited = item.edited is not None and item.edited <= now
    return {
        "id": str(item.number),
        "created_at": "once" if item.is_malformed else rfc3339(item.created),
        "in_reply_to_id": None,
        "sensitive": False,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "uri": f"https://social.test/users/{item.user}/statuses/{item.number}",
        "edited_at": rfc3339(item.edited) if is_edited and item.edited else None,
        "content": f"<p>{content}</p>",
        "reblog": None,
        "account": {"id": world.user_id(item.user), "username": item.user, "acct": item.user},
        "media_attachments": [],
        "mentions": [],
        "tags": [],
        "emojis": [],
        "favourites_count": item.number % 5,
    }
