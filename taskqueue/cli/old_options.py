"""Command lines that were written for gtaskqueue and gtaskqueue_puller.

Their parser took unique beginnings of options (`--project` for `--project_name`), `--flag=True`,
`--flag=False` and `--noflag`; some of their options have no meaning any more.
"""

from collections.abc import Iterator
from functools import partial

import click

IGNORED_FLAGS = ("dump-request", "use-developer-key")
IGNORED = (
    "appengine-access-token-file",
    "developer-key-file",
    "log-output-file",
    "sleep-interval-secs",
    "taskapi-requests-per-sec",
    "timeout-secs-for-next-lease-request",
)
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class OldStyleCommand(click.Command):
    """A command that also takes the options of the old command of its name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Translate old options, up to the first argument."""
        return super().parse_args(ctx, list(self._translated(ctx, list(args))))

    def _translated(self, ctx: click.Context, args: list[str]) -> Iterator[str]:
        while args:
            word = args.pop(0)
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or not name:
                yield from [word, *args]
                return
            full = self._full_name(ctx, name.replace("_", "-"))
            if full in IGNORED or full in IGNORED_FLAGS:
                click.echo(f"{ctx.command_path}: --{name} has no effect any more", err=True)
                if full in IGNORED and not equals and args:
                    args.pop(0)
                continue
            option = self._option(ctx, full)
            if option and option.is_flag:
                is_on = _TRUTHS.get(value.lower()) if equals else True
                if is_on is None:
                    raise click.UsageError(f"--{full}={value}: expected true or false", ctx)
                if is_on:
                    yield f"--{full}"
            elif not option and full.startswith("no") and (flag := self._option(ctx, full[2:])):
                if not flag.is_flag:
                    yield word
            else:
                yield f"--{full}{equals}{value}"
                if option and not equals and args:
                    yield args.pop(0)

    def _option(self, ctx: click.Context, name: str) -> click.Option | None:
        found = (p for p in self.get_params(ctx) if isinstance(p, click.Option))
        return next((option for option in found if f"--{name}" in option.opts), None)

    def _full_name(self, ctx: click.Context, name: str) -> str:
        """The only option that begins with `name`; otherwise `name` unchanged."""
        known = [o.removeprefix("--") for p in self.get_params(ctx) for o in p.opts]
        names = {*known, *IGNORED, *IGNORED_FLAGS}
        begun = [each for each in names if each.startswith(name)]
        return begun[0] if name not in names and len(begun) == 1 else name


command = partial(click.command, cls=OldStyleCommand)
