"""The pages for people, as one blueprint for the root of the service."""

from flask import Blueprint

from dfpipe.datastore import Store
from dfpipe.warehouse import Warehouse
from launcher.chains.executions import Executions
from launcher.chains.records import Records
from launcher.pages import api_description, emptiness, old_addresses, plot_library, rendering
from launcher.pages.board import Board
from launcher.pages.execution_pages import ExecutionPages, ReadLog, Start
from launcher.pages.feed_page import FeedPage
from launcher.pages.story_pages import StoryPages
from launcher.pages.timeline_pages import TimelinePages
from launcher.settings import LauncherSettings
from launcher.views.posts import Posts
from launcher.views.results import NoWarehouse, Results
from launcher.views.windows import Windows
from service.clock import Clock, utc_now
from service.pages import Link

NAVIGATION = (
    Link(
        "pages.timeline",
        "Timeline",
        tuple(
            f"pages.{name}"
            for name in (
                "runs",
                "ranking",
                "story",
                "word",
                "pair",
                "link",
                "host",
                "search",
                "meaning",
            )
        ),
    ),
    Link("pages.executions", "Jobs", ("pages.execution",)),
)


def create_pages(
    settings: LauncherSettings,
    warehouse: Warehouse | None,
    records: Records,
    executions: Executions,
    start: Start,
    store: Store,
    read_log: ReadLog,
    clock: Clock = utc_now,
) -> Blueprint:
    """The pages on the results in a warehouse, if there is one, and on the executions.

    The application needs a guard (service.auth), an access (service.access) and the frame of
    service.pages. The buttons change `executions`, and `start` the one of the current slot;
    `store` has the posts that are shown, `read_log` gives the end of a job's log.
    """
    pages = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/pages/static",
    )
    rendering.install(pages, clock)
    plot_library.install(pages)
    api_description.install(pages)
    old_addresses.install(pages)
    emptiness.install(pages, settings, store, clock)
    results = Results(warehouse or NoWarehouse())
    posts = Posts(store, settings.is_synthetic)
    TimelinePages(pages, results, posts)
    StoryPages(pages, results, posts, Windows(store))
    FeedPage(pages, results, settings.url, clock)
    ExecutionPages(
        pages, Board(records), executions, results, start, read_log, settings.cron_yaml, clock
    )
    return pages
