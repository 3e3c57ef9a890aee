"""What is measured against computes the same: a competitor that is wrong is none."""

import doctest
import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stop_words

from benchmarks import cores, duckdb_sql, lab, pipeline, plain_beam
from dfpipe.demo.timeline import timeline
from tests import oracle, stories_oracle
from tests.support.analysis import store_posts, tables

END = datetime(2026, 3, 5, 13, 37, 42, tzinfo=UTC)
DAYS = 2
STOPS = [*stop_words.get_stop_words("en"), "rt", "via", "amp"]
HARD = (
    "@anna@ben @@carl x@dora ＠emil @fay's ¾@gil @@@h it's Ana's' 'tis '' s's",
    "&amp;lt; caf\u00e9 cafe\u0301 ﬁne ＡＢＣ １２ab x\u20e3y ❤️love 2015 covid19 ʼn rock’n’roll",
    "HTTPS://T.CO/Ab?c\u3000after http://x.test\u00a0after2 ｈttp://no https:// İstanbul ΟΔΟΣ",
    "नमस्ते ไทยคำ กำ 東京 \u0301mark a\u0301 _under_score foo-bar ①② ⓐⓑ Ⅷ",
)
HARD_URLS = (
    *("HTTP://User:pw@Example.COM:80?utm_source=x&id=7&#top", "https://example.org:443/A/b?"),
    *("https://example.org:8443", "http://[::1]:80/x", "mailto:a@example.org", "http:///x", "x"),
    *("https://example.org/?UTM_Medium=1&&b&FBCLID=2&a=b?c", "http://a.test/#x?y", "http://a.test"),
)


def posts() -> list[dict[str, Any]]:
    hours = ((28, 24), (4, 0))
    made = [
        {**asdict(post), "urls": list(post.urls)}
        for start, end in hours
        for post in timeline(END - timedelta(hours=start), END - timedelta(hours=end))
    ]
    hard = [
        {**made[i], "tid": i + 1, "text": text, "urls": list(HARD_URLS[i:])}
        for i, text in enumerate(HARD)
    ]
    early = {**made[0], "tid": 9, "created_at": END - timedelta(days=3)}
    late = {**made[0], "tid": 10, "created_at": END}
    return [*made, *hard, early, late]


@pytest.fixture(scope="module", params=["modern", "classic"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def expected(mode: str) -> oracle.Analysis:
    return oracle.analyse(posts(), END, DAYS, mode, STOPS)


def test_duckdb_computes_what_the_oracles_do(
    mode: str, expected: oracle.Analysis, tmp_path: Path
) -> None:
    lines = [json.dumps({**post, "created_at": post["created_at"].isoformat()}) for post in posts()]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = [str(tmp_path / "posts.jsonl"), str(tmp_path / "r.duckdb")]
    duckdb_sql.main([*words, f"--until={END.isoformat()}", f"--days={DAYS}", f"--text={mode}"])
    found = pipeline.results(tmp_path / "r.duckdb")
    assert found.pop("runs") == [tuple(expected.run.values())]
    told = vars(expected) | vars(stories_oracle.analyse(posts(), END, DAYS, mode, STOPS))
    assert found == {table: told[table] for table in found}
    assert all(found.values())


def test_plain_beam_computes_what_the_oracle_does(
    mode: str, expected: oracle.Analysis, tmp_path: Path
) -> None:
    store_posts(f"sqlite:///{tmp_path}/p.db", posts())
    ends = [f"--store=sqlite:///{tmp_path}/p.db", f"--sink=duckdb:///{tmp_path}/r.duckdb"]
    plain_beam.main([*ends, f"--until={END.isoformat()}", f"--days={DAYS}", f"--text={mode}"])
    assert tables(tmp_path / "r.duckdb", END) == expected


def test_copies_have_other_ids_and_stay_in_the_window() -> None:
    given = [
        json.dumps({"tid": tid, "text": "x", "created_at": f"2026-03-05T12:00:0{tid}Z"}).encode()
        for tid in (1, 3, 4)
    ]
    made = [json.loads(line) for line in pipeline.shifted(given, 3)]
    assert [post["tid"] for post in made] == [1, 3, 4, 5, 7, 8, 9, 11, 12]
    assert [post["created_at"][17:] for post in made] == [
        *("01Z", "03Z", "04Z", "02Z", "04Z", "04Z", "03Z", "04Z", "04Z")
    ]


def test_a_difference_is_found() -> None:
    rows = {"urls": [(1, "a", 2)], "runs": [(1,)]}
    assert pipeline.difference(rows, rows) is None
    assert pipeline.difference(rows, {**rows, "urls": []}) == "urls: 1 rows and 0 rows"
    other = {**rows, "runs": [(2,)]}
    assert pipeline.difference(rows, other) == "runs: (1,) and (2,)"


def test_the_memory_and_the_time_of_a_process_are_seen() -> None:
    code = "held = bytearray(300_000_000); held[::4096] = b'x' * len(held[::4096])"
    sample = lab.measure([sys.executable, "-c", code])
    # A process's peak begins with the memory of the one that started it, here the suite's.
    assert 300 < lab.peak([sample]) < 100_000
    assert 0 < sample.cpu_seconds < 2 * sample.seconds + 1


def test_the_memory_of_a_command_and_of_its_workers_is_seen() -> None:
    worker = "held = b'x' * 300_000_000; print('ready', flush=True); input()"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", command], **pipes)
    assert process.stdout.readline() == b"ready\n"
    sample = lab.Sample()
    sample.look(process.pid)
    assert 1_000_000 < sample.own < 300_000_000 < sample.worker < sample.peak
    process.communicate(b"\n")
    sample.look(process.pid)
    assert lab.anonymous(process.pid) == 0


def test_a_variant_that_fails_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="no luck"):
        lab.measure([sys.executable, "-c", "raise SystemExit('no luck')"])


def test_variants_that_write_different_rows_end_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([{"urls": [(1, "a", 2)]}, {"urls": [(1, "b", 2)]}])
    monkeypatch.setattr(pipeline, "results", lambda *_: next(found))
    sink = tmp_path / "r.duckdb"
    check = pipeline.SameRows(sink)
    sink.touch()
    check()
    sink.touch()
    with pytest.raises(SystemExit, match="the rows of dfpipe run differ"):
        check()


def test_cores_are_compared_on_the_same_posts(tmp_path: Path) -> None:
    lines = [json.dumps({**post, "created_at": post["created_at"].isoformat()}) for post in posts()]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = [f"--until={END.isoformat()}", f"--days={DAYS}", "--copies", "1", "--repeat=1"]
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core only")
    cores.main([str(tmp_path / "posts.jsonl"), f"--output={tmp_path}/r.md", *options])
    written = (tmp_path / "r.md").read_text(encoding="utf-8")
    for cache in ("no cache", "an empty cache", "a full cache"):
        assert f"| 1 | {cache} | 1 | " in written
        assert f"| 1 copies, {cache} | " in written


def test_processes_use_the_chosen_cores_only() -> None:
    usable = os.sched_getaffinity(0)
    one = min(usable)
    code = "import os; print(*os.sched_getaffinity(0))"
    with lab.on_cores([one]):
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert told.stdout.decode().split() == [str(one)]
    assert os.sched_getaffinity(0) == usable


def test_examples() -> None:
    assert doctest.testmod(lab).failed == 0
