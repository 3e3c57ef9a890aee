"""The launcher's settings, slots and places."""

import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dfpipe.errors import UsageError
from launcher import settings
from launcher.chains import places, records, slots
from launcher.chains.slots import parse_slot, slot_of
from launcher.settings import DataflowSettings, Settings, read_settings


@pytest.mark.parametrize(
    "module",
    [places, records, settings, slots],
    ids=["places", "records", "settings", "slots"],
)
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_defaults() -> None:
    found = read_settings({})
    assert (found.slot, found.overlap, found.look) == (timedelta(hours=5), "wait", "loopback")
    assert found.dataflow == DataflowSettings()
    assert (found.store, found.warehouse, found.queue) == ("", "", "default")


def test_what_the_environment_gives() -> None:
    found = read_settings(
        {
            "DFPIPE_STORE": "sqlite:///s.db",
            "DFPIPE_WAREHOUSE": "duckdb:///w.duckdb",
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
        ("LAUNCHER_SLOT", "5", "LAUNCHER_SLOT is '5': give a number and s, m, h or d, as 5h"),
        ("LAUNCHER_SLOT", "0h", "LAUNCHER_SLOT is '0h': give a number"),
        ("LAUNCHER_POLL", "9999999d", "LAUNCHER_POLL is '9999999d'"),
        ("LAUNCHER_KEEP", "5h", "LAUNCHER_KEEP is '5h', and LAUNCHER_SLOT is 5:00:00: give more"),
        ("LAUNCHER_KEEP", "long", "LAUNCHER_KEEP is 'long': give a number"),
        ("LAUNCHER_OVERLAP", "both", "LAUNCHER_OVERLAP is 'both': give one of wait, skip, cancel"),
        ("LAUNCHER_LOOK", "all", "LAUNCHER_LOOK is 'all': give one of loopback, token, iap"),
        ("LAUNCHER_URL", "ftp://x", "LAUNCHER_URL is no URL of the form https://HOST"),
        ("LAUNCHER_WEBHOOK", "hook", "LAUNCHER_WEBHOOK is no URL"),
        ("LAUNCHER_DATAFLOW_MAX_WORKERS", "-1", "is '-1': give a whole number, as 10"),
        ("DFPIPE_TASK_TOKEN", "short", "DFPIPE_TASK_TOKEN has 5 characters"),
    ],
)
def test_what_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({name: text})
    assert message in str(caught.value)


def test_slots_count_from_1970() -> None:
    five = Settings().slot
    slot = slot_of(datetime(2026, 1, 7, 12, 34, tzinfo=UTC), five)
    assert (slot.minute, slot.second) == (0, 0)
    assert slot_of(slot, five) == slot
    assert slot_of(slot - timedelta(seconds=1), five) == slot - five


def test_slots_that_people_give() -> None:
    assert parse_slot("2026-01-07T11:00:00+01:00") == datetime(2026, 1, 7, 10, tzinfo=UTC)
    for text in ("", "now", "2026-01-07", "2026-13-07T10:00:00Z", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(UsageError, match="give a time like 2026-01-07T10:00:00Z"):
            parse_slot(text)


def test_places_without_a_value() -> None:
    with pytest.raises(KeyError):
        places.filled("{slot} {x}", {"slot": "s"})
    with pytest.raises(ValueError, match="is no place"):
        list(places.places_in("{Not}"))
