"""What three networks hold, and what of it is seen at a time: the truth for a collector."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

TID_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"
X_EPOCH_MS = 1_288_834_974_657
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime.fromtimestamp(0, UTC)


def milliseconds(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND


@dataclass
class Item:
    """One post on one network.

    It is seen from `visible` on, which may be later than `created`, until `gone`. From `edited` on
    its text is another. A malformed one has no time that can be read, a withheld one (from then on)
    no text worth keeping. `link` is a URL in it; `refers_to` names a post that it points to.
    """

    network: str
    user: str
    number: int
    created: datetime
    visible: datetime
    text: str
    is_malformed: bool = False
    edited: datetime | None = None
    new_text: str = ""
    withheld: datetime | None = None
    gone: datetime | None = None
    versions: list[int] = field(default_factory=list)
    refers_to: "Item | None" = None
    link: str = ""

    @property
    def key(self) -> str:
        """The record key on Bluesky: the number in letters, 5 bits each."""
        return "".join(TID_LETTERS[self.number >> shift & 31] for shift in range(60, -1, -5))

    @property
    def uri(self) -> str:
        return f"at://did:plc:{self.user}/app.bsky.feed.post/{self.key}"

    def text_at(self, now: datetime) -> str:
        return self.new_text if self.edited and self.edited <= now else self.text

    def is_seen(self, now: datetime) -> bool:
        return self.visible <= now and not (self.gone and self.gone <= now)

    def is_withheld(self, now: datetime) -> bool:
        return self.withheld is not None and self.withheld <= now


class World:
    """The timelines of all networks: items by (network, name of the timeline)."""

    def __init__(self) -> None:
        self.timelines: dict[tuple[str, str], list[Item]] = {}
        self.users: dict[str, str] = {}  # of X and Mastodon: names by their ids
        self._last = 0

    def timeline(self, network: str, name: str) -> list[Item]:
        return self.timelines.setdefault((network, name), [])

    def user_id(self, user: str) -> str:
        """The number of a user."""
        for known, name in self.users.items():
            if name == user:
                return known
        self.users[str(1000 + len(self.users))] = user
        return str(999 + len(self.users))

    def number(self, network: str, created: datetime) -> int:
        """A new id of that time, as the network makes them."""
        self._last += 1
        if network == "x":
            return (milliseconds(created) - X_EPOCH_MS) << 22 | self._last & 0x3FFFFF
        if network == "mastodon":
            return milliseconds(created) << 16 | self._last & 0xFFFF
        return (created - EPOCH) // timedelta(microseconds=1) << 10 | self._last & 0x3FF

    def post(
        self,
        network: str,
        timelines: list[str],
        user: str,
        created: datetime,
        text: str,
        visible: datetime | None = None,
    ) -> Item:
        """Add a post to some timelines."""
        self.user_id(user)
        number = self.number(network, created)
        item = Item(network, user, number, created, visible or created, text, versions=[number])
        for name in timelines:
            self.timeline(network, name).append(item)
        return item

    def seen(self, network: str, name: str, now: datetime) -> list[Item]:
        """What a timeline shows, the newest first."""
        items = [item for item in self.timeline(network, name) if item.is_seen(now)]
        return sorted(items, key=lambda item: item.number, reverse=True)

    def expected(self, now: datetime) -> dict[int, tuple[str, str]]:
        """The posts that must be stored in the end: user and text by id."""
        return {
            item.number: (item.user, item.text_at(now) + (f" {item.link}" if item.link else ""))
            for items in self.timelines.values()
            for item in items
            if item.is_seen(now) and not item.is_malformed and not item.is_withheld(now)
        }

    def malformed(self) -> set[int]:
        """The ids of what cannot be read."""
        return {i.number for items in self.timelines.values() for i in items if i.is_malformed}


class Life:
    """Fills a world with a time of random posts, edits and deletions; half fall on busy times."""

    def __init__(self, world: World, rng: random.Random, busy: list[datetime]) -> None:
        self.world = world
        self.rng = rng
        self.busy = busy

    def live(
        self,
        network: str,
        timelines: list[str],
        user: str,
        start: datetime,
        days: float,
        posts: int,
    ) -> None:
        """Posts of one user at random times."""
        seconds = days * 86_400
        for number in range(posts):
            created = start + timedelta(milliseconds=int(self.rng.random() * seconds * 1000))
            if self.busy and number % 2:
                near = timedelta(milliseconds=self.rng.randrange(-3_600_000, 1_000_000))
                created = self.rng.choice(self.busy) + near
            item = self.world.post(network, timelines, user, created, f"{user} says {number} é😀")
            self._happen(item, timelines)

    def _happen(self, item: Item, timelines: list[str]) -> None:
        """What may come to a post within an hour."""
        later = item.created + timedelta(minutes=self.rng.uniform(1, 50))
        chance = self.rng.random()
        if chance < 0.05:
            item.is_malformed = True
        elif chance < 0.10:
            item.link = f"https://example.org/{item.number}?a=1&b=2"
        elif item.network == "x" and chance < 0.20:
            self._edit_on_x(item, timelines, later)
        elif item.network == "x" and chance < 0.25:
            item.withheld = item.created
        elif item.network == "x" and chance < 0.30:
            self._delete_on_x(item, timelines, later)
        elif item.network != "x" and chance < 0.25:
            item.visible = later
        elif item.network == "mastodon" and chance < 0.50:
            item.edited, item.new_text = later, f"{item.text} (edited)"
        elif item.network == "bluesky" and chance < 0.50:
            item.withheld = later

    def _edit_on_x(self, item: Item, timelines: list[str], later: datetime) -> None:
        """An edited post is another one, which names the versions before it."""
        text = f"{item.text} (edited)"
        newer = self.world.post("x", timelines, item.user, later, text)
        newer.versions = [item.number, newer.number]
        item.gone = later

    def _delete_on_x(self, item: Item, timelines: list[str], later: datetime) -> None:
        """Word of a deletion comes with the next post that refers to it."""
        after = later + timedelta(seconds=self.rng.uniform(1, 1000))
        quote = self.world.post("x", timelines, item.user, after, f"about {item.number}")
        quote.refers_to = item
        item.gone = later
