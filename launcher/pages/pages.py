"""The pages for people, as one blueprint for the root of the service."""

from flask import Blueprint

from dfpipe.warehouse import Warehouse
from launcher.chains.records import Records
from launcher.chains.runs import Runs
from launcher.pages import plot_library, rendering
from launcher.pages.access import Access
from launcher.pages.board import Board
from launcher.pages.job_pages import JobPages, Start
from launcher.pages.login_pages import LoginPages
from launcher.pages.results import NoWarehouse, Results
from launcher.pages.timeline_pages import TimelinePages
from launcher.settings import Settings
from service.clock import Clock, utc_now


def create_pages(
    settings: Settings,
    warehouse: Warehouse | None,
    records: Records,
    runs: Runs,
    start: Start,
    clock: Clock = utc_now,
) -> Blueprint:
    """The pages on what is in a warehouse, if there is one, and on the chains of the records.

    The application needs a guard (service.auth). The buttons change `runs`, and
    `start` the one of the current slot.
    """
    access = Access(settings.look)
    pages = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/pages/static",
    )
    rendering.install(pages, clock)
    plot_library.install(pages)
    LoginPages(pages, access)
    TimelinePages(pages, access, Results(warehouse or NoWarehouse()))
    JobPages(pages, access, Board(records), runs, start, clock)
    return pages
