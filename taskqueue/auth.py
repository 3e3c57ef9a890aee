"""The old name of `service.auth`, for handlers that import it from here."""

from service.auth import Guard, proven, settings_from

__all__ = ["Guard", "proven", "settings_from"]
