"""What one run has found, from the rows of the query `run_findings`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dfpipe.warehouse.named_queries import Result, ResultRow
from launcher.views.charts import Chart, chart
from launcher.views.figures import Figures
from launcher.views.stories import StoryView, compared, host_of, story_view

MOST_NEAR = 8


def by_item(result: Result) -> Mapping[str, list[ResultRow]]:
    """Return the rows of each item, in their order."""
    found: defaultdict[str, list[ResultRow]] = defaultdict(list)
    for row in result.dicts():
        found[row["item"]].append(row)
    return found


@dataclass(frozen=True, slots=True)
class Findings:
    """A run's stories with what has become of them, its timeline, and its rankings by query."""

    figures: Figures
    timeline: Chart | None
    stories: tuple[StoryView, ...]
    gone: tuple[tuple[str, str, str], ...]  # edge and words of stories that the run has no more
    rankings: Mapping[str, Sequence[ResultRow]]

    @property
    def words(self) -> set[str]:
        """All words that the run has ranked, alone or in a pair."""
        names = ("popular_words", "rising_words", "interesting_pairs", "rising_pairs")
        rows = [row for name in names for row in self.rankings[name]]
        found = {row[column] for row in rows for column in ("word", "w1", "w2") if column in row}
        return found.union(*(story.words for story in self.stories))

    @property
    def hosts(self) -> set[str]:
        """The hosts of all ranked links."""
        return {host_of(row["url"]) for row in self.rankings["top_urls"]} - {""}


def findings_of(result: Result, run: ResultRow) -> Findings:
    """Return what a run has found."""
    rows, figures = by_item(result), Figures.of(run)
    (own,) = rows["run"]
    stories = compared((story_view(row, figures) for row in rows["story"]), rows["earlier"])
    return Findings(
        figures=figures,
        timeline=chart(own["parts"], own["counts"], figures),
        stories=tuple(stories),
        gone=tuple(_gone(rows["earlier"], stories)),
        rankings={
            "popular_words": [_word(row) | {"percent": row["value"]} for row in rows["word"]],
            "rising_words": [_word(row) | _rise(row, figures) for row in rows["rising_word"]],
            "interesting_pairs": [row | {"log_weight": row["value"]} for row in rows["pair"]],
            "rising_pairs": [row | _rise(row, figures) for row in rows["rising_pair"]],
            "top_urls": [row | {"url": row["text"]} for row in rows["url"]],
        },
    )


def _word(row: ResultRow) -> ResultRow:
    return {name: row[name] for name in ("rank", "count", "recent", "before")} | {"word": row["w1"]}


def _rise(row: ResultRow, figures: Figures) -> ResultRow:
    return {"score": row["value"], "times": figures.times(row["recent"], row["before"])}


def with_times(row: ResultRow, figures: Figures) -> ResultRow:
    """Return a row of a ranking; one of what rises has its `times` too."""
    if "score" not in row:
        return row
    return row | {"times": figures.times(row["recent"], row["before"])}


def _gone(earlier: Sequence[ResultRow], stories: Sequence[StoryView]) -> list[tuple[str, str, str]]:
    """Return the stories of another run that no story of this run is like."""
    these = [({story.w1, story.w2}, {*story.words}) for story in stories]
    found = []
    for row in earlier:
        own = {*row["text"].split()}
        if not any(
            {row["w1"], row["w2"]} == edge or 2 * len(own & words) >= len(own)
            for edge, words in these
        ):
            found.append((row["w1"], row["w2"], row["text"]))
    return found


def near(text: str, findings: Findings) -> list[str]:
    """Return words and hosts of a run that are like a text, the most similar first."""
    known = sorted(findings.words | findings.hosts)
    text = text.lower()
    begins = [word for word in known if text and text in word]
    close = get_close_matches(text, known, n=MOST_NEAR, cutoff=0.6)
    return list(dict.fromkeys([*begins[:MOST_NEAR], *close]))[:MOST_NEAR]
