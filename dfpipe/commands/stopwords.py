"""`dfpipe stopwords`."""

import click

from dfpipe.analysis.stopwords import language_list, read_stop_words, stop_words_in_effect
from dfpipe.analysis.text import MODES


@click.command("stopwords", short_help="Print the stop words in effect.")
@click.option(
    "--text",
    "mode",
    type=click.Choice(MODES),
    default="modern",
    show_default=True,
    help="Text mode.",
)
@click.option("--languages", metavar="L,L...", help="Languages, such as en,fr.  [default: en]")
@click.option(
    "--stopwords-file", metavar="FILE", help="More words, one per line; # begins a comment."
)
def command(mode: str, languages: str | None, stopwords_file: str | None) -> None:
    """Print the stop words in effect, one per line, in code-point order.

    They are normalized as the words of posts are.
    """
    extra = read_stop_words(stopwords_file) if stopwords_file is not None else ()
    for word in sorted(stop_words_in_effect(mode, language_list(languages), extra)):
        click.echo(word)
