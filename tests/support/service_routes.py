"""Prints the routes of a service as JSON, and what each URL answers to a GET without proof.

Arguments: launcher or collector, a folder for its store, and URLs.
"""

import json
import os
import sys
from pathlib import Path

from flask import Flask


def application(name: str, folder: Path) -> Flask:
    os.environ["DFPIPE_STORE"] = f"sqlite:///{folder}/store.db"
    os.environ["DFPIPE_SINK"] = f"duckdb:///{folder}/results.duckdb"
    if name == "launcher":
        from launcher.app import create_app
    else:
        from collector.app import create_app
    return create_app()


def main() -> None:
    name, folder, *urls = sys.argv[1:]
    app = application(name, Path(folder))
    client = app.test_client()
    rules = [[rule.rule, sorted(rule.methods or ())] for rule in app.url_map.iter_rules()]
    json.dump(
        {"rules": rules, "codes": {url: client.get(url).status_code for url in urls}}, sys.stdout
    )


if __name__ == "__main__":
    main()
