"""Import and export give the same over every store."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfpipe.posts import exporting, importing, scanning
from dfpipe.posts.importing import Report

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
NOTICE = {"delete": {"status": {"id_str": "600"}}}


def line(tid: int, text: str, second: int) -> bytes:
    time = f"2020-01-01T00:00:{second:02}Z"
    record = {"tid": tid, "user": "a", "text": text, "created_at": time, "urls": ["http://a/é"]}
    return json.dumps(record).encode() + b"\n"


def do_import(client: Any, path: Path) -> Report:
    with importing.sources([str(path)], io.BytesIO()) as archives:
        return importing.store(archives, scanning.scan(archives), client, lambda: NOW)


def test_import_twice_then_export(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "posts"
    made = [line(2**62 + n * 7, "cut \0 …", 59 - n % 30) for n in range(1000)]
    path.write_bytes(b"".join(made) + line(600, "gone", 1))
    assert do_import(client, path) == Report(read=1001, stored=1001)
    longer = line(2**62, "cut no more", 59)
    path.write_bytes(b"".join(made) + longer + json.dumps(NOTICE).encode())
    expected = Report(read=1002, replaced=1, seen=1000, deleted=1, removed=1)
    assert do_import(client, path) == expected
    assert do_import(client, path) == Report(read=1002, seen=1001, deleted=1)
    lines = [json.loads(line) for line in [longer, *made[1:]]]
    lines.sort(key=lambda post: (post["created_at"], post["tid"]))
    assert [json.loads(line) for line in exporting.export_lines(client)] == lines
