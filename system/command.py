"""`dfpipe serve`."""

from importlib.util import find_spec
from pathlib import Path

import click

from service.errors import UsageError

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
    # Late: `dfpipe --help` imports this module.
    from system.folder import made_folder, take_folder, token_in, write_secret
    from system.system import System, run_system

    if shift_to_now and not posts:
        raise UsageError("--shift-to-now moves the posts of --posts: give --posts FILE too")
    folder = made_folder(folder or Path(DEMO_FOLDER if demo else FOLDER))
    take_folder(folder)
    tokens = {name: token_in(folder / f"{name}-token") for name in TOKENS}
    system = System(
        folder=folder,
        store=store or f"sqlite:///{(folder / 'posts.db').absolute()}",
        sink=sink or f"duckdb:///{(folder / 'results.duckdb').absolute()}",
        config=config or _config(),
        host=host,
        port=port,
        cron_header=write_secret(
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
