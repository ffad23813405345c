"""Commands for watching a run in the terminal. Only click is imported here."""

import re
from pathlib import Path
from typing import Any

import click

from tui.options import DIRECTORY

SCREENS = ("arena", "lineage", "agent", "training", "market", "runs")
"""Equal to tui.actions.SCREENS, which would load the app: tests/test_tui_cli.py."""


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Return (columns, lines) of COLUMNSxLINES, or fail saying what would do."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", value)
    if match is None or not all(1 <= int(part) <= 1000 for part in match.groups()):
        raise click.BadParameter(f"{value!r} is not COLUMNSxLINES from 1x1 to 1000x1000, e.g. 160x45", ctx, param)
    return int(match[1]), int(match[2])


@click.command()
@DIRECTORY
@click.option("--once", is_flag=True, help="Print one frame as text and leave; needs no terminal.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Draw one frame as SVG into a new file.")
@click.option("--size", callback=_size, metavar="COLUMNSxLINES", help="Size of that frame; 160x45 by default.")
@click.option("--screen", type=click.Choice(SCREENS), default="arena", show_default=True, help="Screen to begin with.")
@click.option("--at", type=click.IntRange(0), metavar="ROUND", help="Begin at this round instead of the newest.")
@click.option("--theme", type=click.Choice(["arena", "dark", "light", "mono"]), help="Colours; mono under NO_COLOR.")
@click.option("--symbols", type=click.Choice(["braille", "block", "ascii"]), help="How charts and marks are drawn.")
def watch(directory: Path, **given: Any) -> int:
    """Watch a run in the terminal, live or finished; read-only. `?` shows the keys."""
    from tui.watching import watch as start

    return start(directory, **given)


COMMANDS: tuple[click.Command, ...] = (watch,)
