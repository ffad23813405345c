"""What the command line's modules share: options, and a group that names the nearest of a wrong command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tui import packages

PROGRAM = packages.DISTRIBUTION
MAX_SEED = 2**63 - 1  # SQLite's largest integer

F = TypeVar("F", bound=Callable[..., Any])

JSON_FLAG = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
DIRECTORY = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
THREADS = click.option(
    "--threads", type=click.IntRange(1, 256), envvar="LINEAGE_ARENA_THREADS",
    help="CPU threads; one is the default and the only count that results are compared with.",
)  # fmt: skip
DEVICE = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), envvar="LINEAGE_ARENA_DEVICE",
    help="Where the networks live; cpu is the default.",
)  # fmt: skip
LEARNER = click.option(
    "--learner", type=click.Choice(["auto", "fused", "fast", "reference"]), envvar="LINEAGE_ARENA_LEARNER",
    help="What does the updates; auto is the fused kernel where a C compiler is found, else fast. It is recorded.",
)  # fmt: skip

CONTROL = click.option("--control", is_flag=True, hidden=True, help="Commands on stdin, reports on stdout.")


def settings_options(command: F) -> F:
    """Add SCENARIO, --config and --set to a command."""
    command = click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE",
        help="Change one value, e.g. --set market.drift=0.002; may be repeated.",
    )(command)  # fmt: skip
    command = click.option(
        "--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file over the scenario."
    )(command)
    return click.argument("scenario", required=False)(command)


class Commands(click.Group):
    """A group that lists its commands in the order of their definition and names the nearest of a wrong one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in order of definition."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the nearest name."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            from lineage.settings_text import nearest

            ctx.fail(f"No such command {args[0]!r}; {nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)
