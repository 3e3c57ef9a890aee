"""What a run says when it has found nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dfpipe import datastore, launch
from tests.support.analysis import store_posts

NOW = datetime(2015, 1, 20, 8, tzinfo=UTC)
WRITTEN = datetime(2015, 1, 9, 12, tzinfo=UTC)
POST = {"tid": 1, "user": "anna", "text": "Storm", "urls": [], "created_at": WRITTEN}


def launched(folder: Path, *options: str, quiet: bool = False) -> list[str]:
    ends = [f"--store=sqlite:///{folder}/p.db", f"--sink=duckdb:///{folder}/r.duckdb"]
    return launch.launch([*ends, *options], {}, now=NOW, quiet=quiet).splitlines()


def test_a_window_without_posts_offers_the_end_of_one_that_has_some(tmp_path: Path) -> None:
    store_posts(f"sqlite:///{tmp_path}/p.db", [POST])
    first, more = launched(tmp_path)
    assert first.startswith("0 posts, ")
    assert more == (
        "The window from 2015-01-16 08:00 to 2015-01-20 08:00 has no posts. The store has posts "
        "from 2015-01-09 12:00 to 2015-01-09 12:00 UTC: for the newest, add --until 2015-01-10"
    )
    assert launched(tmp_path, "--until", "2015-01-10")[0].startswith("1 posts, ")
    assert len(launched(tmp_path, quiet=True)) == 1


def test_before_midnight_the_end_is_just_after_the_newest_post(tmp_path: Path) -> None:
    newest = NOW - timedelta(hours=1)
    store_posts(f"sqlite:///{tmp_path}/p.db", [POST | {"created_at": newest}])
    assert launched(tmp_path, "--until=2015-01-19")[1].endswith("add --until 2015-01-20T07:00:01Z")


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    datastore.connect(f"sqlite:///{tmp_path}/p.db").close()
    hint = f"The store holds no posts: dfpipe import FILE --store sqlite:///{tmp_path}/p.db"
    assert launched(tmp_path)[1] == hint
