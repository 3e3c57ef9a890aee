"""Taking the words and URLs of posts."""

from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from dfpipe.analysis.text import END, Mode, classic_word, modern_word, runs, urls_of
from dfpipe.analysis.word_sets import Longs, WordSets, word_sets_of


class WordNumbers(dict[str, int]):
    """Maps a run of word characters to the number of its word, or to NONE if it is not a word.

    Posts repeat their words: with this memo, each run is judged only once. The words get numbers
    in the order in which they first come.
    """

    NONE, END = -1, -2
    LIMIT = 500_000  # runs; some 80 MB

    def __init__(self, judge: Callable[[str], str]) -> None:
        super().__init__()
        self.judge = judge
        self.words: list[str] = []
        self._forget()

    def __missing__(self, run: str) -> int:
        word = self.judge(run)
        number = self._numbers.setdefault(word, len(self.words)) if word else self.NONE
        if number == len(self.words):
            self.words.append(word)
        self[run] = number
        return number

    def limit(self) -> None:
        """Begin anew if there are too many runs: earlier numbers mean nothing then."""
        if len(self) > self.LIMIT:
            self._forget()

    def _forget(self) -> None:
        self.clear()
        self[END] = self.END
        self.words = []
        self._numbers: dict[str, int] = {}


class Tokenizer:
    """Gives the words and the URLs of posts in one text mode, without the given stop words."""

    def __init__(self, mode: Mode, stop_words: Set[str]) -> None:
        """Choose the mode, one of MODES; stop words are in the form of `normalise_stop_word`."""
        self.mode = mode
        self.stop_words = frozenset(stop_words)
        self._numbers = WordNumbers(self._word)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle mode and stop words; the copy begins with an empty memo."""
        return Tokenizer, (self.mode, self.stop_words)

    def words(self, text: str) -> set[str]:
        """Return the set of a text's words.

        >>> sorted(Tokenizer("modern", {"the"}).words("The Caf\u00e9\u2019s \u2764\ufe0flove 2015"))
        ['caf\u00e9', 'love']
        >>> sorted(Tokenizer("classic", {"the"}).words("The #Caf\u00e9 t.co/Ab"))
        ['ab', 'caf', 'co']
        """
        self._numbers.limit()
        numbers = set(map(self._numbers.__getitem__, runs([text], self.mode)))
        return {self._numbers.words[number] for number in numbers if number >= 0}

    def word_sets(self, texts: Sequence[str]) -> WordSets:
        """Return the sets of words of texts, as `words` gives that of one."""
        self._numbers.limit()
        ascii_only = np.array([text.isascii() for text in texts], np.bool_)
        found = [self._numbered(texts, np.flatnonzero(of)) for of in (ascii_only, ~ascii_only)]
        post, number = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return word_sets_of(len(texts), post, number, self._numbers.words)

    def _numbered(self, texts: Sequence[str], chosen: Longs) -> tuple[Longs, Longs]:
        """Return the numbers of the words of the chosen texts, after the places of these texts."""
        found = runs((texts[i] for i in chosen.tolist()), self.mode)
        numbers = np.fromiter(map(self._numbers.__getitem__, found), np.int64, len(found))
        place = np.cumsum(numbers == WordNumbers.END)
        kept = numbers >= 0
        return chosen[place[kept]], numbers[kept]

    def urls(self, value: object) -> set[str]:
        """Return the set of a post's URLs, given its property `urls`: a list, a string, or None."""
        return urls_of(value, self.mode)

    def _word(self, run: str) -> str:
        word = modern_word(run) if self.mode == "modern" else classic_word(run)
        return "" if word in self.stop_words else word
