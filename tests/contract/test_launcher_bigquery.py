"""The launcher's pages over BigQuery: what they show, and how often they ask."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from launcher.app import create_app
from tests.support import launcher_pages as support
from tests.support.launcher_pages import SLOT, SLOTS
from tests.support.launcher_site import LOCAL, Page

pytestmark = pytest.mark.usefixtures("unbound_launcher")
DATASETS = itertools.count(1)
PAGES = {
    "/": "harbour storm ferry",
    "/timeline/story?w1=harbour&w2=storm&ts=2026-01-07T10:00:00Z": "1 story like it",
    "/timeline/word?word=storm": "Ranked in 2 of 2 runs",
    "/timeline/pair?w1=storm&w2=ferry": "Ranked in 2 of 2 runs",
    "/timeline/link?url=https://news1.example/story/1?page=0": "Ranked in 2 of 2 runs",
    "/timeline/search?q=harbor": "harbour",
}


class Asking:
    """The queries that Google's client sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        query = bigquery.Client.query

        def counted(client: bigquery.Client, *args: Any, **kwargs: Any) -> Any:
            self.number += 1
            return query(client, *args, **kwargs)

        monkeypatch.setattr(bigquery.Client, "query", counted)


def test_a_page_asks_two_queries_at_most_and_none_once_more(
    bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    url = f"bigquery://pages/launcher{next(DATASETS)}"
    for ts in (SLOT - 5 * SLOTS, SLOT):
        support.fill(url, ts)
    asking = Asking(monkeypatch)
    for path, text in PAGES.items():
        settings = support.settings_in(tmp_path, warehouse=url)
        client = create_app(settings, clock=lambda: support.NOW).test_client()
        asking.number = 0
        for _ in range(2):
            answer = client.get(path, base_url=LOCAL)
            assert text in " ".join(Page(answer.text).text.split()), path
            assert asking.number == 2, path
