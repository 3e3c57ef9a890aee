"""Mails about workflows that have ended."""

import html
import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlencode, urlsplit

from workflow.errors import UsageError

URL = "DFPIPE_MAIL_URL"
SENDER = "DFPIPE_MAIL_SENDER"
TO = "DFPIPE_MAIL_TO"
BASE_URL = "DFPIPE_WORKFLOW_URL"
SECONDS = 30.0

HEADERS = ("to", "cc", "bcc", "reply_to")  # of a mail, where it does not go to the usual address

# Takes sender, subject, text and HTML, and by their names those of HEADERS that are given.
Send = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """How mails are sent: by `send`, in the name of an application, whose pages are at a URL."""

    send: Send | None = None
    sender: str = ""
    app_id: str = "dfpipe"
    base_url: str = "http://localhost"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Sends mails through a server, smtp://user:password@host:port, or smtps.

    `to` gets those that have no receiver of their own.
    """

    url: str
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


def settings_from(environment: Mapping[str, str]) -> Mail | None:
    """How mails are sent, as the environment says; None where it names no server.

    Raises UsageError for a URL that is none, and where the sender or receiver is missing.
    """
    url = environment.get(URL)
    if not url:
        return None
    if urlsplit(url).scheme not in ("smtp", "smtps"):
        raise UsageError(f"{URL} is {url!r}: give smtp://HOST:PORT or smtps://USER:PASSWORD@HOST")
    if not environment.get(SENDER) or not environment.get(TO):
        raise UsageError(f"{URL} needs {SENDER} and {TO}: who mails come from and go to")
    return Mail(
        send=SmtpServer(url, environment[TO]),
        sender=environment[SENDER],
        app_id=environment.get("GOOGLE_CLOUD_PROJECT") or "dfpipe",
        base_url=environment.get(BASE_URL) or "http://localhost",
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A workflow that has ended."""

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
