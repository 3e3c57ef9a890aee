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
@click.option("--languages", metavar="L,L...", help="Languages, as en,fr.  [default: en]")
@click.option("--stopwords_file", metavar="FILE", help="More words, one a line, # comments.")
def command(mode: str, languages: str | None, stopwords_file: str | None) -> None:
    """Print the stop words in effect, one a line, in code-point order.

    They are in the form in which a post's words are compared with them.
    """
    extra = read_stop_words(stopwords_file) if stopwords_file is not None else ()
    for word in sorted(stop_words_in_effect(mode, language_list(languages), extra)):
        click.echo(word)
