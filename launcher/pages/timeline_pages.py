"""The pages on what the timeline talks about, and their data as JSON and CSV."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, request

from dfpipe.commands.query import as_csv, as_json
from dfpipe.errors import NoResultsError, UsageError
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.named_queries import NamedQuery, Result
from launcher.pages.rendering import harmless, whole
from launcher.views import talk
from launcher.views.results import Results, as_dicts
from service.access import viewers_only, viewers_or_proven
from service.pages import page

CHOICE = 100  # runs in the page's menu; the list of runs has all
PAGE_ROWS = 100


def _csv(result: Result) -> str:
    return as_csv(Result(result.columns, tuple(tuple(map(harmless, row)) for row in result.rows)))


FORMS = {"json": ("application/json", as_json), "csv": ("text/csv; charset=utf-8", _csv)}


class TimelinePages:
    """What the timeline talks about: pages and data."""

    def __init__(self, pages: Blueprint, results: Results) -> None:
        self.results = results
        add = pages.add_url_rule
        add("/", "timeline", viewers_only(self.timeline))
        add("/timeline/runs", "runs", viewers_only(self.runs))
        add("/timeline/rankings/<name>", "ranking", viewers_only(self.ranking))
        add("/timeline/history", "history", viewers_only(self.history))
        add("/api/queries", "queries", viewers_or_proven(self.queries))
        add("/api/queries/<name>.<form>", "answer", viewers_or_proven(self.answer))

    def timeline(self) -> Response:
        """The cards of a run."""
        run, span = self._chosen_run(), _span()
        runs = self.results.runs()
        cards, contrast = talk.cards(self.results, run, span)
        older, newer = runs.around(run)
        choice = runs.rows[:CHOICE]
        return page(
            "launcher_timeline.html",
            run=run,
            span=span,
            spans=talk.SPANS,
            cards=cards,
            contrast=contrast,
            choice=choice if run in choice else (*choice, run),
            run_count=len(runs.rows),
            older=older,
            newer=newer,
            stays_newest="run" not in request.args,
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
        """All lines of a card."""
        if name not in talk.KINDS:
            abort(404)
        run, span = self._chosen_run(), _span()
        asked = talk.question(name, span)
        (answer,) = self.results.about(run, [asked])
        card = talk.card(asked, answer, len(answer.rows))
        return page("launcher_ranking.html", card=card, run=run, span=span)

    def history(self) -> Response:
        """How a word or a pair has moved over the runs."""
        given = {
            name: value for name, value in request.args.items() if name in ("word", "w1", "w2")
        }
        if {*given} not in ({"word"}, {"w1", "w2"}) or not all(map(str.strip, given.values())):
            raise UsageError(
                "the address needs word, or w1 and w2, such as /timeline/history?word=storm"
            )
        query = "word_history" if "word" in given else "pair_history"
        params = named_queries.load(query).bind(given)
        rows = as_dicts(self.results.history(query, params))[::-1]
        ranked = [row for row in rows if row["rank"] is not None]
        best = min((row["rank"] for row in ranked), default=None)
        says = f"Ranked in {len(ranked):,} of {len(rows):,} runs" + (
            f", at best number {best}." if best else "."
        )
        column, measure = {
            "word_history": ("percent", "Percent of posts"),
            "pair_history": ("log_weight", "Weight"),
        }[query]
        return page(
            "launcher_history.html",
            query=query,
            params=params,
            words=tuple(params.values()),
            says=says,
            rows=rows[:PAGE_ROWS],
            left=max(0, len(rows) - PAGE_ROWS),
            column=column,
            measure=measure,
        )

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

    def _chosen_run(self) -> dict[str, Any]:
        """The run that the address names, or the newest. Raises DfpipeError."""
        runs, given = self.results.runs(), request.args.get("run", "")
        run = runs.at(_time(given)) if given else runs.newest
        if run is None:
            raise NoResultsError(
                "no run is complete yet" if not given else f"no run before {given}"
            )
        return run


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


def _span() -> int:
    span = whole("since", talk.DEFAULT_SPAN)
    return span if span in talk.SPANS else talk.DEFAULT_SPAN


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(f"run is {text[:40]!r}: expected a time like 2015-01-11T00:00:00Z")
