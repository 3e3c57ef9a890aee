"""A synthetic timeline: several days of posts with stories that rise and fall."""

import math
import random
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from dfpipe.demo.texts import (
    CHATTER_LINKS,
    COMMENTS,
    EMOJI,
    FOREIGN,
    NAMES,
    OPENERS,
    STORIES,
    THINGS,
    TRACKING,
    Story,
)
from dfpipe.posts.post import Post

SEED = 2017
HOUR = timedelta(hours=1)
CHATTER_SIZE = 60  # posts an hour at noon, as Story.size
HOURS_BETWEEN_STORIES = 12
STORY_RISES, STORY_FALLS, STORY_ENDS = 8.0, 16.0, 72  # hours; it falls to 1/e
# Twitter's form of an id: milliseconds since this time of the Unix epoch, then 22 bits.
ID_EPOCH_MS = 1288834974657
_CHOICE = re.compile(r"\{([^{}]*)\}")


def timeline(start: datetime, end: datetime, seed: int = SEED) -> Iterator[Post]:
    """Yield the posts of `start <= created_at < end` in the order of time.

    They depend on the times and the seed alone: two adjoining parts of a timeline are the whole,
    and a part that is made again is the same, with the same ids.
    """
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield from (post for post in _posts_of_hour(hour, seed) if start <= post.created_at < end)
        hour += HOUR


def _posts_of_hour(hour: datetime, seed: int) -> Iterator[Post]:
    number = int(hour.timestamp()) // 3600
    # The same numbers on every machine, and nothing secret.
    rng = random.Random(f"{seed}/{number}")  # noqa: S311
    sizes = [CHATTER_SIZE, *(story_size(i, number) for i in range(len(STORIES)))]
    subjects: list[Story | None] = [None, *STORIES]
    day = daily_rhythm(hour.hour)
    count = round(sum(sizes) * day * rng.uniform(0.9, 1.1))
    for millisecond in sorted(rng.sample(range(3_600_000), count)):
        created_at = hour + timedelta(milliseconds=millisecond)
        (story,) = rng.choices(subjects, sizes)
        yield _post(created_at, story, rng)


def story_size(index: int, hour: int) -> float:
    """Return the posts on a story in an hour of the Unix epoch: a quick rise and a slow fall.

    >>> [round(story_size(0, hour), 1) for hour in (0, 4, 8, 24, 72)]
    [0.0, 17.0, 34.0, 12.5, 0.0]
    """
    age = (hour - index * HOURS_BETWEEN_STORIES) % (HOURS_BETWEEN_STORIES * len(STORIES))
    if age >= STORY_ENDS:
        return 0.0
    height = min(age / STORY_RISES, math.exp((STORY_RISES - age) / STORY_FALLS))
    return STORIES[index].size * height


def daily_rhythm(hour: int) -> float:
    """Return how awake people are in an hour of the day in UTC, from 0.2 to 1.

    >>> [round(daily_rhythm(hour), 1) for hour in (3, 9, 15)]
    [0.2, 0.6, 1.0]
    """
    return 0.6 - 0.4 * math.cos((hour - 3) / 24 * math.tau)


def _post(created_at: datetime, story: Story | None, rng: random.Random) -> Post:
    milliseconds = round(created_at.timestamp() * 1000)
    user, text = _user(rng), _text(story, rng)
    urls: tuple[str, ...] = ()
    if rng.random() < (0.3 if story else 0.06):
        url = _zipf(story.links if story else CHATTER_LINKS, rng)
        urls = (_with_tracking(url, rng),)
        text += f" https://t.example/{rng.randrange(36**5):05x}"
    return Post(
        tid=(milliseconds - ID_EPOCH_MS) << 22 | rng.getrandbits(12),
        user=user,
        text=text,
        created_at=created_at,
        urls=urls,
    )


def _text(story: Story | None, rng: random.Random) -> str:
    line = rng.choice(story.lines) if story else _chatter(rng)
    text = _CHOICE.sub(lambda match: _zipf(match[1].split("|"), rng), line)
    if story and rng.random() < 0.35:
        text += f" #{story.tag}"
    if rng.random() < 0.15:
        text += f" {_zipf(EMOJI, rng)}"
    kind = rng.random()
    if kind < 0.12:
        return f"RT @{_user(rng)}: {text}"
    return f"@{_user(rng)} {text}" if kind < 0.22 else text


def _chatter(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(FOREIGN)
    return " ".join(rng.choice(part) for part in (OPENERS, THINGS, COMMENTS))


def _user(rng: random.Random) -> str:
    return f"demo_{_zipf(NAMES, rng)}" + _zipf(("", "_2", "_3", "_4"), rng)


def _with_tracking(url: str, rng: random.Random) -> str:
    """Return a link as it is shared: sometimes with parameters that do not belong to the page."""
    if rng.random() < 0.6 or "#" in url:
        return url
    tracking = rng.choice(TRACKING).format(n=rng.randrange(10_000))
    return f"{url}{'&' if '?' in url else '?'}{tracking}"


def _zipf(items: Sequence[str], rng: random.Random) -> str:
    """Choose one: the second half as often as the first, the third a third as often, and so on."""
    weights = list(accumulate(1 / rank for rank in range(1, len(items) + 1)))
    return rng.choices(items, cum_weights=weights)[0]
