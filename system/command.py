"""`dfpipe serve`."""

import fcntl
import os
import re
import secrets
from importlib.util import find_spec
from pathlib import Path

import click

from service.errors import UsageError
from service.files import private_folder, write_whole

# A library of each extra that the started processes need: without it they would end at once.
LIBRARIES = ("apache_beam", "atproto", "plotly")
TOKENS = ("task", "ingest")
# Synthetic posts stay apart from real ones.
FOLDER, DEMO_FOLDER = "dfpipe-data", "dfpipe-demo"


@click.command("serve", short_help="Run the whole system on this machine.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Holds posts, results, jobs and tokens; created if missing.  "
    f"[default: {FOLDER}, or {DEMO_FOLDER} with --demo]",
)
@click.option("--store", metavar="URL", help="Store of the posts.  [default: a file in --folder]")
@click.option(
    "--sink", metavar="URL", help="Warehouse of the results.  [default: a file in --folder]"
)
@click.option(
    "--config",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The folder of queue.yaml, cron.yaml, dispatch.yaml and chains.yaml.  "
    "[default: the current folder, else that of the program]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65534), default=8080, show_default=True)
@click.option(
    "--posts",
    metavar="FILE",
    multiple=True,
    help="Import the posts of FILE first, as `dfpipe import` does; repeatable.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Shift the times of all --posts so that the newest post is from now.",
)
@click.option(
    "--demo", is_flag=True, help="Use a synthetic timeline that grows while the system runs."
)
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

    The launcher's pages are at --port, the collector's at the next port. The first line that is
    printed is a link to open them. The first analysis starts at once. Each line of output starts
    with the name of its process; a process that ends is restarted.
    """
    _check_libraries()
    from system.system import System, run_system

    if shift_to_now and not posts:
        raise UsageError("--shift-to-now moves the posts of --posts: give --posts FILE too")
    folder = _made(folder or Path(DEMO_FOLDER if demo else FOLDER))
    _take(folder)
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
    run_system(system)


def _check_libraries() -> None:
    for name in LIBRARIES:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"no module {name}", name=name)


def _config() -> Path:
    # Here, in the clone, or in the installed package.
    for folder in (Path(), Path(__file__).parents[1], Path(__file__).with_name("defaults")):
        if (folder / "cron.yaml").is_file():
            return folder
    raise UsageError("no cron.yaml found here: name the folder of the YAML files with --config")


def _made(folder: Path) -> Path:
    """The folder, which only its owner may enter if it is new: posts and results are in it."""
    try:
        return private_folder(folder)
    except OSError as error:
        raise UsageError(
            f"cannot create the folder {folder}: {error.strerror}: name another with --folder"
        ) from error


def _take(folder: Path) -> None:
    """Keep other systems out of the folder until this process ends. Raises UsageError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another `dfpipe serve` uses the folder {folder}: stop it, or name another with "
            "--folder"
        ) from error
    if os.fstat(handle).st_mode & 0o005:
        click.echo(
            f"dfpipe: other users of this machine can read the posts in {folder}: `chmod 700 "
            f"{folder}` keeps them private",
            err=True,
        )


def _token(file: Path) -> str:
    """The secret in a file that only its owner may read, made now if there is none."""
    from service.auth import SHORTEST_TOKEN  # not for --help, which it would delay

    try:
        if not file.exists():
            write_whole(file, f"{secrets.token_urlsafe()}\n", mode=0o600)
        token = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise _unusable(file, error) from error
    if not re.fullmatch(rf"[!-~]{{{SHORTEST_TOKEN},}}", token):
        raise UsageError(
            f"{file} holds no token, which is a line of at least {SHORTEST_TOKEN} characters: "
            "remove it, and the next start makes another"
        )
    return token


def _secret(file: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    try:
        write_whole(file, f"{text}\n", mode=0o600)
    except OSError as error:
        raise _unusable(file, error) from error
    return file


def _unusable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot use {file}: {error.strerror}: check its permissions")
