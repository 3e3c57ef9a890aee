"""What launcher_empty.html needs: which posts there are, and the commands that bring some."""

from flask import Blueprint
from google.api_core.exceptions import GoogleAPIError

from dfpipe.datastore import Store, StoreError
from dfpipe.posts.span import Span, stored_span
from launcher.settings import LauncherSettings
from service.clock import Clock


def install(pages: Blueprint, settings: LauncherSettings, store: Store, clock: Clock) -> None:
    """Add functions for templates: stored_span, until, store_url and sink_url."""

    def span() -> Span | None:
        try:
            return stored_span(store)
        except (StoreError, GoogleAPIError):
            return None  # the page has something else to show, and says what to do

    pages.add_app_template_global(span, "stored_span")
    pages.add_app_template_global(lambda span: span.until(clock()), "until")
    pages.add_app_template_global(lambda: settings.store, "store_url")
    pages.add_app_template_global(lambda: settings.warehouse, "sink_url")
