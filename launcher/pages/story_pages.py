"""The pages of one story, word, pair, link or host, and the search that leads to them."""

from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from dfpipe.errors import UsageError
from dfpipe.warehouse.named_queries import ResultRow
from launcher.pages.choosing import chosen_run, names_run
from launcher.pages.timeline_pages import run_findings
from launcher.views import talk
from launcher.views.figures import Figures
from launcher.views.findings import Findings, near
from launcher.views.histories import StoryPage, WordPage, story_page, word_page
from launcher.views.links import LinkPage, counted_as, link_page
from launcher.views.posts import Posts
from launcher.views.results import Results
from launcher.views.searching import Found, find
from launcher.views.stories import host_of
from launcher.views.windows import Windows, Within, within
from service.access import viewers_only
from service.pages import page
from service.times import rfc3339

MOST_TEXT = 4000  # characters of an address's word, link or host
MOST_ROWS = 24  # runs in the table of a history; the plot, the JSON and the CSV have all


class StoryPages:
    """The pages of what a run has found."""

    def __init__(self, pages: Blueprint, results: Results, posts: Posts, windows: Windows) -> None:
        self.results = results
        self.posts = posts
        self.windows = windows
        add = pages.add_url_rule
        add("/timeline/story", "story", viewers_only(self.story))
        add("/timeline/word", "word", viewers_only(self.word))
        add("/timeline/pair", "pair", viewers_only(self.pair))
        add("/timeline/link", "link", viewers_only(self.link))
        add("/timeline/host", "host", viewers_only(self.host))
        add("/timeline/search", "search", viewers_only(self.search))
        add("/timeline/history", "history", viewers_only(self.history))
        add("/timeline/meaning", "meaning", viewers_only(self.meaning))

    def story(self) -> Response:
        """A story of a run, and those like it in other runs."""
        w1, w2 = sorted((_text("w1"), _text("w2")))
        run = chosen_run(self.results)
        params = {"w1": w1, "w2": w2, "ts": run["ts"]}
        found = story_page(self.results.history("story_findings", params), run, w1, w2)
        examples = self.posts.examples(found.examples)
        return self._shown("launcher_story.html", found, run, examples=examples, params=params)

    def word(self) -> Response:
        """A word: its rank over the runs, and the stories and pairs of a run that have it."""
        return self._words(_text("word"), None)

    def pair(self) -> Response:
        """A pair of words, likewise."""
        w1, w2 = sorted((_text("w1"), _text("w2")))
        return self._words(w1, w2)

    def _words(self, w1: str, w2: str | None) -> Response:
        run = chosen_run(self.results)
        params = {"w1": w1, "w2": w2, "ts": run["ts"]}
        answer = self.results.history("word_findings", params)
        found = word_page(answer, run, self.results.runs().rows, (w1, w2) if w2 else (w1,))
        return self._shown("launcher_word.html", found, run, within=self._within(run, found.words))

    def _within(self, run: ResultRow, words: tuple[str, ...]) -> Within | None:
        window = self.windows.posts(run)
        return within(window, window.with_words(words), Figures.of(run)) if window else None

    def link(self) -> Response:
        """A link: its rank over the runs, and the stories, posts and words of one run."""
        run = chosen_run(self.results)
        url = counted_as(_text("url", "https://example.org/"), run["text_mode"])
        params = {"url": url, "ts": run["ts"]}
        answer = self.results.history("link_findings", params)
        found = link_page(answer, run, self.results.runs().rows, url)
        window = self.windows.posts(run)
        posts = window.with_link(url) if window else []
        there = within(window, posts, Figures.of(run), found.words) if window else None
        examples = self.posts.examples(there.examples) if there else []
        return self._shown(
            "launcher_link.html", found, run, within=there, examples=examples, params=params
        )

    def _shown(
        self,
        template: str,
        found: StoryPage | WordPage | LinkPage,
        run: ResultRow,
        **values: Any,
    ) -> Response:
        newest = self.results.runs().newest
        return page(
            template,
            found=found,
            run=run,
            figures=Figures.of(run),
            is_newest=newest is not None and newest["ts"] == run["ts"],
            stays_newest=not names_run(),
            most_rows=MOST_ROWS,
            **values,
        )

    def host(self) -> Response:
        """The ranked links of a host, and the stories that link to it most."""
        host, run = _text("host", "example.org"), chosen_run(self.results)
        findings = run_findings(self.results, run, None)
        rows = [row for row in findings.rankings["top_urls"] if host_of(row["url"]) == host]
        return page(
            "launcher_host.html",
            host=host,
            run=run,
            figures=findings.figures,
            found=talk.lines(talk.KINDS["top_urls"], rows),
            stories=[story for story in findings.stories if story.host == host],
            near=near(host, findings) if not rows else [],
            stays_newest=not names_run(),
        )

    def search(self) -> Response:
        """Lead to the page of a word, a pair, a link or a host, or say what is near."""
        text, run = request.args.get("q", "").strip()[:200], chosen_run(self.results)
        findings = run_findings(self.results, run, None)
        found = find(text, findings)
        if found.leads_to:
            where: dict[str, Any] = {"run": rfc3339(run["ts"])} if names_run() else {}
            return redirect(url_for(f"pages.{found.leads_to}", **where, **found.params))
        return self._unranked(text, found, findings, run)

    def _unranked(self, text: str, found: Found, findings: Findings, run: ResultRow) -> Response:
        return page(
            "launcher_search.html",
            text=text,
            words=found.words,
            stories=found.stories,
            near=dict.fromkeys(n for word in (text, *found.words) for n in near(word, findings)),
            figures=findings.figures,
            run=run,
            stays_newest=not names_run(),
        )

    def meaning(self) -> Response:
        """What the figures of all pages mean."""
        return page("launcher_meaning.html")

    def history(self) -> Response:
        """The address that the pages of words and pairs had in earlier versions."""
        name = "word" if "word" in request.args else "pair"
        # No others: url_for takes arguments of its own, such as another host.
        params: dict[str, Any] = {
            key: request.args[key] for key in ("word", "w1", "w2") if key in request.args
        }
        return redirect(url_for(f"pages.{name}", **params), 301)


def _text(name: str, example: str = "storm") -> str:
    text = request.args.get(name, "").strip()
    if not text or len(text) > MOST_TEXT:
        raise UsageError(
            f"the address needs {name} as the results have it, such as {name}={example}, "
            f"of at most {MOST_TEXT:,} characters"
        )
    return text
