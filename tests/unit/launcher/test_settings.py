"""The launcher's settings, slots and places."""

import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launcher import slots
from launcher.chains import places, records
from launcher.settings import DataflowSettings, LauncherSettings, read_settings
from launcher.slots import slot_of
from service.errors import UsageError


@pytest.mark.parametrize(
    "module",
    [places, records, slots],
    ids=["places", "records", "slots"],
)
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_defaults() -> None:
    found = read_settings({})
    assert (found.slot, found.overlap) == (timedelta(hours=5), "wait")
    assert found.dataflow == DataflowSettings()
    assert (found.store, found.warehouse, found.queue) == ("", "", "default")


def test_what_the_environment_gives() -> None:
    found = read_settings(
        {
            "DFPIPE_STORE": "sqlite:///s.db",
            "DFPIPE_SINK": "duckdb:///w.duckdb",
            "LAUNCHER_SLOT": "90m",
            "LAUNCHER_OVERLAP": "cancel",
            "LAUNCHER_URL": "https://launcher.example/",
            "LAUNCHER_WEBHOOK": "https://hooks.example/secret",
            "GOOGLE_CLOUD_PROJECT": "p",
            "LAUNCHER_DATAFLOW_MAX_WORKERS": "12",
        }
    )
    assert (found.store, found.warehouse) == ("sqlite:///s.db", "duckdb:///w.duckdb")
    assert (found.slot, found.overlap) == (timedelta(minutes=90), "cancel")
    assert found.url == "https://launcher.example"
    assert (found.dataflow.project, found.dataflow.max_workers) == ("p", 12)
    assert "secret" not in repr(found)


def test_the_store_on_app_engine() -> None:
    found = read_settings({"GAE_ENV": "standard", "GOOGLE_CLOUD_PROJECT": "p"})
    assert found.store == "datastore://p"
    assert found.auth.on_app_engine


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("LAUNCHER_SLOT", "5", "LAUNCHER_SLOT is '5': expected a number and s, m, h, d or w"),
        ("LAUNCHER_SLOT", "0h", "LAUNCHER_SLOT is '0h': expected more than 0s"),
        ("LAUNCHER_POLL", "9999999d", "LAUNCHER_POLL is '9999999d': expected a duration from"),
        ("LAUNCHER_KEEP", "5h", "LAUNCHER_KEEP is 5h: expected more than LAUNCHER_SLOT"),
        ("LAUNCHER_KEEP", "long", "LAUNCHER_KEEP is 'long': expected a number and s, m, h"),
        ("LAUNCHER_OVERLAP", "both", "LAUNCHER_OVERLAP is 'both': expected 'wait', 'skip' or"),
        ("LAUNCHER_LOOK", "all", "LAUNCHER_LOOK is 'all': expected token, iap, loopback"),
        ("LAUNCHER_URL", "ftp://x", "LAUNCHER_URL is 'ftp://x': expected a URL of the form"),
        ("LAUNCHER_WEBHOOK", "hook", "LAUNCHER_WEBHOOK is a value that is not shown: "),
        ("LAUNCHER_DATAFLOW_MAX_WORKERS", "-1", "is '-1': expected a number of at least 0"),
        ("DFPIPE_TASK_TOKEN", "short", "DFPIPE_TASK_TOKEN has 5 characters"),
    ],
)
def test_what_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({name: text})
    assert message in str(caught.value)


def test_slots_count_from_1970() -> None:
    five = LauncherSettings().slot
    slot = slot_of(datetime(2026, 1, 7, 12, 34, tzinfo=UTC), five)
    assert (slot.minute, slot.second) == (0, 0)
    assert slot_of(slot, five) == slot
    assert slot_of(slot - timedelta(seconds=1), five) == slot - five


def test_the_old_name_of_the_sink() -> None:
    assert read_settings({"DFPIPE_WAREHOUSE": "duckdb:///w.duckdb"}).warehouse == (
        "duckdb:///w.duckdb"
    )
