"""gunicorn without a configuration file."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn that needs no configuration file.

    `make_app` is called once in each worker process, so that no connection to a store is shared.
    """

    def __init__(self, make_app: Callable[[], Flask], **settings: Any) -> None:
        self._make_app = make_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take the settings that were given, and that this version of gunicorn knows."""
        for name, value in self._settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application."""
        return self._make_app()
