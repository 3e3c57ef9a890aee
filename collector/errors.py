"""What can go wrong with a source."""

from datetime import datetime

from dfpipe.errors import DfpipeError


class SourceError(DfpipeError):
    """A source did not return what was asked for."""


class RateLimitedError(SourceError):
    """No more requests are allowed before `reset_at`; `reason` is what the source says of it."""

    def __init__(self, reset_at: datetime, what: str = "the source", reason: str = "") -> None:
        super().__init__(
            f"{what} allows no more requests before {reset_at:%Y-%m-%dT%H:%M:%SZ}"
            + (f": {reason}" if reason else "")
        )
        self.reset_at = reset_at


class QuotaSpentError(RateLimitedError):
    """A quota of days or months is spent: `reset_at` is when to ask again."""


class AccountRefusedError(SourceError):
    """The source will not give this account; the message is its reason."""


class BadRequestError(AccountRefusedError):
    """The source does not understand the request, perhaps because a fetch resumed too late."""


class UnavailableError(SourceError):
    """The source cannot answer now; the same request may succeed later."""
