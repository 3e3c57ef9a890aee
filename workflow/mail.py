"""Mails about workflows that have ended, and the settings of mail."""

import html
import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Annotated, Self
from urllib.parse import unquote, urlencode, urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from service.environment import EnvironmentSettings, read_environment

SECONDS = 30.0  # for each answer of the mail server

HEADERS = ("to", "cc", "bcc", "reply_to")  # of a mail that does not go to the usual address

# Takes sender, subject, text and HTML, and those of HEADERS that are given, by name.
Send = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """How mails are sent: by `send`, for an application whose pages are at `base_url`."""

    send: Send | None = None
    sender: str = ""
    app_id: str = "dfpipe"
    base_url: str = "http://localhost"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Sends mails through a server, smtp://user:password@host:port, or smtps.

    Mails that name no receiver go to `to`.
    """

    url: str = field(repr=False)  # it may hold a password
    to: str

    def __call__(
        self, sender: str, subject: str, body: str, html_body: str, **headers: str
    ) -> None:
        """Send one mail; raises OSError or smtplib.SMTPException."""
        parts = urlsplit(self.url)
        message = EmailMessage()
        message["From"], message["Subject"] = sender, subject
        for name, value in {"to": self.to, **headers}.items():
            message[name.replace("_", "-").title()] = value
        message.set_content(body)
        if html_body:
            message.add_alternative(html_body, subtype="html")
        connect = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
        with connect(parts.hostname or "localhost", parts.port or 0, timeout=SECONDS) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)


def _smtp_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_smtp = parts.scheme in ("smtp", "smtps") and parts.port != 0
    except ValueError:  # brackets that do not match, or a port that is not a number
        is_smtp = False
    if not is_smtp:
        raise ValueError("expected smtp://HOST:PORT or smtps://USER:PASSWORD@HOST")
    return url


class MailSettings(EnvironmentSettings):
    """The mail server, the addresses of mails, and what mails say of the application."""

    model_config = SettingsConfigDict(env_prefix="DFPIPE_MAIL_")

    url: Annotated[str, AfterValidator(_smtp_url)] = Field(default="", repr=False)
    sender: str = ""
    to: str = ""
    app_id: str = Field(default="dfpipe", validation_alias="GOOGLE_CLOUD_PROJECT")
    base_url: str = Field(default="http://localhost", validation_alias="DFPIPE_WORKFLOW_URL")

    @model_validator(mode="after")
    def _has_addresses(self) -> Self:
        if self.url and not (self.sender and self.to):
            raise ValueError(
                "DFPIPE_MAIL_URL needs DFPIPE_MAIL_SENDER and DFPIPE_MAIL_TO: set them to the "
                "sender and the receiver of mails"
            )
        return self


def settings_from(environment: Mapping[str, str]) -> Mail | None:
    """How mails are sent; None if the environment names no server. Raises service's UsageError."""
    found = read_environment(MailSettings, environment)
    if not found.url:
        return None
    return Mail(
        send=SmtpServer(found.url, found.to),
        sender=found.sender,
        app_id=found.app_id,
        base_url=found.base_url,
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A workflow that has ended, as the mail about it describes it."""

    class_path: str
    root: str
    base_path: str
    was_aborted: bool


def result_mail(ended: Ended, mail: Mail, sender: str | None) -> tuple[str, str, str, str]:
    """Sender, subject, text and HTML of the mail about a workflow that has ended."""
    how = "aborted" if ended.was_aborted else "successful"
    name = f"{ended.class_path}#{ended.root}"
    subject = f'Pipeline {how}: App "{mail.app_id}", {name}'
    query = urlencode({"root": ended.root})
    url = f"{mail.base_url.rstrip('/')}{ended.base_path}/status?{query}"
    outcome = f"{name} was aborted." if ended.was_aborted else f"{name} has succeeded."
    body = f"{outcome}\n\nSee its stages at {url}\n"
    page = f'<p>{html.escape(outcome)}</p><p>See <a href="{html.escape(url)}">its stages</a>.</p>'
    address = sender or mail.sender or f"{mail.app_id}@{mail.app_id}.appspotmail.com"
    return address, subject, body, page
