"""The model of the costs, and the posts and the processes that it is measured with."""

import lzma
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import orjson
import pytest

from benchmarks import lab, scale, scale_model, synthetic
from benchmarks.scale_model import Line, Measured, Power, Saturation
from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.analysis.tokenizer import Tokenizer

WORDS, URLS = Power(20.0, 0.6), Power(3.0, 0.7)
SETS = Power(50.0, 0.26)
PAIRS = Saturation(4950, Power(1e-5, 0.9))


def measured(n: int) -> Measured:
    """What a run that grows exactly as the model says would show."""
    return Measured(
        posts=n,
        cpu_seconds=2 + n / 50_000,
        words=round(WORDS(n)),
        urls=round(URLS(n)),
        edge_sets=round(SETS(n)),
        set_bytes=40 * n,
        word_bytes=8 * round(WORDS(n)),
        url_bytes=20 * round(URLS(n)),
        pair_bytes=round(16 * PAIRS(n)),
    )


RUNS = [measured(n) for n in (10**4, 10**5, 10**6)]


def test_the_model_predicts_what_grows_as_it_says() -> None:
    model = scale_model.fit(RUNS, candidates=100)
    at, actual = model.at(10**8, held=10**9), measured(10**8)
    for figure, value in at.items():
        assert value == pytest.approx(getattr(actual, figure), rel=0.01), figure


def test_a_bundle_hands_on_what_it_holds() -> None:
    model = scale_model.fit(RUNS, candidates=100)
    held = 50_000
    posts = round(WORDS.inverse(held))
    assert model.partial(WORDS, posts / 2, held, 1) == pytest.approx(WORDS(posts / 2))
    assert model.partial(WORDS, posts * 10.5, held, 1) == pytest.approx(
        10 * held + WORDS(posts / 2), rel=0.01
    )
    assert model.partial(WORDS, posts, held, 4) == pytest.approx(4 * WORDS(posts / 4))


def test_a_fit_of_noise_neither_falls_nor_begins_below_zero() -> None:
    assert scale_model.fit_line([1, 2, 3], [3, 2.5, 2]).b == 0
    assert scale_model.fit_line([1, 2, 3], [1, 4, 9]).a == 0
    assert Line(1, 2)(3) == 7


def test_posts_are_the_same_each_time_and_like_real_ones() -> None:
    made = [post for batch in synthetic.posts(10_000) for post in batch]
    assert made[:500] == next(iter(synthetic.posts(10_000)))
    assert len({post.tid for post in made}) == len(made)
    assert synthetic.START == made[0].created_at < made[-1].created_at < synthetic.END
    tokenizer = Tokenizer("modern", {"the", "of", "rt"})
    sets = [tokenizer.words(post.text) for post in made]
    assert 4 < sum(map(len, sets)) / len(sets) < 12
    # 10,000 of the real posts have 12,400 words; stop words add a few here.
    assert 10_000 < len(set().union(*sets)) < 14_000
    assert 0.1 < sum(bool(post.urls) for post in made) / len(made) < 0.16
    assert 80 < sum(len(post.text) for post in made) / len(made) < 110


def growth(posts: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[int, int, int]]:
    """Of the first 10,000, 20,000 and all texts with links: distinct words, links, and repeats.

    A text repeats one that has the same words, more than three.
    """
    tokenizer = Tokenizer("modern", stop_words_in_effect("modern"))
    words: set[str] = set()
    links: set[str] = set()
    sets: Counter[frozenset[str]] = Counter()
    found = []
    for n, (text, urls) in enumerate(posts, 1):
        own = tokenizer.words(text)
        words |= own
        links |= tokenizer.urls(urls)
        sets[frozenset(own)] += len(own) > 3
        if n in (10_000, 20_000, 38_672):
            found.append((len(words), len(links), sum(k for k in sets.values() if k > 1)))
    return found


def test_synthetic_posts_vary_as_real_ones_do(data: Path) -> None:
    """In any order but that of time, as stories of both have their hours."""
    with lzma.open(data / "tweets_4day.jsonl.xz") as file:
        real = [(post["text"], post["urls"]) for post in map(orjson.loads, file)]
    random.Random(1).shuffle(real)
    made = [(p.text, p.urls) for p in chain.from_iterable(synthetic.posts(len(real)))]
    random.Random(2).shuffle(made)
    for ours, theirs in zip(growth(made), growth(real), strict=True):
        assert ours[:2] == pytest.approx(theirs[:2], rel=0.12)
        assert ours[2] == pytest.approx(theirs[2], rel=0.35)


def test_words_of_all_ranks_differ() -> None:
    ranks = [*range(20_000), *range(10**6, 10**6 + 100), 2**40]
    assert len({synthetic.word_of(rank) for rank in ranks}) == len(ranks)


def test_the_report_has_all_figures() -> None:
    one = lab.Sample(1.0, 2.0, 150_000_000)
    step = scale.Step("CountWords/GatherShards", "group", 16, 1_000_000, 70_000)
    sizes = [scale.Size(run, 200 * run.posts, one, one, one, [step]) for run in RUNS]
    last = replace(measured(10**7), cpu_seconds=404.0)
    text = scale.report([*sizes, scale.Size(last, 2_000_000_000, one, one, one, [step])])
    assert "CPU seconds: 2.0 + 20.0 * n / 10^6" in text
    assert "| cpu seconds | 202 | 404 | -50.0% |" in text
    assert "| CountWords/GatherShards | group | 16 | 1,000,000 | 70,000 |" in text
