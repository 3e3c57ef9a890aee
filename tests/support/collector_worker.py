"""Fetches accounts again and again, until it is killed or standard input ends.

Called with the store's URL, the URL of the networks, and accounts.
"""

import sys
import threading
from contextlib import suppress

from collector.fetching.fetching import Context, fetch
from collector.sources import AccountRefusedError, UnavailableError
from dfpipe.datastore import connect
from tests.support.collecting import settings_for
from tests.support.network_server import Networks
from tests.support.networks import World


def main() -> None:
    _, store, url, *accounts = sys.argv
    networks = Networks(World(), lambda: None)  # type: ignore[arg-type, return-value]
    networks.url = url
    context = Context(connect(store), settings_for(networks, rate_headroom=0))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        for account in accounts:
            with suppress(UnavailableError, AccountRefusedError):
                fetch(context, account, limit_seconds=0.2)
            ended.wait(0.02)


if __name__ == "__main__":
    main()
