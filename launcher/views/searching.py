"""What a text that a person searches for means: a word, a pair, a link, a host or a story."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dfpipe.analysis.text import END, modern_word, runs
from launcher.views.findings import Findings
from launcher.views.stories import StoryView


@dataclass(frozen=True, slots=True)
class Found:
    """What a text means: the page that it leads to with its parameters, or what is like it.

    `words` are those of the text.
    """

    leads_to: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    stories: tuple[StoryView, ...] = ()


def find(text: str, findings: Findings) -> Found:
    """Find what a text means in a run; what the run has not ranked leads nowhere."""
    host = text.lower().removeprefix("www.")
    if host in findings.hosts:
        return Found("host", {"host": host})
    if "://" in text or host.partition("/")[0] in findings.hosts:
        return Found("link", {"url": text})
    words = tuple(_words(text))
    known = [word for word in words if word in findings.words]
    having = tuple(story for story in findings.stories if {*words} <= {*story.words})
    if len(words) == 1 and known:
        return Found("word", {"word": words[0]})
    pairs = {(row["w1"], row["w2"]) for row in findings.rankings["interesting_pairs"]}
    pairs |= {(row["w1"], row["w2"]) for row in findings.rankings["rising_pairs"]}
    if len(words) == 2 and (having or tuple(sorted(words)) in pairs):
        w1, w2 = sorted(words)
        return Found("pair", {"w1": w1, "w2": w2})
    return Found(words=words, stories=having if words else ())


def _words(text: str) -> list[str]:
    """Return the words of a text as the analysis finds them, in their order."""
    # Not by Tokenizer, with which every launcher would import numpy.
    words = (modern_word(run) for run in runs([text], "modern") if run != END)
    return list(dict.fromkeys(filter(None, words))) or text.lower().split()
