"""Options that several subcommands have."""

from collections.abc import Callable

import click

from dfpipe.errors import UsageError

Decorator = Callable[[Callable[..., object]], Callable[..., object]]

SINK_VARIABLES = ["DFPIPE_SINK", "DFPIPE_WAREHOUSE"]  # the second is its old name
SINK_FORMS = "duckdb:///FILE or bigquery://PROJECT/DATASET?location=L"
SINK = click.option(
    "--sink",
    metavar="WAREHOUSE",
    envvar=SINK_VARIABLES,
    help=f"The results: {SINK_FORMS}.  [env var: {SINK_VARIABLES[0]}]",
)

FORMATS = ("table", "json", "csv")
FORMAT = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="json is an array of objects; csv has a header.",
)

COLUMNS = click.option(
    "--columns",
    metavar="FIELD=COLUMN,...",
    default="",
    help="The columns of tables that hold tid, user, text, created_at and urls, where their names "
    "do not tell: text=Wortlaut,created_at=wann,tid= (no column).",
)


def store_option(
    forms: str = "sqlite:///FILE or datastore://PROJECT?namespace=N", *, required: bool = True
) -> Decorator:
    """Return the option --store; `forms` says what is expected."""
    return click.option(
        "--store",
        metavar="STORE",
        required=required,
        envvar="DFPIPE_STORE",
        show_envvar=True,
        help=f"{forms}.",
    )


def is_quiet() -> bool:
    """Whether the command line has --quiet."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().params.get("quiet"))


def require_sink(sink: str | None) -> str:
    """Return the sink that was given. Raises UsageError if there is none."""
    if not sink:
        raise UsageError(f"--sink is required: give --sink {SINK_FORMS}, or set DFPIPE_SINK")
    return sink
