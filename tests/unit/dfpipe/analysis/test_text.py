import doctest
from itertools import pairwise
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis import text
from dfpipe.analysis import tokenizer as tokenizers
from dfpipe.analysis.text import MODES, normalise_url
from dfpipe.analysis.tokenizer import Tokenizer, WordNumbers
from dfpipe.posts.post import Post
from tests import oracle
from tests.support.archives import records

# Any text, and one rich in what the rules are about.
PIECES = st.sampled_from(
    [
        "&amp;",
        "&#39;",
        "http://",
        "HTTPS://t.co/x",
        "@",
        "＠",
        "_",
        "'",
        "’",
        "ʼ",
        "'s",
        "’S",
        "\ufe0f",
    ]
    + ["⃣", "❤", "é", "e\u0301", "ﬁ", "Ⅷ", "İ", "ß", "ｅ", "१", "ا", "ــ", "漢", "a", "Zz", "9", " "]
    + ["\n", "\x00", "\u200d", "#", "RT", "the", "́", "&lt", "&notit;", "&#x41;"]
    + ["@mio@chaos.social", "@mio.bsky.social", "@", "-", ".", "https://t.co/Ab1", "\u200c", "می"]
    + ["\u0316\u0301" * 15, "\u0301" * 31, "\uff9e", "\uff9e\u0301" * 16, "क्", "&#", "0" * 8, "٣"]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))
URLS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "http",
                "HTTPS",
                "://",
                "me:pw@",
                "Example.COM",
                ":80",
                ":443",
                ":x",
                ":99999",
                "[::1]",
            ]
            + ["/", "/Ab?", "utm_source=x", "UTM_X", "&", "ref_src=1", "a=B", "#top", "é", " ", "["]
        ),
        max_size=9,
    ).map("".join),
)


def test_the_docstrings_examples_hold() -> None:
    assert doctest.testmod(text).failed == 0
    assert doctest.testmod(tokenizers).failed == 0


@given(TEXTS)
def test_modern_words_are_those_of_the_oracle(value: str) -> None:
    assert Tokenizer("modern", set()).words(value) == oracle.modern_words(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("storm@mio.bsky.social", {"storm", "mio", "bsky", "social"}),
        ("by @mio.bsky.social.", {"by"}),
        ("by @mio@chaos.social, @a-b.example. The end", {"by", "the", "end"}),
        ("@mio漢字 ＠anna's", {"漢字"}),
        ("漢字@mio 日本", {"漢字", "日本"}),
        ("@ anna @@ben @.com @漢字", {"anna", "com", "漢字"}),
        ("HTTPS://T.CO/Ab1漢字 https://t.co/x?next", {"漢字", "next"}),
        ("https://t.com/xyz https://t.co/ https://t.co/é https://news.example/é漢", set()),
        (
            "می\u200cخواهم क्\u200dष end\u200d \u200cword",
            {"می\u200cخواهم", "क्\u200dष", "end", "word"},
        ),
        ("&#" + "0" * 5000 + "65;bc &#" + "9" * 5000 + ";de &#00000066;cd", {"abc", "de", "bcd"}),
    ],
)
def test_modern_examples(value: str, expected: set[str]) -> None:
    found = Tokenizer("modern", set()).words(value)
    assert found == oracle.modern_words(value)
    assert found == expected


@pytest.mark.parametrize("run", ["\u0316\u0301", "\uff9e\u0301", "\u0301"])
def test_runs_of_marks_are_cut_before_they_cost_quadratic_time(run: str) -> None:
    many = "q" + run * 200_000
    assert len(text.fold(many)) == 31
    assert text.normalise_stop_word(many) == text.fold(many)
    assert Tokenizer("modern", set()).words(f"{many} {many}") == {text.fold(many)}


def test_words_of_recorded_posts_are_those_of_the_oracle(data: Path) -> None:
    tokenizer = Tokenizer("modern", set())
    for network in ("bluesky", "mastodon", "v11", "v2"):
        for place, result in records(data / network):
            if isinstance(result, Post):
                assert tokenizer.words(result.text) == oracle.modern_words(result.text), place


@given(TEXTS, st.sets(TEXTS, max_size=3))
def test_stop_words_are_left_out_in_their_normalised_form(value: str, stops: set[str]) -> None:
    normalised = {text.normalise_stop_word(word) for word in stops}
    expected = oracle.modern_words(value) - {oracle.strip(oracle.fold(word)) for word in stops}
    assert Tokenizer("modern", normalised).words(value) == expected


@given(TEXTS)
def test_classic_words_are_those_of_the_oracle(value: str) -> None:
    stops = frozenset(oracle.CLASSIC_STOP_WORDS.split())
    assert Tokenizer("classic", stops).words(value) == oracle.classic_words(value)


@given(URLS)
def test_urls_are_those_of_the_oracle(url: str) -> None:
    assert (normalise_url(url) or "") == oracle.modern_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Example.com", "http://example.com/"),
        ("https://example.com:443/A?b=C#d", "https://example.com/A?b=C"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://me:secret@example.com/", "http://example.com/"),
        ("http://example.com/?utm_source=a&UTM_Medium=b&fbclid=c", "http://example.com/"),
        ("http://example.com/?b=2&&a=1&gclid=x", "http://example.com/?b=2&a=1"),
        ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("HTTP://EXAMPLE.com/%7Eä", "http://example.com/%7Eä"),
        ("//example.com/", None),
        ("ftp://example.com/", None),
        ("http://:80/", None),
        ("http://example.com:eighty/", None),
        ("http://[::1/", None),
        ("", None),
    ],
)
def test_url_examples(url: str, expected: str | None) -> None:
    assert normalise_url(url) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, set()),
        ([], set()),
        ("http://A.com", {"http://a.com/"}),
        (["http://a.com", "http://A.com/", 7, None, "nothing"], {"http://a.com/"}),
        (42, set()),
    ],
)
def test_urls_property_of_any_form(value: object, expected: set[str]) -> None:
    assert Tokenizer("modern", set()).urls(value) == expected


def test_classic_urls_are_only_lower_cased() -> None:
    assert Tokenizer("classic", set()).urls(["HTTP://A.com/X#y"]) == {"http://a.com/x#y"}


def test_the_fast_way_through_ascii_gives_the_exact_words() -> None:
    every = "".join(chr(c) for c in range(128)).lower()
    words = regex.findall(r"[\p{L}\p{N}'][\p{L}\p{M}\p{N}']*", every)
    assert every.translate(text._ASCII_WORDS["modern"]).split() == ["\x00", *words]


def test_the_memo_is_bounded_and_its_numbers_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WordNumbers, "LIMIT", 3)
    tokenizer = Tokenizer("modern", set())
    for value in ("one two", "two three", "three four five six", "one six"):
        assert tokenizer.words(value) == set(value.split())
        assert set(tokenizer.word_sets([value, "one"]).words) == {"one", *value.split()}
    assert len(tokenizer._numbers) <= 5


@pytest.mark.parametrize("mode", MODES)
@given(st.lists(TEXTS, max_size=8))
def test_texts_taken_together_have_the_words_that_each_has(mode: str, texts: list[str]) -> None:
    tokenizer = Tokenizer(mode, {"the"})
    sets = tokenizer.word_sets(texts)
    found = [
        [sets.words[i] for i in sets.indices[start:end].tolist()]
        for start, end in pairwise(sets.indptr.tolist())
    ]
    assert [set(words) for words in found] == [tokenizer.words(value) for value in texts]
    assert [len(set(words)) for words in found] == [len(words) for words in found]


@pytest.mark.parametrize("mode", MODES)
def test_a_tokenizer_survives_pickling(mode: str) -> None:
    import pickle

    tokenizer = Tokenizer(mode, {"stop"})
    tokenizer.words("some words to remember")
    again = pickle.loads(pickle.dumps(tokenizer))
    assert len(again._numbers) == 1  # the mark between texts
    assert again.words("Stop the train") == {"the", "train"}
