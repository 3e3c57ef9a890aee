"""The pages on what the timeline talks about, and their data as JSON and CSV."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, request

from dfpipe.commands.query import as_csv, as_json
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.named_queries import NamedQuery, Result, ResultRow
from dfpipe.warehouse.notes import differing
from launcher.pages.choosing import (
    chosen,
    chosen_run,
    compared_run,
    comparison,
    names_run,
    span,
)
from launcher.pages.rendering import harmless, whole
from launcher.views import talk
from launcher.views.charts import bars
from launcher.views.figures import Figures
from launcher.views.findings import Findings, findings_of, with_times
from launcher.views.posts import Posts
from launcher.views.results import Results
from launcher.views.stories import SORTS, ordered
from service.access import viewers_only, viewers_or_proven
from service.pages import page

CHOICE = 20  # runs in the page's menus and in its strip; the list of runs has all
PAGE_ROWS = 100
STORIES = 20  # of a run, before a person asks for all


def _csv(result: Result) -> str:
    return as_csv(Result(result.columns, tuple(tuple(map(harmless, row)) for row in result.rows)))


FORMS = {"json": ("application/json", as_json), "csv": ("text/csv; charset=utf-8", _csv)}


class TimelinePages:
    """What the timeline talks about: the page of a run, the lists of all runs, and data."""

    def __init__(self, pages: Blueprint, results: Results, posts: Posts) -> None:
        self.results = results
        self.posts = posts
        add = pages.add_url_rule
        add("/", "timeline", viewers_only(self.timeline))
        add("/timeline/runs", "runs", viewers_only(self.runs))
        add("/timeline/rankings/<name>", "ranking", viewers_only(self.ranking))
        add("/api/queries", "queries", viewers_or_proven(self.queries))
        add("/api/queries/<name>.<form>", "answer", viewers_or_proven(self.answer))

    def timeline(self) -> Response:
        """The page of a run: its stories, and what is popular or rising in it."""
        runs, run = self.results.runs(), chosen_run(self.results)
        other = compared_run(runs, run)
        findings = run_findings(self.results, run, other)
        sort = chosen("sort", SORTS)
        stories = ordered(findings.stories, sort)
        shown = stories if "all" in request.args else stories[:STORIES]
        examples = self.posts.examples([(story.tid, 1) for story in shown])
        older, newer = runs.around(run)
        around = runs.near(run, CHOICE)
        return page(
            "launcher_timeline.html",
            run=run,
            other=other,
            different=differing([run, other]) if other else [],
            findings=findings,
            figures=findings.figures,
            stories=[replace(s, example=e) for s, e in zip(shown, examples, strict=True)],
            sort=sort,
            sorts=SORTS,
            compare=comparison(),
            spans=talk.SPANS,
            cards=talk.cards(findings.rankings),
            more=[name for name in talk.KINDS if name not in talk.CARDS],
            kinds=talk.KINDS,
            choice=around,
            bars=bars([(each["ts"], each["tweets"]) for each in reversed(around)]),
            run_count=len(runs.rows),
            older=older,
            newer=newer,
            stays_newest=not names_run(),
        )

    def runs(self) -> Response:
        """The list of all runs."""
        rows = self.results.runs().rows
        start = whole("from", 0)
        return page(
            "launcher_runs.html",
            run_count=len(rows),
            shown=rows[start : start + PAGE_ROWS],
            newer=max(0, start - PAGE_ROWS) if start else None,
            older=start + PAGE_ROWS if start + PAGE_ROWS < len(rows) else None,
        )

    def ranking(self, name: str) -> Response:
        """The page with all lines of one ranking."""
        if name not in talk.KINDS:
            abort(404)
        run = chosen_run(self.results)
        if name == talk.CONTRAST:
            cards = talk.contrast(run_findings(self.results, run, None).rankings)
        else:
            asked = talk.question(name, span())
            (answer,) = self.results.about(run, [asked])
            figures = Figures.of(run)
            rows = [with_times(row, figures) for row in answer.dicts()]
            cards = [talk.card(asked, rows, len(rows))]
        return page("launcher_ranking.html", cards=cards, run=run, stays_newest=not names_run())

    # Data

    def queries(self) -> Response:
        """What can be asked for, with its parameters."""
        found = map(named_queries.load, named_queries.names())
        return jsonify(queries=[_described(query) for query in found])

    def answer(self, name: str, form: str) -> Response:
        """The answer to a named query: all rows, or the first `limit`."""
        if name not in named_queries.names() or form not in FORMS:
            abort(404)
        given = request.args.to_dict()
        limit = whole("limit", 0) if given.pop("limit", None) is not None else None
        result = self._asked(name, named_queries.load(name).bind(given))
        mimetype, write = FORMS[form]
        response = make_response(write(Result(result.columns, result.rows[:limit])))
        response.headers["Content-Type"] = mimetype
        if form == "csv":
            response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return response

    def _asked(self, name: str, params: dict[str, Any]) -> Result:
        if "ts" not in params:
            return self.results.history(name, params)
        runs = self.results.runs()
        moment = params.pop("ts")
        run = runs.at(moment) if moment else runs.newest
        if run is None:
            # An answer without rows has the columns too.
            return self.results.history(name, {**params, "ts": moment})
        return self.results.about(run, [(name, params)])[0]


def _described(query: NamedQuery) -> dict[str, Any]:
    parameters = [
        {"name": p.name, "type": p.kind, "default": p.default, "answers": p.answers}
        for p in query.parameters
    ]
    return {
        "name": query.name,
        "answers": query.answers,
        "notes": query.notes,
        "parameters": parameters,
    }


def run_findings(results: Results, run: ResultRow, other: ResultRow | None) -> Findings:
    """What a run has found, beside the stories of another one."""
    asked = "run_findings", {"compared": other and other["ts"]}
    (answer,) = results.about(run, [asked])
    return findings_of(answer, run)
