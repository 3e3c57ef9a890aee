"""/feed.atom: the rising stories for readers of feeds."""

from datetime import datetime

from flask import Blueprint, Response, request, url_for

from dfpipe.errors import DfpipeError, NoResultsError
from dfpipe.warehouse.named_queries import ResultRow
from launcher.views import feed
from launcher.views.results import Results
from service.access import current_access, readers_only
from service.clock import Clock


class FeedPage:
    """The route of the feed; `site` is the service's own address, if it is known."""

    def __init__(self, pages: Blueprint, results: Results, site: str, clock: Clock) -> None:
        self.results = results
        self.site = site
        self.clock = clock
        pages.add_url_rule("/feed.atom", "feed", readers_only(self.feed))
        pages.app_context_processor(lambda: {"feed_address": _address})

    def feed(self) -> Response:
        """The stories that began to rise in the last days."""
        site = self.site or request.url_root.rstrip("/")
        try:
            newest, rows = self._rising()
        except DfpipeError as error:
            return Response(str(error), 503, {"Retry-After": "60"}, content_type="text/plain")
        text = feed.atom(feed.rises(rows, newest), newest, site, f"{site}{request.full_path}")
        return Response(text, content_type="application/atom+xml; charset=utf-8")

    def _rising(self) -> tuple[datetime, list[ResultRow]]:
        """The newest run and what rose until then; now and nothing, if there is no run yet."""
        try:
            run = self.results.runs().newest
        except NoResultsError:
            run = None
        if run is None:
            return self.clock(), []
        (answer,) = self.results.about(run, [("recent_rises", {"since": feed.HOURS})])
        return run["ts"], answer.dicts()


def _address() -> str:
    """The address of the feed, with the key that its readers need."""
    return url_for("pages.feed", key=current_access().reading_key or None)
