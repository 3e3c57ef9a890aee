"""`dfpipe try` as a user runs it: from an archive to what it talks about."""

import gzip
import json
import lzma
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dfpipe.commands.try_ import ENOUGH, folder_name, window_of
from tests.support.archives import tarred, x_files, zipped
from tests.support.car_files import car
from tests.support.command import dfpipe

END = datetime(2023, 9, 8, tzinfo=UTC)
DAY = timedelta(days=1)
TOPICS = (
    "ferry timetable strike harbour",
    "cup final northport penalty",
    "moon probe crater landed",
)


def texts(posts: int, every: timedelta) -> Iterator[tuple[datetime, str]]:
    """Posts of one person who has three topics and things to say that nobody else does."""
    for n in range(posts):
        topic = f"{TOPICS[n % 3]} " if n % 2 else ""
        yield END - n * every, f"{topic}word{n} other{n * 7}"


def test_a_personal_archive_ends_in_stories(tmp_path: Path) -> None:
    files = x_files(list(texts(3000, timedelta(hours=5))))
    (tmp_path / "twitter-2023-09-09-abc.zip").write_bytes(zipped(files))
    done = dfpipe("try", "twitter-2023-09-09-abc.zip", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "3,000 posts stored in sqlite:///twitter-2023-09-09-abc.dfpipe/posts.db",
        "passed over: 3 account files, 1 empty file, 1 file of deleted posts, 1 file of likes, "
        "1 media file, 1 other file",
        "Analysing 2023-02-11 to 2023-09-08, the days of the newest 1,000 posts. To choose other "
        "days, give --until and --days.",
        "The posts are by one person, so stories need no more people: in `dfpipe run`, give "
        "--story-users 1.",
    ]
    stories = lines[lines.index("Stories:") + 1 : lines.index("To go on:")]
    assert len(stories) == len(TOPICS)
    for topic in TOPICS:
        assert any(set(topic.split()) <= set(line.split(":")[0].split()) for line in stories)
    assert all("posts by 1 person" in line for line in stories)
    for command in lines[lines.index("To go on:") + 1 :]:
        assert command.startswith("$ ")
        argv = shlex.split(command.partition("dfpipe ")[2])
        assert dfpipe(*argv, cwd=tmp_path).returncode == 0, command
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "twitter-2023-09-09-abc.dfpipe",
        "twitter-2023-09-09-abc.zip",
    ]
    again = dfpipe("try", "twitter-2023-09-09-abc.zip", cwd=tmp_path).stdout.splitlines()
    assert again[0].endswith("posts.db, 3,000 seen before")
    assert again[2:4] + again[-6:] == lines[2:4] + lines[-6:]


def test_a_window_of_ones_own_and_a_file_that_fails(tmp_path: Path) -> None:
    posts = [
        {"tid": n + 1, "user": f"u{n % 7}", "text": text, "created_at": time.isoformat()}
        for n, (time, text) in enumerate(texts(400, timedelta(hours=2)))
    ]
    lines = "".join(json.dumps(post) + "\n" for post in posts)
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(lines.encode()))
    (tmp_path / "b").write_bytes(b"%PDF")
    options = ("--until", "2023-09-01T00:00:00Z", "--days", "10.5", "--folder", "here")
    done = dfpipe("try", "a.jsonl.xz", "b", *options, cwd=tmp_path)
    assert "\nAnalysing 2023-08-21 to 2023-09-01, 10.5 days." in done.stdout
    assert "\n126 posts, " in done.stdout
    assert "by 7 people" in done.stdout
    assert done.returncode == 1
    assert done.stderr.startswith("dfpipe: b seems to be a PDF document")
    assert (tmp_path / "here" / "results.duckdb").exists()


def outbox() -> bytes:
    """Mastodon's archive, as downloaded."""
    actor = "https://social.example/users/ana"
    activities = [
        {
            "type": "Create",
            "actor": actor,
            "object": {
                "id": f"{actor}/statuses/{10**17 + n}",
                "type": "Note",
                "attributedTo": actor,
                "published": time.isoformat(),
                "content": f"<p>{text}</p>",
            },
        }
        for n, (time, text) in enumerate(texts(300, timedelta(hours=9)))
    ]
    collection = {"type": "OrderedCollection", "orderedItems": activities}
    profile = {"type": "Person", "id": actor}
    files = {"outbox.json": json.dumps(collection), "actor.json": json.dumps(profile)}
    return gzip.compress(tarred({name: text.encode() for name, text in files.items()}))


def repository() -> bytes:
    """Bluesky's repository, as downloaded."""
    return car(
        {
            f"app.bsky.feed.post/{n}": {
                "$type": "app.bsky.feed.post",
                "text": text,
                "createdAt": time.isoformat(),
            }
            for n, (time, text) in enumerate(texts(300, timedelta(hours=9)))
        }
    )


def table() -> bytes:
    """A data set with the names of people."""
    rows = [
        f"{n},{time.isoformat()},user{n % 9},{text}"
        for n, (time, text) in enumerate(texts(300, timedelta(hours=1)), 1)
    ]
    return "\n".join(["id,created_at,username,text", *rows]).encode()


@pytest.mark.parametrize(
    ("name", "made"),
    [("archive-2023.tar.gz", outbox), ("repo.car", repository), ("tweets.csv", table)],
)
def test_archives_of_other_networks_end_in_stories(
    tmp_path: Path, name: str, made: Callable[[], bytes]
) -> None:
    (tmp_path / name).write_bytes(made())
    done = dfpipe("try", name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("300 posts stored in sqlite:///")
    for topic in TOPICS:
        assert re.search(
            rf"^  .*\b{topic.split()[0]}\b.*: \d+ posts by ", done.stdout, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["none"], "none does not exist: name a file with posts"),
        (["b"], "b seems to be a PDF document: "),
        (["a", "--days", "x"], "--days must be a number above 0"),
        (["a", "--until", "never"], "--until must be a time such as"),
        (
            ["a", "--until", "2001-01-01T00:00:00Z"],
            "there are no posts before 2001-01-01T00:00:00Z",
        ),
        (["a", "--folder", "b/c"], "the folder b/c cannot be made: Not a directory"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, argv: list[str], message: str) -> None:
    post = {"tid": 1, "user": "a", "text": "x", "created_at": "2020-01-01T00:00:00Z"}
    (tmp_path / "a").write_text(json.dumps(post))
    (tmp_path / "b").write_bytes(b"%PDF")
    done = dfpipe("try", *argv, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"dfpipe: {message}")
    assert done.stderr.count("\n") == 1
    # Wrong options are found before anything is stored.
    assert (tmp_path / "a.dfpipe").exists() == message.startswith("there are no posts")


def test_posts_of_another_archive_in_the_folder_are_announced(tmp_path: Path) -> None:
    for tid, name in enumerate(("a", "b"), 1):
        post = {"tid": tid, "user": name, "text": "Storm", "created_at": "2020-01-01T00:00:00Z"}
        (tmp_path / name).mkdir()
        (tmp_path / name / "outbox.json").write_text(json.dumps(post))
    said = "outbox.dfpipe also has posts from an earlier try (1), which are analysed too: "
    assert said not in dfpipe("try", "a/outbox.json", cwd=tmp_path).stdout
    assert said not in dfpipe("try", "a/outbox.json", cwd=tmp_path).stdout
    assert said in dfpipe("try", "b/outbox.json", cwd=tmp_path).stdout


def test_an_archive_without_stories_shows_its_words(tmp_path: Path) -> None:
    post = {"tid": 1, "user": "a", "text": "Storm", "created_at": "2020-01-01T00:00:00Z"}
    done = dfpipe("try", "-", cwd=tmp_path, given=json.dumps(post))
    assert "No stories.\nThe most frequent words: storm\nTo go on:\n$ " in done.stdout
    assert (tmp_path / "posts.dfpipe").is_dir()


class TestWindow:
    @pytest.mark.parametrize(
        ("posts", "every", "days", "what"),
        [
            (30, 10 * DAY, 290, "all posts"),
            (30, DAY / 24, 4, "the last 4 days"),
            (ENOUGH, DAY, ENOUGH - 1, "all posts"),
            (ENOUGH + 1, DAY, ENOUGH - 1, f"the days of the newest {ENOUGH:,} posts"),
            (ENOUGH + 1, DAY / 1000, 4, "the last 4 days"),
        ],
    )
    def test_has_the_newest_posts_and_some_days(
        self, posts: int, every: timedelta, days: int, what: str
    ) -> None:
        window = window_of(END, [(END - n * every, "a") for n in range(posts)])
        assert (window.end - window.start, window.what) == (days * DAY, what)

    def test_one_person_makes_stories_alone(self) -> None:
        for users, needed in (("a", 1), ("ab", 2), ("abc", 2)):
            window = window_of(END, [(END - DAY, user) for user in users], 8)
            assert window.options() == ["--days=8.0", "--recent=48.0", f"--story-users={needed}"]


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("-", "posts.dfpipe"),
        ("a/b c.tar.gz", "b-c.dfpipe"),
        ("a/", "a.dfpipe"),
        (".hidden", "posts.dfpipe"),
        ("été.zip", "t.dfpipe"),
    ],
)
def test_the_folder_is_named_after_the_file(file: str, folder: str) -> None:
    assert folder_name(file) == folder
