"""Reads App Engine's files with Google's own parsers; runs in the environment of the old library.

Its arguments are files; it prints a JSON object with what it found, or why it refused, of each.
"""

import json
import sys
from pathlib import Path
from typing import Any

from google.appengine.api import appinfo, croninfo, dispatchinfo, queueinfo
from google.appengine.datastore import datastore_index


def parsed(file: Path) -> Any:
    text = file.read_text()
    if file.name == "app.yaml":
        return {"service": appinfo.LoadSingleAppInfo(text).service}
    if file.name == "cron.yaml":
        return [[entry.url, entry.schedule] for entry in croninfo.LoadSingleCron(text).cron]
    if file.name == "queue.yaml":
        return [queue.name for queue in queueinfo.LoadSingleQueue(text).queue]
    if file.name == "index.yaml":
        return len(datastore_index.ParseIndexDefinitions(text).indexes or [])
    entries = dispatchinfo.LoadSingleDispatch(text).dispatch
    urls = [dispatchinfo.ParsedURL(entry.url) for entry in entries]
    return [
        [url.host_pattern, url.path, url.path_exact, entry.service or entry.module]
        for url, entry in zip(urls, entries, strict=True)
    ]


def answer(file: Path) -> dict[str, Any]:
    try:
        return {"found": parsed(file)}
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    json.dump({name: answer(Path(name)) for name in sys.argv[1:]}, sys.stdout)
