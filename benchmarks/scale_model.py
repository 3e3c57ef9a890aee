"""A model of what a run costs, fitted to small windows, that tells the cost of large ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PAIR_BYTES = 16  # of a pair of candidates and its count
DICTIONARY_BYTES = 120  # of a text of usual length and its count


@dataclass(frozen=True, slots=True)
class Measured:
    """A run over so many posts."""

    posts: int
    cpu_seconds: float
    words: int
    urls: int
    edge_sets: int  # distinct ones that posts have
    set_bytes: int  # words of the posts, as numbers
    word_bytes: int  # partial counts of words
    url_bytes: int
    pair_bytes: int


@dataclass(frozen=True, slots=True)
class Line:
    """a + b * x."""

    a: float
    b: float

    def __call__(self, x: float) -> float:
        """Return its value."""
        return self.a + self.b * x


@dataclass(frozen=True, slots=True)
class Power:
    """k * x ** exponent: how distinct texts grow with posts (Heaps' law)."""

    k: float
    exponent: float

    def __call__(self, x: float) -> float:
        """Return its value."""
        return float(self.k * x**self.exponent) if x else 0.0

    def inverse(self, y: float) -> float:
        """Return where its value is y."""
        return float((y / self.k) ** (1 / self.exponent))


@dataclass(frozen=True, slots=True)
class Saturation:
    """How much of a limit is reached: limit * (1 - exp(-rise(x)))."""

    limit: float
    rise: Power

    def __call__(self, x: float) -> float:
        """Return its value."""
        return -self.limit * math.expm1(-self.rise(x))


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line so that the relative errors are least; it does not fall, nor begin below 0."""
    weights = 1 / np.array(y)
    b, a = np.polyfit(np.array(x), np.array(y), 1, w=weights)
    return Line(max(float(a), 0.0), max(float(b), 0.0))


def fit_power(x: Sequence[float], y: Sequence[float] | Floats) -> Power:
    """Fit a power so that the relative errors are least."""
    exponent, log_k = np.polyfit(np.log(x), np.log(y), 1)
    return Power(float(np.exp(log_k)), float(exponent))


def fit_saturation(x: Sequence[float], y: Sequence[float], limit: float) -> Saturation:
    """Fit how a known limit is reached."""
    return Saturation(limit, fit_power(x, -np.log1p(-np.array(y) / limit)))


@dataclass(frozen=True, slots=True)
class Model:
    """The costs of a run over n posts.

    `set_bytes` is bytes a post; `word_bytes` and `url_bytes` are bytes of each text in the partial
    counts; `pairs` are the different pairs among the candidates.
    """

    cpu_seconds: Line
    words: Power
    urls: Power
    edge_sets: Power
    set_bytes: float
    word_bytes: float
    url_bytes: float
    pairs: Saturation

    def partial(self, texts: Power, n: float, held: int, bundles: int) -> float:
        """Return how many texts the partial counts of all bundles have together.

        A bundle hands on what it holds each time that it holds `held` texts, and at its end.
        """
        posts = n / bundles
        whole, rest = divmod(posts, texts.inverse(held))
        return bundles * (whole * held + texts(rest))

    def at(self, n: float, held: int, bundles: int = 1) -> dict[str, float]:
        """Return the figures of a run, under the names of Measured."""
        return {
            "cpu_seconds": self.cpu_seconds(n),
            "words": self.words(n),
            "urls": self.urls(n),
            "edge_sets": self.edge_sets(n),
            "set_bytes": self.set_bytes * n,
            "word_bytes": self.word_bytes * self.partial(self.words, n, held, bundles),
            "url_bytes": self.url_bytes * self.partial(self.urls, n, held, bundles),
            "pair_bytes": PAIR_BYTES * self.pairs(n / bundles) * bundles,
        }


def fit(runs: Sequence[Measured], candidates: int) -> Model:
    """Fit the model to runs of one bundle each that held all their texts."""
    posts = [float(run.posts) for run in runs]
    last = runs[-1]

    def of(figure: Callable[[Measured], float]) -> list[float]:
        return [figure(run) for run in runs]

    return Model(
        cpu_seconds=fit_line(posts, of(lambda run: run.cpu_seconds)),
        words=fit_power(posts, of(lambda run: run.words)),
        urls=fit_power(posts, of(lambda run: run.urls)),
        edge_sets=fit_power(posts, of(lambda run: run.edge_sets)),
        set_bytes=last.set_bytes / last.posts,
        word_bytes=last.word_bytes / last.words,
        url_bytes=last.url_bytes / last.urls,
        pairs=fit_saturation(
            posts, of(lambda run: run.pair_bytes / PAIR_BYTES), math.comb(candidates, 2)
        ),
    )
