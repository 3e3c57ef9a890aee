"""What posts of X have in common, whichever way they were obtained: retweets and links."""

import re
from collections.abc import Iterator

from dfpipe.posts.formats.result import inside, items, strings

WITHHELD = "withheld: the text is a notice of the platform"
_RETWEET = re.compile(r"RT @\w+: ")
_OWN_STATUS = re.compile(
    r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/i/web/status/(\d+)", re.IGNORECASE
)
# Punctuation after a link is not part of it; a link that was cut leads nowhere.
_WRITTEN = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_SHORTENER = re.compile(r"https?://t\.co/", re.IGNORECASE)
_CUT = ("…", "...")
_AFTER = ".,;:!?'’”)]}*"


def retweet_text(text: object, original: str) -> str:
    """Return the "RT @user: " of a retweet's own text, with the whole text of its original.

    >>> retweet_text("RT @anna: good mor…", "good morning")
    'RT @anna: good morning'
    """
    prefix = _RETWEET.match(text) if isinstance(text, str) else None
    return (prefix.group() if prefix else "") + original


def post_links(entities: object, text: object, *tids: object) -> list[str]:
    """Return where the links of a post lead, in the order of the text.

    A link that X has followed to its end gives that end. The links to the post's own pictures and
    to the post itself, which has one of these ids, are left out. Posts of before t.co may have
    their links in the text alone.
    """
    links = items(inside(entities, "urls"))
    targets = strings(_target(link) for link in links if not _shows_own_media(link))
    own_ids = {str(tid) for tid in tids}
    kept = [url for url in targets if not _is_own_status(url, own_ids)]
    return kept if links else list(_written_links(text))


def _target(link: object) -> object:
    return (
        inside(link, "unwound", "url")
        or inside(link, "unwound_url")
        or inside(link, "expanded_url")
        or inside(link, "url")
    )


def _shows_own_media(link: object) -> bool:
    # In v1.1 such a link is not among the entities' `urls`.
    shown = inside(link, "display_url")
    return isinstance(shown, str) and shown.startswith(("pic.twitter.com/", "pic.x.com/"))


def _is_own_status(url: str, tids: set[str]) -> bool:
    status = _OWN_STATUS.match(url)
    return status is not None and status[1] in tids


def _written_links(text: object) -> Iterator[str]:
    """Yield the links of a text of before t.co, which has no link of X's shortener."""
    if not isinstance(text, str) or "://" not in text or _SHORTENER.search(text):
        return
    for url in _WRITTEN.findall(text):
        if not url.endswith(_CUT):
            yield url.rstrip(_AFTER)
