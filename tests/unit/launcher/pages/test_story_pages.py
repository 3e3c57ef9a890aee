"""The pages of stories, words, pairs and hosts, and the search that leads to them."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import launcher as benchmark
from dfpipe import datastore
from dfpipe.posts.post import KIND
from dfpipe.warehouse import connect
from dfpipe.warehouse.duckdb_warehouse import DuckDBWarehouse
from launcher.views import windows
from tests.support import launcher_pages as support
from tests.support.launcher_pages import SLOT, SLOTS
from tests.support.launcher_site import Page, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")
STORY = "/timeline/story?w1=harbour&w2=storm&ts=2026-01-07T10:00:00Z"


@pytest.fixture
def place(tmp_path: Path) -> Site:
    """A site of three runs whose first stories are alike, with a post of the first story."""
    site = Site(tmp_path, runs=3)
    support.put_posts(site.settings.store, ["The harbour wall is closed", "Ferries stay in port"])
    return site


def titles(text: str) -> list[str]:
    """The stories of a page, by their words."""
    found = re.findall(r"<h3><a [^>]*><bdi><b>(.*?)</b> (.*?)</bdi>", text)
    return [" ".join(words).strip() for words in found]


def test_the_front_page_has_the_stories_with_an_example_each(place: Site) -> None:
    text = place.text("/")
    page = Page(text)
    assert titles(text)[:2] == ["harbour storm ferry", "cancelled wind port"]
    assert "The harbour wall is closed — anna" in page.text
    assert page.text.count("This post is no longer in the store.") == support.STORIES - 2
    assert "▲ ×30" in page.text  # 30 of 250 recent posts, 3 of 750 before
    sparks = [attrs for tag, attrs in page.tags if attrs.get("class") == "spark"]
    assert len(sparks) == support.STORIES
    assert len(text) < 60_000


def test_the_front_page_of_a_full_run_is_light(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=0)
    (tmp_path / "results.duckdb").unlink(missing_ok=True)
    benchmark.make_warehouse(tmp_path / "results.duckdb", 30)
    benchmark.put_examples(site.settings.store)
    page = Page(text := site.text("/"))
    assert len(titles(text)) == 20
    files = [
        str(attrs.get("href") or attrs.get("src"))
        for tag, attrs in page.tags
        if tag == "script" or (tag == "link" and attrs.get("rel") in ("stylesheet", "icon"))
    ]
    assert len(text.encode()) + sum(len(site.get(file).data) for file in files) < 80_000


def test_the_page_says_how_many_posts_were_read_anew(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    with duckdb.connect(str(tmp_path / "results.duckdb")) as connection:
        connection.execute("UPDATE runs SET posts_read = 12, posts_cached = 3456")
    assert "12 posts read anew, the others from the cache" in site.text("/")


def test_stories_are_sorted_by_their_rise(place: Site) -> None:
    support.fill(place.settings.warehouse, SLOT + SLOTS, turn=1)
    by_size, by_rise = (titles(place.text(f"/?sort={name}")) for name in ("size", "rise"))
    assert sorted(by_size) == sorted(by_rise)
    links = Page(place.text("/?sort=rise")).links()
    assert "/?sort=size&compare=24" in links
    assert titles(place.text("/?sort=nonsense")) == by_size


def test_what_is_new_and_what_is_gone_since_a_day_before(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    words = ("penguin", "escaped", "zoo", *support.STORY[:12])
    support.fill(site.settings.warehouse, SLOT + 5 * SLOTS, words=words)
    text = site.text("/")
    assert re.findall(r'class="chip fresh"', text) == ['class="chip fresh"']
    assert text.index("penguin escaped") < text.index('class="chip fresh"')
    gone = Page(text).text.split("No longer a story:")[1]
    assert "recount council bakery" in gone
    assert "election" not in gone
    other = site.text(f"/?compare={SLOT:%Y-%m-%dT%H:%M:%SZ}")
    assert re.findall(r'class="chip fresh"', other) == ['class="chip fresh"']
    assert site.text("/?since=24").count("chip fresh") == 1
    # Of the first run there is none before.
    assert (
        "There is no earlier run to compare with"
        in Page(site.text(f"/?run={SLOT:%Y-%m-%dT%H:%M:%SZ}")).text
    )


def test_a_story_has_its_posts_links_pairs_and_other_runs(place: Site) -> None:
    page = Page(place.text(STORY))
    assert "Story 1 of the run of" in page.text
    assert "The harbour wall is closed" in page.text
    assert "9 copies" not in page.text
    assert "8 copies" in page.text
    assert "2 stories like it" in page.text
    assert "harbour + storm" in page.text
    assert any(link.startswith("https://news") for link in page.links())
    assert "/timeline/word?word=ferry&run=2026-01-07T10:00:00Z" in page.links()
    (plot,) = [attrs for tag, attrs in page.tags if attrs.get("id") == "plot"]
    assert place.rows(str(plot["data-source"]))[0]["item"] == "story"


def test_the_words_of_a_story_may_come_in_any_order(place: Site) -> None:
    assert place.text(STORY) == place.text(STORY.replace("harbour&w2=storm", "storm&w2=harbour"))


def test_a_permalink_stays_when_newer_runs_come(place: Site) -> None:
    before = Page(place.text(STORY))
    words = ("penguin", "escaped", "zoo")
    support.fill(place.settings.warehouse, SLOT + SLOTS, words=words)
    after = Page(place.text(STORY))
    assert "harbour" in after.text
    assert [link for link in before.links() if "story" in link] == [
        link for link in after.links() if "story" in link
    ]


def test_a_deleted_post_is_no_longer_shown(place: Site) -> None:
    client = datastore.connect(place.settings.store)
    client.delete(client.key(KIND, 100))
    page = Page(place.text(STORY))
    assert "The harbour wall" not in page.text
    assert "This post is no longer in the store." in page.text


def test_a_word_has_its_history_stories_and_partners(place: Site) -> None:
    text = place.text("/timeline/word?word=storm")
    page = Page(text)
    assert "Ranked in 3 of 3 runs, at best number 2." in page.text
    assert titles(text) == ["harbour storm ferry"]
    assert "Strongest partners" in page.text
    assert {"/timeline/pair?w1=harbour&w2=storm", "/timeline/pair?w1=ferry&w2=storm"} <= set(
        page.links()
    )
    assert "▲ ×45" in page.text


def test_a_pair_has_its_history_and_the_stories_of_both(place: Site) -> None:
    for query in ("w1=storm&w2=harbour", "w1=harbour&w2=storm"):
        text = place.text(f"/timeline/pair?{query}")
        assert "Ranked in 3 of 3 runs, at best number 1." in Page(text).text
        assert titles(text) == ["harbour storm ferry"]
    partners = Page(text).text.split("Strongest partners")[1]
    assert "ferry + storm" in partners
    assert "harbour + storm" not in partners


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("word?word=harbour", "2 posts have this word, at most 2 posts an hour"),
        ("pair?w1=harbour&w2=wall", "1 post has both words, at most 1 post an hour"),
        ("word?word=storm", "No post that the store has now has this word."),
    ],
)
def test_a_word_and_a_pair_have_their_posts_within_the_window(
    tmp_path: Path, query: str, says: str
) -> None:
    site = Site(tmp_path, runs=3)
    texts = ["The harbour wall is closed", "Ferries leave the #harbour", "Brainstorm"]
    support.put_posts(site.settings.store, texts, time=SLOT - SLOTS)
    page = Page(site.text(f"/timeline/{query}"))
    assert says in page.text
    assert "The store now has 3 posts of this window; the run had 1,000." in page.text
    charts = [attrs["aria-label"] for _, attrs in page.tags if attrs.get("class") == "chart"]
    assert [label.partition(", on ")[2] for label in charts if label] == (
        [] if "No post" in says else ["2026-01-07 at 05:00 UTC"]
    )


def test_a_word_page_says_that_the_store_cannot_be_read(
    place: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise datastore.StoreError("it is away")

    monkeypatch.setattr(windows, "fetch_values", failing)
    assert "The store cannot be read now" in Page(place.text("/timeline/word?word=storm")).text


def test_the_earlier_address_of_histories_redirects(place: Site) -> None:
    answer = place.get("/timeline/history?word=a+b&_scheme=javascript&_external=1&endpoint=x")
    assert (answer.status_code, answer.location) == (301, "/timeline/word?word=a+b")
    answer = place.get("/timeline/history?w1=b&w2=a")
    assert answer.location == "/timeline/pair?w1=b&w2=a"


def test_what_no_run_has_ranked_leads_to_a_search(place: Site) -> None:
    page = Page(place.text("/timeline/word?word=harbor"))
    assert "No run has ranked this word." in page.text
    assert "/timeline/search?q=harbor" in page.links()
    assert "harbour" in Page(place.text("/timeline/search?q=harbor")).text


@pytest.mark.parametrize(
    ("text", "leads_to"),
    [
        ("storm", "/timeline/word?word=storm"),
        ("  STORM ", "/timeline/word?word=storm"),
        ("café", "/timeline/word?word=caf%C3%A9"),
        ("storm harbour", "/timeline/pair?w1=harbour&w2=storm"),
        ("#storm, ferry!", "/timeline/pair?w1=ferry&w2=storm"),
        ("news1.example", "/timeline/host?host=news1.example"),
        ("www.News1.example", "/timeline/host?host=news1.example"),
        ("news1.example/story/1", "/timeline/link?url=news1.example/story/1"),
        ("https://other.example/", "/timeline/link?url=https://other.example/"),
    ],
)
def test_a_search_leads_to_a_page(place: Site, text: str, leads_to: str) -> None:
    answer = place.get("/timeline/search", query_string={"q": text})
    assert (answer.status_code, answer.location) == (302, leads_to)


def test_a_search_stays_in_its_run(place: Site) -> None:
    answer = place.get("/timeline/search?q=storm&run=2026-01-07T05:00:00Z")
    assert answer.location == "/timeline/word?run=2026-01-07T05:00:00Z&word=storm"


@pytest.mark.parametrize(
    ("text", "near"), [("harbor", "harbour"), ("tele", "telescope"), ("news1.exampel", "news1")]
)
def test_a_search_offers_what_is_near(place: Site, text: str, near: str) -> None:
    page = Page(place.text(f"/timeline/search?q={text}"))
    assert "has not ranked" in page.text
    assert near in page.text


def test_several_words_lead_to_the_stories_that_have_them(place: Site) -> None:
    assert titles(place.text("/timeline/search?q=storm+ferry+harbour")) == ["harbour storm ferry"]


def test_a_host_has_its_links_and_stories(place: Site) -> None:
    text = place.text("/timeline/host?host=news1.example")
    assert "news1.example/story/1" in Page(text).text
    assert titles(text)


LINK = "https://news1.example/story/1?page=0"


def test_a_link_has_its_history_stories_posts_and_words(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=3)
    texts = ["Storm at the harbour", "Storm at the harbour", "Nobody said storm"]
    support.put_posts(
        site.settings.store, texts, time=SLOT - SLOTS, urls=(LINK, "https://b.example/")
    )
    text = site.text(f"/timeline/link?url={LINK.replace('https', 'HTTPS')}%26utm_source=x")
    page = Page(text)
    assert "Ranked in 3 of 3 runs, at best number 2." in page.text
    assert "3 posts have this link" in page.text
    assert titles(text) == ["harbour storm ferry"]
    assert "Storm at the harbour — anna" in page.text
    assert "2 copies" in page.text
    words = page.text.split("ranked words in how many of its posts")[1]
    assert words.index("storm") < words.index("harbour")
    assert "nobody" not in words
    assert "/timeline/host?host=news1.example" in page.links()
    (data,) = [each for each in page.links() if each.startswith("/api/") and ".json" in each]
    assert {row["item"] for row in site.rows(data)} == {"ranked", "story", "url", "word"}


def test_an_unranked_link_says_so_and_offers_what_is_near(place: Site) -> None:
    page = Page(place.text("/timeline/link?url=https://news1.example/story/999"))
    assert "No run has ranked this link." in page.text
    near = page.text.split("Near it")[1].split("Within")[0]
    assert "news1.example/story/1?" in near
    assert "No post that the store has now has this link." in page.text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "not a link"])
def test_a_text_that_is_no_web_address_is_not_a_link_on_its_page(place: Site, url: str) -> None:
    page = Page(place.text(f"/timeline/link?url={url}"))
    assert "No run has ranked this link." in page.text
    assert not [each for each in page.links() if each.startswith(url[:4])]


def test_words_and_pairs_have_the_links_of_their_posts(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    support.put_posts(site.settings.store, ["Storm, harbour"], time=SLOT - SLOTS, urls=(LINK,))
    for query in ("word?word=storm", "pair?w1=harbour&w2=storm"):
        links = Page(site.text(f"/timeline/{query}")).links()
        assert LINK in links
        assert any(each.startswith("/timeline/link?url=https://news1") for each in links)


def test_synthetic_posts_are_announced_and_at_no_network(tmp_path: Path) -> None:
    site = Site(tmp_path, is_synthetic=True)
    for url in ("/", STORY, "/jobs"):
        assert "The posts here are synthetic" in Page(site.text(url)).text


class Counting:
    """How often the warehouse of a site is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        query = DuckDBWarehouse.query

        def counted(warehouse: Any, name: str, **params: object) -> Any:
            self.asked.append(name)
            return query(warehouse, name, **params)

        monkeypatch.setattr(DuckDBWarehouse, "query", counted)


@pytest.mark.parametrize(
    "url",
    [
        *("/", "/?sort=rise", STORY, "/timeline/word?word=storm", "/timeline/search?q=nothing"),
        *("/timeline/pair?w1=harbour&w2=storm", "/timeline/host?host=news1.example"),
        f"/timeline/link?url={LINK}",
        *("/timeline/rankings/rising_words", "/timeline/rankings/popular_not_interesting"),
    ],
)
def test_a_page_takes_two_queries_at_most_and_none_once_more(
    place: Site, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    counting = Counting(monkeypatch)
    place.text(url)
    assert len(counting.asked) == 2, counting.asked
    place.text(url)
    assert len(counting.asked) == 2, counting.asked


def test_runs_of_different_settings_are_not_compared_silently(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=3)
    connect(site.settings.warehouse).replace_run(
        support.a_run(SLOT - 2 * SLOTS, text_mode="classic"), {}
    )
    texts = [
        Page(site.text(f"/?compare={SLOT - n * SLOTS:%Y-%m-%dT%H:%M:%SZ}")).text for n in (2, 1)
    ]
    assert "They were made with different settings (text mode), which can be" in texts[0]
    assert "different settings" not in texts[1]
