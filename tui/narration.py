"""What a run tells while it goes: nothing, plain lines, or a progress bar."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self

from tui.diagnostics import say

if TYPE_CHECKING:
    from lineage.engine import Engine


class Narrator(Protocol):
    """Told after each round; a context for whatever it draws on."""

    def on_round(self, engine: "Engine") -> None:
        """Take note of one finished round."""


def choose(engine: "Engine", *, quiet: bool) -> AbstractContextManager[Narrator]:
    """Return the narrator for this terminal: a bar only where stderr is one."""
    if quiet:
        return Silence()
    if not sys.stderr.isatty():
        return Lines()
    return Bar(engine)


def status(engine: "Engine") -> str:
    """Return one line about the population after a round."""
    world = engine.world
    census = world.census()
    return (
        f"round {engine.rounds_done}/{engine.rounds_total}: {census['trading'] + census['apprentices']} alive "
        f"({census['apprentices']} on paper), {world.counts['birth']} born, {world.counts['death']} died"
    )


class Silence:
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def on_round(self, engine: "Engine") -> None:
        """Say nothing."""


class Lines(Silence):
    """Ten plain lines over the whole run, for logs and pipes."""

    def on_round(self, engine: "Engine") -> None:
        """Write a line at every tenth of the run."""
        tenth = max(1, engine.rounds_total // 10)
        if engine.rounds_done % tenth == 0 or engine.rounds_done == engine.rounds_total:
            say(status(engine))


class Bar(Silence):
    """A progress bar."""

    def __init__(self, engine: "Engine") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=engine.rounds_total, completed=engine.rounds_done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def on_round(self, engine: "Engine") -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=engine.rounds_done, description=status(engine))
