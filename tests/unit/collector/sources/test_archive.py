"""Archives that are followed while they grow."""

import gzip
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.fetching.accounts import Account, Accounts
from collector.fetching.dead_letters import DeadLetters
from collector.fetching.fetching import Context, Outcome, fetch
from collector.settings import CollectorSettings
from collector.sources import AccountRefusedError
from dfpipe.datastore import connect
from tests.support.archives import x_files, zipped
from tests.support.collecting import stored_posts

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)


def line(tid: int, text: str = "text") -> str:
    post = {"tid": tid, "user": "anna", "text": text, "created_at": "2026-03-05T11:00:00Z"}
    return json.dumps(post) + "\n"


class Bench:
    def __init__(self, client: Any, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.account = f"archive:{folder}"
        self.context = Context(client, CollectorSettings(), lambda: NOW)
        Accounts(client).follow(self.account, NOW)

    def write(self, name: str, text: str, mode: str = "w") -> Path:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        with file.open(mode) as stream:
            stream.write(text)
        return file

    def fetch(self, seconds: float = 60) -> Outcome:
        return fetch(self.context, self.account, limit_seconds=seconds)

    def stored(self) -> list[int]:
        return sorted(stored_posts(self.client))

    def state(self) -> Account:
        account = Accounts(self.client).get(self.account)
        assert account is not None
        return account

    def errors(self) -> list[str]:
        return sorted(letter.error for letter in DeadLetters(self.client).list())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    client = connect(f"sqlite:///{tmp_path}/store.db")
    (tmp_path / "in").mkdir()
    yield Bench(client, tmp_path / "in")
    client.close()


def test_lines_are_read_as_they_come(bench: Bench) -> None:
    bench.write("a.jsonl", line(1) + line(2)[:20])
    assert bench.fetch().stored.new == 1
    bench.write("a.jsonl", line(2)[20:] + line(3), "a")
    assert bench.fetch().stored.new == 2
    assert bench.fetch().stored.seen == 0
    assert bench.stored() == [1, 2, 3]


def test_a_last_line_needs_no_end(bench: Bench) -> None:
    bench.write("a.jsonl", line(1) + line(2).rstrip())
    assert bench.fetch().stored.new == 2
    bench.write("a.jsonl", "\n" + line(3), "a")
    assert bench.fetch().stored.new == 1
    assert bench.errors() == []


def test_a_first_line_that_has_only_begun(bench: Bench) -> None:
    bench.write("a.jsonl", line(1)[:9])
    assert bench.fetch().is_finished
    bench.write("a.jsonl", line(1)[9:], "a")
    assert bench.fetch().stored.new == 1
    assert bench.errors() == []


def test_a_file_that_begins_anew_is_read_anew(bench: Bench) -> None:
    bench.write("a.jsonl", line(1) + line(2))
    bench.fetch()
    bench.write("a.jsonl", line(3))
    bench.fetch()
    assert bench.stored() == [1, 2, 3]


def test_a_folder_with_files_of_any_format(bench: Bench) -> None:
    bench.write("a.jsonl", line(1))
    bench.write("sub/b.jsonl", line(2))
    bench.write(".hidden", line(3))
    bench.write("empty.jsonl", "")
    (bench.folder / "c.gz").write_bytes(gzip.compress((line(4) + line(5)).encode()))
    bench.write("d.json", json.dumps([json.loads(line(6))], indent=1))
    assert bench.fetch().is_finished
    assert bench.stored() == [1, 2, 4, 5, 6]
    assert bench.errors() == []
    again = bench.fetch()
    assert (again.stored.seen, again.set_aside) == (0, 0)


def test_a_table_that_grows_is_read_again(bench: Bench) -> None:
    table = "id,date,text\n1,2026-03-05,Storm\n"
    bench.write("a.csv", table)
    bench.fetch()
    bench.write("a.csv", table + "2,2026-03-05,Ferry\n")
    outcome = bench.fetch()
    assert (outcome.stored.new, outcome.set_aside) == (1, 0)
    assert bench.stored() == [1, 2]


def test_an_archive_of_x_as_downloaded(bench: Bench) -> None:
    long = "The harbour committee published a very long statement. " * 9
    texts = [(NOW, "Storm over the quay"), (NOW, long)]
    (bench.folder / "twitter-2026.zip").write_bytes(zipped(x_files(texts)))
    for name, data in x_files(texts).items():
        file = bench.folder / "unpacked" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    outcome = bench.fetch()
    assert (outcome.is_finished, outcome.set_aside, bench.errors()) == (True, 0, [])
    assert (outcome.stored.new, outcome.stored.seen) == (2, 2)
    assert {text for _, text in stored_posts(bench.client).values()} == {text for _, text in texts}
    again = bench.fetch()
    assert (again.stored.new, again.stored.seen) == (0, 0)


def test_a_zip_is_fetched_in_parts_and_a_damaged_member_is_set_aside(bench: Bench) -> None:
    members = {f"{n}.jsonl": "".join(line(n * 500 + m) for m in range(1, 400)) for n in range(3)}
    files = {name: text.encode() for name, text in members.items()}
    files["b.jsonl.gz"] = gzip.compress(line(9999).encode())[:-4]
    files["photo"] = b"\xff\xd8\xff\xe0"
    (bench.folder / "a.zip").write_bytes(zipped(files))
    outcomes = [bench.fetch(seconds=0)]
    while not outcomes[-1].is_finished:
        outcomes.append(bench.fetch(seconds=0))
    assert len(outcomes) > 2
    assert sum(outcome.stored.new for outcome in outcomes) == 3 * 399 + 1
    (error,) = bench.errors()
    assert "a.zip/b.jsonl.gz is damaged" in error


def test_an_archive_that_has_changed_is_read_again(bench: Bench) -> None:
    (bench.folder / "c.gz").write_bytes(gzip.compress(line(1).encode()))
    bench.fetch()
    (bench.folder / "c.gz").write_bytes(gzip.compress((line(1) + line(2)).encode()))
    assert bench.fetch().stored.new == 1


def test_a_file_of_one_document_that_becomes_one_of_lines(bench: Bench) -> None:
    bench.write("a", json.dumps([json.loads(line(1))], indent=1))
    bench.fetch()
    bench.write("a", line(2) + line(3))
    os.utime(bench.folder / "a", (1, 1))
    bench.fetch()
    assert bench.stored() == [1, 2, 3]


def test_many_lines_are_fetched_in_parts(bench: Bench) -> None:
    bench.write("a.jsonl", "".join(line(tid) for tid in range(1, 1001)))
    (bench.folder / "c.gz").write_bytes(
        gzip.compress("".join(line(tid) for tid in range(1001, 2001)).encode())
    )
    outcomes = [bench.fetch(seconds=0)]
    while not outcomes[-1].is_finished:
        assert bench.state().watermark is None
        outcomes.append(bench.fetch(seconds=0))
    assert len(outcomes) > 6
    assert sum(outcome.stored.new for outcome in outcomes) == 2000
    assert sum(outcome.stored.seen for outcome in outcomes) == 0


def test_what_cannot_be_read_is_set_aside_and_the_rest_goes_on(bench: Bench) -> None:
    bench.write("a.jsonl", line(1) + "{broken\n" + '{"tid": 2}\n' + line(3))
    whole = gzip.compress("".join(line(tid, str(tid)) for tid in range(10, 400)).encode())
    (bench.folder / "b.gz").write_bytes(whole[: len(whole) // 2])
    bench.write("c.txt", "not a post\n")
    bench.write("d.jsonl", line(5))
    outcome = bench.fetch()
    assert outcome.is_finished
    assert {1, 3, 5} <= set(bench.stored())
    errors = bench.errors()
    assert len(errors) == outcome.set_aside == 3
    assert any("is missing" in error for error in errors)
    assert sum("broken JSON" in error for error in errors) >= 1
    assert any("damaged" in error for error in errors)
    (bench.folder / "b.gz").write_bytes(whole)
    bench.fetch()
    assert set(range(10, 400)) <= set(bench.stored())


def test_what_is_no_archive_is_passed_over_in_a_folder(bench: Bench) -> None:
    picture = random.Random(1).randbytes(100_000)
    (bench.folder / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + picture)
    (bench.folder / "b.gz").write_bytes(gzip.compress(picture))
    bench.write("README.txt", "What is in here.\n" * 300)
    bench.write("account.js", "window.YTD.account.part0 = [ {\n} ]")
    bench.write("empty.json", "")
    bench.write("notes.md", "Only begun\n")
    bench.write("posts.jsonl", line(1))
    for _ in range(2):
        assert bench.fetch().set_aside == 0
        assert (bench.stored(), bench.errors()) == ([1], [])
    bench.write("notes.md", line(2), "a")
    assert bench.fetch().stored.new == 1
    assert bench.errors() == ["broken JSON"]


def test_a_file_that_is_followed_alone_and_is_no_archive_is_set_aside_once(bench: Bench) -> None:
    bench = Bench(bench.client, bench.write("a.jpg", "JFIF\n" * 500))
    for _ in range(2):
        assert bench.fetch().is_finished
        (error,) = bench.errors()
        assert "seems to be plain text. Give posts as" in error


def test_notices_remove_and_withheld_posts_are_passed_over(bench: Bench) -> None:
    tweet = {"id_str": "9", "text": "t", "created_at": "Wed Jul 03 06:29:00 +0000 2019"}
    withheld = tweet | {"id_str": "10", "withheld_copyright": True}
    bench.write("a.jsonl", json.dumps(tweet) + "\n" + json.dumps(withheld) + "\n")
    bench.fetch()
    assert bench.stored() == [9]
    notices = [{"delete": {"status": {"id_str": "9"}}}, {"limit": {"track": 3}}]
    bench.write("a.jsonl", "".join(json.dumps(notice) + "\n" for notice in notices), "a")
    assert bench.fetch().stored.removed == 1
    assert (bench.stored(), bench.errors()) == ([], [])


def test_an_archive_that_is_not_there(bench: Bench) -> None:
    bench.folder.rmdir()
    with pytest.raises(AccountRefusedError, match="does not exist: make it"):
        bench.fetch()
    assert "does not exist" in bench.state().reason


def test_a_file_that_is_taken_away(bench: Bench) -> None:
    bench.write("a.jsonl", line(1))
    bench.write("b.jsonl", line(2))
    bench.fetch()
    (bench.folder / "a.jsonl").unlink()
    bench.fetch()
    assert "a.jsonl" not in (bench.state().watermark or "")
    assert bench.stored() == [1, 2]
