"""Shells complete the names of commands, options and queries."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment

PROGRAMS = Path(sys.executable).parent
# As bash itself calls it when the Tab key is pressed after the last word.
PRESS_TAB = """
set -e
eval "$(_{variable}_COMPLETE=bash_source {program})"
complete -p {program} > /dev/null
COMP_WORDS=({line})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_{program}_completion {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line; '' is an empty one."""
    program = line.split()[0]
    script = PRESS_TAB.format(variable=program.upper(), program=program, line=line)
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment({"PATH": f"{PROGRAMS}:/usr/bin:/bin"}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dfpipe st", ["story", "stopwords"]),
        (
            "dfpipe run --top-",
            [f"--top-{x}" for x in ("words", "urls", "pairs", "rising", "stories")],
        ),
        ("dfpipe query popular_", ["popular_not_interesting", "popular_words"]),
        ("dfpipe query pair_history --param w", ["w1=", "w2="]),
        ("dfpipe query popular_words --format ''", ["table", "json", "csv"]),
        ("collector dead", ["deadletters"]),
        ("taskqueue listtasks --lim", ["--limit"]),
        ("workflow show --ch", ["--children"]),
        ("launcher ch", ["check"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bash_completes(line: str, offered: list[str]) -> None:
    assert completed(line) == offered
