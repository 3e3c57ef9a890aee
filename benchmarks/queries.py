"""Run `dfpipe run` with the options given, and print how many queries for posts it made.

Only this process is seen: give --processes=1.
"""

import sys
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from google.cloud import datastore

from dfpipe.datastore import Query
from dfpipe.datastore.embedded import client as embedded
from dfpipe.launch import parse
from dfpipe.options import settings
from dfpipe.pipeline import run_analysis
from dfpipe.posts.post import KIND


def main() -> None:
    """Run, and print the number."""
    made = 0

    def counting(client_class: type[Any]) -> Any:
        query = client_class.query

        def count(client: Any, *, kind: str, **options: Any) -> Query:
            nonlocal made
            made += kind == KIND
            found: Query = query(client, kind=kind, **options)
            return found

        return mock.patch.object(client_class, "query", count)

    with counting(datastore.Client), counting(embedded.Client):
        options = parse(sys.argv[1:], {})
        run_analysis(settings(options, datetime.now(UTC)), options)
    print(made)


if __name__ == "__main__":
    main()
