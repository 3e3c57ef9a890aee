"""From a file of posts to the page, by `dfpipe serve` and curl, seen in a real browser."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dfpipe import warehouse
from service.times import parse_time
from tests.support.missing import missing
from tests.support.screenshots import SCHEMES, SIZES, screen, shoot
from tests.support.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG_MS = 300_000  # for an analysis on a busy machine
STORIES = (
    "the ferry is cancelled because of the storm in the harbour",
    "the council counts votes of the election again",
    "a comet shows its tail in the night sky",
    "the baker takes bread from the oven",
)
POSTS = 80


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The system with the posts of a file, of which cron has started no run."""
    folder = tmp_path_factory.mktemp("whole")
    posts = folder / "posts.jsonl"
    posts.write_text("".join(f"{json.dumps(post(number))}\n" for number in range(POSTS)))
    serving = Serving(folder, "--posts", str(posts), starts_runs=False)
    try:
        serving.wait_for("/healthz")
        yield serving
    finally:
        serving.kill()


@pytest.fixture(scope="module")
def session(system: Serving) -> dict[str, str]:
    """The cookie of a person who has opened the printed link, which works once."""
    name, _, value = system.log_in().partition("=")
    return {"name": name, "value": value, "url": system.url}


def post(number: int) -> dict[str, Any]:
    """A post of yesterday by one of seven people, with a word of its own."""
    when = datetime.now(UTC) - timedelta(days=1, minutes=number)
    text = f"{STORIES[number % len(STORIES)]} number{number}"
    return {
        "tid": number + 1,
        "user": f"user{number % 7}",
        "text": text,
        "created_at": f"{when:%FT%TZ}",
    }


def curl(*argv: str) -> "subprocess.CompletedProcess[str]":
    if not shutil.which("curl"):
        missing("curl", "`apt-get install curl`")
    return subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *argv], capture_output=True, text=True, check=True
    )


def command(system: Serving) -> list[str]:
    """The words of the command that it prints for who wants an analysis."""
    start = "analyze now "
    system.wait(lambda: any(line.startswith(start) for line in list(system.lines)))
    (line,) = [line for line in list(system.lines) if line.startswith(start)]
    return shlex.split(line.removeprefix(start))


def test_cron_starts_a_run_that_the_page_shows(
    system: Serving, session: dict[str, str], page: "Page"
) -> None:
    page.context.add_cookies([session])
    program, *argv = command(system)
    said = [line.partition("|")[2].split() for line in system.lines if line.startswith("posts ")]
    assert [str(POSTS), "stored"] in said
    assert program == "curl"
    assert system.token("task") not in "\n".join(system.lines)
    assert (system.folder / "data" / "cron.header").stat().st_mode & 0o077 == 0
    # Outside of App Engine anybody may write App Engine's header.
    forged = curl("-H", "X-Appengine-Cron: true", argv[-1])
    assert forged.stdout == "\n403"
    page.goto(system.url)
    assert page.get_by_text("write a run to it with").count()
    waiting = page.context.new_page()
    waiting.goto(system.url)
    run, _, status = curl(*argv).stdout.rpartition("\n")
    assert status == "202"
    started = json.loads(run)
    page.goto(started["watch"])
    # The page is not loaded again: it follows the run by itself.
    page.locator(".head .badge[data-state=succeeded]").wait_for(timeout=LONG_MS)
    assert page.locator("svg g[data-state=succeeded]").count() == 3
    page.get_by_role("link", name="Log of analyse").click()
    assert f"{POSTS} posts" in page.locator("body").inner_text()
    ended = system.run_ended(started["id"])
    outputs = {step["name"]: step["job"]["outputs"] for step in ended["steps"]}
    assert outputs["check"]["posts"] == POSTS
    (row,) = warehouse.connect(system.sink).query("latest_runs").rows
    assert row[0] == parse_time(started["slot"])
    # Nor is the one that had nothing to show yet.
    waiting.get_by_role("heading", name="What the timeline talks about").wait_for()
    assert waiting.title() == "What the timeline talks about"
    page.goto(system.url)
    assert page.locator(".figures dd").first.inner_text() == str(POSTS)
    page.get_by_role("link", name="bread + oven").first.click()
    page.get_by_role("heading", name="Within the window").wait_for()


def test_the_page_on_four_screens(
    system: Serving, session: dict[str, str], browser: "Browser", tmp_path: Path
) -> None:
    shots = {}
    for size, (width, _) in SIZES.items():
        for scheme in SCHEMES:
            with screen(browser, size, scheme) as page:
                page.context.add_cookies([session])
                page.goto(system.url)
                for words in ("council", "bread + oven", "comet + night"):
                    assert page.get_by_role("link", name=words, exact=True).first.is_visible()
                shot = shoot(page, tmp_path / f"{size}-{scheme}.png")
                assert shot.width == width
                assert shot.colours > 50  # letters, which have smooth edges
                shots[size, scheme] = shot
    for size in SIZES:
        assert shots[size, "light"].brightness > 200
        assert shots[size, "dark"].brightness < 80
