"""`dfpipe serve`."""

import secrets
from pathlib import Path

import click

from dfpipe.errors import UsageError

TOKENS = ("task", "ingest")
# What is made up is not to stand among posts of one's own.
FOLDER, DEMO_FOLDER = "dfpipe-data", "dfpipe-demo"


@click.command("serve", short_help="Run the whole system on this machine.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the posts, the results, the jobs and the tokens are kept; created if absent.  "
    f"[default: {FOLDER}, or {DEMO_FOLDER} with --demo]",
)
@click.option("--store", metavar="URL", help="Where the posts are.  [default: a file in --folder]")
@click.option("--sink", metavar="URL", help="Where results go.  [default: a file in --folder]")
@click.option(
    "--config",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The folder of queue.yaml, cron.yaml, dispatch.yaml and chains.yaml.  "
    "[default: this one, else that of the program]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(1, 65534), default=8080, show_default=True)
@click.option(
    "--posts",
    metavar="FILE",
    multiple=True,
    help="Store its posts first, as `dfpipe import` does; repeatable.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Move the times of all --posts by one constant, so that the newest is now.",
)
@click.option("--demo", is_flag=True, help="Make a timeline up, and let it grow while it runs.")
def command(
    folder: Path | None,
    store: str | None,
    sink: str | None,
    config: Path | None,
    host: str,
    port: int,
    posts: tuple[str, ...],
    shift_to_now: bool,
    demo: bool,
) -> None:
    """Run launcher, collector, dispatcher, ingest worker and a clock, until Ctrl-C.

    With --posts a file's posts are there from the start; the first analysis begins at once.
    The launcher's page is at --port, the collector at the port after it. What a process prints
    stands behind its name; one that ends is started again.
    """
    from system.system import System, run

    folder = folder or Path(DEMO_FOLDER if demo else FOLDER)
    if not folder.is_dir():
        _make(folder)
    if shift_to_now and not posts:
        raise UsageError("--shift-to-now is for the posts of --posts: name a file with that")
    tokens = {name: _token(folder / f"{name}-token") for name in TOKENS}
    system = System(
        folder=folder,
        store=store or f"sqlite:///{(folder / 'posts.db').absolute()}",
        sink=sink or f"duckdb:///{(folder / 'results.duckdb').absolute()}",
        config=config or _config(),
        host=host,
        port=port,
        cron_header=_secret(
            folder.absolute() / "cron.header", f"Authorization: Bearer {tokens['task']}"
        ),
        is_demo=demo,
        posts=posts,
        shift_to_now=shift_to_now,
        tokens=tokens,
    )
    run(system)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"the folder {folder} cannot be made: {error.strerror}: name another with --folder"
        ) from error


def _config() -> Path:
    for folder in (Path(), Path(__file__).parents[1]):
        if (folder / "cron.yaml").is_file():
            return folder
    raise UsageError("there is no cron.yaml here: name the folder of the yaml files with --config")


def _token(file: Path) -> str:
    """The secret in a file that nobody else may read, made now if it is not there."""
    if not file.exists():
        _secret(file, secrets.token_urlsafe())
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _unusable(file, error) from error


def _secret(file: Path, text: str) -> Path:
    """Write a file that nobody else may read."""
    try:
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise _unusable(file, error) from error
    return file


def _unusable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} cannot be used: {error.strerror}: check its rights")
