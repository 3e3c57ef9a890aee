"""The collector's settings, read from the environment in one place."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from service.auth import SHORTEST_TOKEN, AuthSettings, settings_from
from service.environment import EnvironmentSettings, read_environment
from service.fields import Duration, Places, WebUrl, Words

BLUESKY_URL = "https://bsky.social"


def _long_enough(tokens: tuple[str, ...]) -> tuple[str, ...]:
    for token in tokens:
        if len(token) < SHORTEST_TOKEN:
            raise ValueError(
                f"a token of {len(token)} characters: expected at least {SHORTEST_TOKEN}, as from "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'`"
            )
    return tokens


def _without_query(url: str) -> str:
    if "?" in url or "#" in url:
        raise ValueError(f"{url[:80]!r}: expected a URL of the form https://HOST")
    return url


ServerUrl = Annotated[WebUrl, AfterValidator(_without_query)]


class CollectorSettings(EnvironmentSettings):
    """How one collector works. No secret is in its repr.

    `rate_headroom` is how many requests of each announced rate limit are left to other programs;
    `request_timeout` and `task_seconds` are in seconds: how long to wait for an API, and how long
    one task may fetch before it leaves the rest to another; `history` is how far back a newly
    followed account is fetched; `ingest_backlog` is how many tasks may wait on the queue before
    /ingest takes no more; posts older than `keep` are purged; `places` are
    the pages of all services; `is_synthetic` makes the page say that the posts are synthetic.
    """

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    store: str = Field(default="", validation_alias="DFPIPE_STORE")
    queue_yaml: str = "queue.yaml"
    ingest_tokens: Annotated[Words, AfterValidator(_long_enough)] = Field(default=(), repr=False)
    ingest_backlog: int = Field(default=10_000, ge=1)
    keep: Duration = timedelta(days=30)
    history: Duration = timedelta(days=7)
    rate_headroom: int = Field(default=1, ge=0)
    request_timeout: float = Field(default=20.0, gt=0, le=3600)
    task_seconds: float = Field(default=300.0, ge=0, le=86_400)
    x_url: ServerUrl = "https://api.x.com"
    x_bearer_token: str = Field(default="", repr=False)
    x_consumer_key: str = Field(default="", repr=False)
    x_consumer_secret: str = Field(default="", repr=False)
    x_access_token: str = Field(default="", repr=False)
    x_access_token_secret: str = Field(default="", repr=False)
    bluesky_url: ServerUrl = BLUESKY_URL
    bluesky_handle: str = ""
    bluesky_password: str = Field(default="", repr=False)
    mastodon_url: ServerUrl = "https://mastodon.social"
    mastodon_token: str = Field(default="", repr=False)
    places: Places = Field(default={}, validation_alias="DFPIPE_NAVIGATION")
    is_synthetic: bool = Field(default=False, validation_alias="COLLECTOR_SYNTHETIC")
    # Read from variables of its own.
    auth: AuthSettings = Field(default=AuthSettings(), repr=False, validation_alias="-auth")


def read_settings(environment: Mapping[str, str]) -> CollectorSettings:
    """The settings in an environment; docs/reference/collector.md lists them. Raises UsageError."""
    given = dict(environment)
    if given.get("GAE_ENV") and given.get("GOOGLE_CLOUD_PROJECT"):
        given.setdefault("DFPIPE_STORE", f"datastore://{given['GOOGLE_CLOUD_PROJECT']}")
    found = read_environment(CollectorSettings, given)
    return found.model_copy(update={"auth": settings_from(given)})
