"""What the collector is told: by the environment, and by files that the environment names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from dfpipe.errors import UsageError
from service.auth import SHORTEST_TOKEN, AuthSettings, settings_from
from service.errors import UsageError as ServiceUsageError

STORE = "DFPIPE_STORE"
QUEUE_YAML = "COLLECTOR_QUEUE_YAML"
INGEST_TOKENS = "COLLECTOR_INGEST_TOKENS"
SECRETS = (
    INGEST_TOKENS,
    "COLLECTOR_X_BEARER_TOKEN",
    "COLLECTOR_X_CONSUMER_KEY",
    "COLLECTOR_X_CONSUMER_SECRET",
    "COLLECTOR_X_ACCESS_TOKEN",
    "COLLECTOR_X_ACCESS_TOKEN_SECRET",
    "COLLECTOR_BLUESKY_PASSWORD",
    "COLLECTOR_MASTODON_TOKEN",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one collector works. No secret is in its repr.

    `rate_headroom` is how many requests of each announced rate limit are left to other programs;
    `request_timeout` and `task_seconds` are in seconds: how long to wait for an API, and how long
    one task may fetch before it leaves the rest to another; `history` is how far back a newly
    followed account is fetched; `ingest_backlog` is how many tasks may
    wait on the queue before /ingest takes no more; posts older than `keep` are purged.
    """

    store: str = ""
    queue_yaml: str = "queue.yaml"
    auth: AuthSettings = field(default_factory=AuthSettings, repr=False)
    ingest_tokens: tuple[str, ...] = field(default=(), repr=False)
    ingest_backlog: int = 10_000
    keep: timedelta = timedelta(days=30)
    history: timedelta = timedelta(days=7)
    rate_headroom: int = 1
    request_timeout: float = 20.0
    task_seconds: float = 300.0
    x_url: str = "https://api.x.com"
    x_bearer_token: str = field(default="", repr=False)
    x_consumer_key: str = field(default="", repr=False)
    x_consumer_secret: str = field(default="", repr=False)
    x_access_token: str = field(default="", repr=False)
    x_access_token_secret: str = field(default="", repr=False)
    bluesky_url: str = "https://bsky.social"
    bluesky_handle: str = ""
    bluesky_password: str = field(default="", repr=False)
    mastodon_url: str = "https://mastodon.social"
    mastodon_token: str = field(default="", repr=False)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment; a secret NAME may stand in a file that NAME_FILE names.

    docs/reference/collector.md lists them. Raises UsageError.
    """
    secrets = {name: _secret(environment, name) for name in SECRETS}

    def text(name: str, default: str) -> str:
        return environment.get(name, "").strip() or default

    default = Settings()
    return Settings(
        store=text(STORE, _own_store(environment)),
        queue_yaml=text(QUEUE_YAML, default.queue_yaml),
        auth=_auth(environment),
        ingest_tokens=_tokens(secrets[INGEST_TOKENS]),
        ingest_backlog=_whole(environment, "COLLECTOR_INGEST_BACKLOG", default.ingest_backlog, 1),
        keep=parse_age(text("COLLECTOR_KEEP", "30d"), "COLLECTOR_KEEP"),
        history=parse_age(text("COLLECTOR_HISTORY", "7d"), "COLLECTOR_HISTORY"),
        rate_headroom=_whole(environment, "COLLECTOR_RATE_HEADROOM", default.rate_headroom, 0),
        request_timeout=_whole(environment, "COLLECTOR_REQUEST_TIMEOUT", 20, 1),
        task_seconds=_whole(environment, "COLLECTOR_TASK_SECONDS", 300, 1),
        x_url=_url(environment, "COLLECTOR_X_URL", default.x_url),
        x_bearer_token=secrets["COLLECTOR_X_BEARER_TOKEN"],
        x_consumer_key=secrets["COLLECTOR_X_CONSUMER_KEY"],
        x_consumer_secret=secrets["COLLECTOR_X_CONSUMER_SECRET"],
        x_access_token=secrets["COLLECTOR_X_ACCESS_TOKEN"],
        x_access_token_secret=secrets["COLLECTOR_X_ACCESS_TOKEN_SECRET"],
        bluesky_url=_url(environment, "COLLECTOR_BLUESKY_URL", default.bluesky_url),
        bluesky_handle=text("COLLECTOR_BLUESKY_HANDLE", ""),
        bluesky_password=secrets["COLLECTOR_BLUESKY_PASSWORD"],
        mastodon_url=_url(environment, "COLLECTOR_MASTODON_URL", default.mastodon_url),
        mastodon_token=secrets["COLLECTOR_MASTODON_TOKEN"],
    )


def _own_store(environment: Mapping[str, str]) -> str:
    """On App Engine, the project's own Datastore."""
    project = environment.get("GOOGLE_CLOUD_PROJECT", "")
    return f"datastore://{project}" if environment.get("GAE_ENV") and project else ""


def _secret(environment: Mapping[str, str], name: str) -> str:
    value, file = environment.get(name, ""), environment.get(f"{name}_FILE", "")
    if value and file:
        raise UsageError(f"{name} and {name}_FILE are both set: set one of them")
    if not file:
        return value.strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{name}_FILE is {file!r}, which cannot be read: {reason}") from error


def _tokens(text: str) -> tuple[str, ...]:
    tokens = tuple(text.replace(",", " ").split())
    for token in tokens:
        if len(token) < SHORTEST_TOKEN:
            raise UsageError(
                f"{INGEST_TOKENS} has a token of {len(token)} characters: give at least "
                f"{SHORTEST_TOKEN}, as from `python -c 'import secrets; "
                "print(secrets.token_urlsafe())'`"
            )
    return tokens


def _auth(environment: Mapping[str, str]) -> AuthSettings:
    try:
        return settings_from(environment)
    except ServiceUsageError as error:
        raise UsageError(str(error)) from error


def _whole(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < least:
        raise UsageError(f"{name} is {text!r}: give a whole number of at least {least}")
    return int(text)


def _url(environment: Mapping[str, str], name: str, default: str) -> str:
    url = environment.get(name, "").strip() or default
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.username:
        raise UsageError(f"{name} is {url!r}: give a URL of the form https://HOST")
    return url.rstrip("/")


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str, what: str) -> timedelta:
    """An age like 30d: a number and m, h, d or w. Raises UsageError, which says `what` was given.

    >>> parse_age("36h", "--older_than")
    datetime.timedelta(days=1, seconds=43200)
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or len(number) > 5 or unit not in _UNITS:
        raise UsageError(f"{what} is {text!r}: give a number and m, h, d or w, as 30d")
    return timedelta(**{_UNITS[unit]: int(number)})
