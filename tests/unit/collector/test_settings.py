"""The collector's settings: read from the environment, and never shown."""

from datetime import timedelta
from pathlib import Path

import pytest

from collector.settings import CollectorSettings, read_settings
from service.environment import variable_of
from service.errors import UsageError

SECRETS = [
    variable_of(CollectorSettings, name)
    for name, field in CollectorSettings.model_fields.items()
    if not field.repr and name != "auth"
]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == CollectorSettings()


def test_everything_is_read() -> None:
    secrets = {name: f"the-value-of-{name}" for name in SECRETS}
    settings = read_settings(
        {
            **secrets,
            "DFPIPE_STORE": "sqlite:///p.db",
            "DFPIPE_TASK_TOKEN": "token-of-the-task-queue",
            "COLLECTOR_QUEUE_YAML": "other.yaml",
            "DFPIPE_NAVIGATION": "Timeline=/",
            "COLLECTOR_INGEST_BACKLOG": "7",
            "COLLECTOR_KEEP": "36h",
            "COLLECTOR_HISTORY": "2w",
            "COLLECTOR_RATE_HEADROOM": "0",
            "COLLECTOR_SYNTHETIC": "1",
            "COLLECTOR_REQUEST_TIMEOUT": "5",
            "COLLECTOR_TASK_SECONDS": "60",
            "COLLECTOR_X_URL": "http://127.0.0.1:1/",
            "COLLECTOR_BLUESKY_URL": "http://127.0.0.1:2",
            "COLLECTOR_BLUESKY_HANDLE": "anna.example.com",
            "COLLECTOR_MASTODON_URL": "http://127.0.0.1:3",
        }
    )
    default = CollectorSettings()
    same = [
        name
        for name in CollectorSettings.model_fields
        if getattr(settings, name) == getattr(default, name)
    ]
    assert same == []
    assert settings.keep == timedelta(hours=36)
    assert settings.x_url == "http://127.0.0.1:1"
    assert settings.ingest_tokens == ("the-value-of-COLLECTOR_INGEST_TOKENS",)


def test_no_secret_is_shown() -> None:
    secrets = {name: f"the-value-of-{name}" for name in SECRETS}
    shown = repr(read_settings({**secrets, "DFPIPE_TASK_TOKEN": "the-value-of-the-token"}))
    assert "the-value-of" not in shown


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_stand_in_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"the-value-of-{name}\n")
    assert read_settings({f"{name}_FILE": str(file)}) == read_settings(
        {name: f"the-value-of-{name}"}
    )


def test_app_engine_has_a_store_of_its_own() -> None:
    environment = {"GAE_ENV": "standard", "GOOGLE_CLOUD_PROJECT": "p"}
    assert read_settings(environment).store == "datastore://p"
    assert read_settings({**environment, "DFPIPE_STORE": "datastore://q"}).store == "datastore://q"
    assert read_settings({"GOOGLE_CLOUD_PROJECT": "p"}).store == ""


WRONG = {
    "headroom": (
        {"COLLECTOR_RATE_HEADROOM": "-1"},
        "COLLECTOR_RATE_HEADROOM is '-1': expected a number of at least 0",
    ),
    "backlog": (
        {"COLLECTOR_INGEST_BACKLOG": "0"},
        "COLLECTOR_INGEST_BACKLOG is '0': expected a number of at least 1",
    ),
    "digits": ({"COLLECTOR_TASK_SECONDS": "٣"}, "COLLECTOR_TASK_SECONDS is '٣'"),
    "huge": ({"COLLECTOR_TASK_SECONDS": "9" * 10}, "COLLECTOR_TASK_SECONDS is '9999999999'"),
    "age": (
        {"COLLECTOR_KEEP": "30"},
        "COLLECTOR_KEEP is '30': expected a number and s, m, h, d or w",
    ),
    "unit": ({"COLLECTOR_HISTORY": "3y"}, "COLLECTOR_HISTORY is '3y'"),
    "url": ({"COLLECTOR_X_URL": "api.x.com"}, "COLLECTOR_X_URL is 'api.x.com': expected a URL"),
    "query": ({"COLLECTOR_MASTODON_URL": "https://a/?b"}, "COLLECTOR_MASTODON_URL is"),
    "short": (
        {"COLLECTOR_INGEST_TOKENS": "abc"},
        "COLLECTOR_INGEST_TOKENS is a value that is not shown: a token of 3 characters",
    ),
    "task token": ({"DFPIPE_TASK_TOKEN": "abc"}, "DFPIPE_TASK_TOKEN has 3 characters"),
    "missing file": (
        {"COLLECTOR_MASTODON_TOKEN_FILE": "/nowhere/at/all"},
        "COLLECTOR_MASTODON_TOKEN_FILE is '/nowhere/at/all', which cannot be read: No such file",
    ),
    "both": (
        {"COLLECTOR_MASTODON_TOKEN_FILE": "f", "COLLECTOR_MASTODON_TOKEN": "t"},
        "COLLECTOR_MASTODON_TOKEN and COLLECTOR_MASTODON_TOKEN_FILE are both set",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(case: str) -> None:
    environment, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        read_settings(environment)


def test_a_secret_that_is_too_short_is_not_told() -> None:
    with pytest.raises(UsageError) as raised:
        read_settings({"COLLECTOR_INGEST_TOKENS": "secretive"})
    assert "secretive" not in str(raised.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_settings({"COLLECTOR_MASTODON_TOKEN_FILE": str(tmp_path / "f")})
