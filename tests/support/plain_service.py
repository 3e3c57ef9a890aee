"""A service of one page under gunicorn, as its own process: `python -m ... PORT`."""

import sys

from flask import Flask, request

from service import gunicorn_server
from service.listening import Listening, run_gunicorn

LARGE = 20_000_000  # more than systems take without a reader


def create_app() -> Flask:
    app = Flask("plain")
    app.add_url_rule("/", "page", lambda: "here")
    app.add_url_rule("/large", "large", lambda: bytes(LARGE))
    app.add_url_rule("/", "size", lambda: str(len(request.get_data())), methods=["POST"])
    return app


if __name__ == "__main__":
    # Tests do not wait as long as services do.
    gunicorn_server.READ_SECONDS = gunicorn_server.SEND_SECONDS = 1.0
    where = Listening(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        workers=1,
        threads=2,
        log_level="ERROR",
        keep_alive_secs=1,
    )
    run_gunicorn(create_app, "plain", where)
