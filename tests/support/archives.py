"""Archives as tests read them, and personal archives of X as they are downloaded."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dfpipe.posts.archives import read
from dfpipe.posts.containers import ArchiveFile, Failure, Warned
from dfpipe.posts.formats.result import ArchiveError, Result


def records(path: Path) -> Iterator[tuple[str, Result]]:
    """Yield the records of an archive, each with its place, such as "12" for a line of a file.

    Raises what a Failure holds, and ArchiveError for a warning.
    """
    for place, found in read(ArchiveFile(path.name, path)):
        if isinstance(found, Failure):
            raise found.error
        if isinstance(found, Warned):
            raise ArchiveError(found.message)
        if isinstance(found, Result):
            yield place.removeprefix(f"{path.name}:"), found


def x_files(texts: Iterable[tuple[datetime, str]]) -> dict[str, bytes]:
    """Return the files of X's archive of someone who wrote these texts, by their names.

    One text in two is in the second part. A text of over 280 characters is cut where the others
    are, and whole in note-tweet.js.
    """
    tweets = [_tweet(n, time, text) for n, (time, text) in enumerate(texts)]
    notes = [
        {"noteTweet": {"createdAt": time.isoformat(), "core": {"text": text, "urls": []}}}
        for time, text in texts
        if len(text) > 280
    ]
    scripts = {
        "account": ("account.part0", [{"account": {"username": "ana_test", "accountId": "11"}}]),
        "deleted-tweets": ("deleted_tweets.part0", [_tweet(9**9, datetime(2023, 9, 8), "gone")]),
        "like": ("like.part0", [{"like": {"tweetId": "1", "fullText": "liked"}}]),
        "note-tweet": ("note_tweet.part0", notes),
        "tweet-headers": ("tweet_headers.part0", [{"tweet": {"tweet_id": "1", "user_id": "11"}}]),
        "tweets": ("tweets.part0", tweets[::2]),
        "tweets-part1": ("tweets.part1", tweets[1::2]),
    }
    files = {
        f"data/{name}.js": f"window.YTD.{variable} = {json.dumps(value, indent=2)}".encode()
        for name, (variable, value) in scripts.items()
    }
    manifest = b'window.__THAR_CONFIG = {\n  "userInfo" : {\n    "accountId" : "11"\n  }\n}'
    return files | {
        "data/manifest.js": manifest,
        "data/tweets_media/17-a.jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40,
        "Your archive.html": b"<!DOCTYPE html>\n<html></html>",
    }


def _tweet(number: int, time: datetime, text: str) -> Mapping[str, Any]:
    cut = f"{text[:250]}… https://t.co/abc" if len(text) > 280 else text
    created_at = time.strftime("%a %b %d %H:%M:%S +0000 %Y")
    tid = str(17 * 10**17 + number)
    return {"tweet": {"id_str": tid, "id": tid, "full_text": cut, "created_at": created_at}}


def zipped(files: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
