import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import astuple

import apache_beam as beam
import psutil
import pytest

from dfpipe.text import Tokenizer
from dfpipe.tokenizing import PostBatch, Tally, TokenizerPool, add_tallies, tokenize
from dfpipe.transforms import TokenizePosts
from dfpipe.transforms.tokenize_posts import TALLY, URLS, _Tokenize
from tests.support.command import environment
from tests.support.pipelines import outputs

TOKENIZER = Tokenizer("modern", {"the"})
BATCHES = [
    PostBatch(
        [f"the storm number{i}", None, "harbour"], [["http://a.com"], None, f"http://{i}.org"]
    )
    for i in range(20)
]


def readable(tokens: tuple[object, ...]) -> list[object]:
    words, urls, tally = tokens
    return [sorted(words.counts()), sorted(urls.items()), astuple(tally)]


def test_a_pool_gives_what_is_done_here_in_the_same_order() -> None:
    pool = TokenizerPool(TOKENIZER, 2)
    try:
        done = [tokens for batch in BATCHES for tokens in pool.put(batch)]
        under_way = len(BATCHES) - len(done)
        assert under_way <= 4
        done += pool.rest()
    finally:
        pool.close()
    assert [readable(t) for t in done] == [readable(tokenize(b, TOKENIZER)) for b in BATCHES]


def test_an_error_in_the_pool_is_raised_here() -> None:
    pool = TokenizerPool(TOKENIZER, 1)
    try:
        with pytest.raises(ValueError, match="zip"):
            _ = [*pool.put(PostBatch(["text"], [])), *pool.rest()]
    finally:
        pool.close()


@pytest.mark.parametrize("alone", [0, 7, 1_000])
def test_a_large_bundle_is_shared_out_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    monkeypatch.setattr(_Tokenize, "ALONE", alone)

    def build(p: beam.Pipeline) -> dict[str, beam.PCollection]:
        tokens = p | beam.Create(BATCHES) | TokenizePosts(TOKENIZER, processes=2)
        return {"words": tokens.words, "urls": tokens[URLS], "tally": tokens[TALLY]}

    found = outputs(build)
    counts = sum((Counter(dict(sets.counts())) for sets in found["words"]), Counter())
    assert counts == {"storm": 20, "harbour": 20} | {f"number{i}": 1 for i in range(20)}
    assert sum(found["urls"], Counter())["http://a.com/"] == 20
    assert add_tallies(found["tally"]) == Tally(40, 20)


def test_an_interrupt_is_none_of_the_processes_business() -> None:
    before = set(psutil.Process().children())
    pool = TokenizerPool(TOKENIZER, 2)
    done = len(list(pool.put(BATCHES[0])))
    for child in set(psutil.Process().children()) - before:
        child.send_signal(signal.SIGINT)
    done += len([*pool.put(BATCHES[1]), *pool.rest()])
    pool.close()
    assert done == 2


PARENT = """
import os, sys, time
from dfpipe.text import Tokenizer
from dfpipe.tokenizing import PostBatch, TokenizerPool
if __name__ == "__main__":
    pool = TokenizerPool(Tokenizer("modern", set()), 2)
    for _ in range(4):
        list(pool.put(PostBatch(["storm"], [None])))
    list(pool.rest())
    print("ready", flush=True)
    time.sleep(600)
"""


def test_the_processes_end_with_a_parent_that_is_killed(tmp_path: object) -> None:
    script = f"{tmp_path}/parent.py"
    with open(script, "w", encoding="utf-8") as file:
        file.write(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        env=environment({"PYTHONPATH": os.getcwd()}),
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert len(gone) == len(children)
