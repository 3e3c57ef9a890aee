"""A collector over a store, as its application and with what its tests ask it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from collector.app import create_app
from collector.settings import CollectorSettings
from service.auth import AuthSettings
from tests.support.taskqueues import Clock

TASK_TOKEN = "token-of-the-task-queue"
INGEST_TOKEN = "token-of-somebody-who-pushes"
PLATFORM = {"Authorization": f"Bearer {TASK_TOKEN}"}
PUSHER = {"Authorization": f"Bearer {INGEST_TOKEN}"}
QUEUES = """
queue:
- name: timeline
  rate: 50/s
- name: ingest
  mode: pull
"""
GOOD = {"tid": 7, "user": "anna", "text": "Storm", "created_at": "2026-01-07T11:00:00Z"}


def settings_in(folder: Path, store_url: str, **kwargs: Any) -> CollectorSettings:
    """The settings of a collector whose queue.yaml is in a folder."""
    yaml = folder / "queue.yaml"
    yaml.write_text(QUEUES)
    settings = CollectorSettings(
        store=store_url,
        queue_yaml=str(yaml),
        auth=AuthSettings(token=TASK_TOKEN, page_access="loopback"),
        ingest_tokens=("another-token-of-a-pusher", INGEST_TOKEN),
        request_timeout=30,
    )
    return settings.changed(**kwargs)


def make_api(settings: CollectorSettings, clock: Clock) -> FlaskClient:
    """A client of the application."""
    return create_app(settings, clock=clock).test_client()


def environment_of(settings: CollectorSettings) -> Mapping[str, str]:
    """What tells a process these settings."""
    return {
        "DFPIPE_STORE": settings.store,
        "COLLECTOR_QUEUE_YAML": settings.queue_yaml,
        "COLLECTOR_INGEST_TOKENS": " ".join(settings.ingest_tokens),
        "DFPIPE_TASK_TOKEN": TASK_TOKEN,
    }
