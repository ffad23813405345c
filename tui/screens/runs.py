"""Screen 6: the runs beside this one; two marked ones compared; Enter watches another."""

from collections.abc import Iterable
from pathlib import Path

from textual import work
from textual.widget import Widget

from lineage.ask.frames import Frame
from lineage.ask.runs import RunLine, list_runs
from tui import paint
from tui.messages import RunChosen
from tui.paint import Part
from tui.screens.page import Page
from tui.theme import Look
from tui.widgets.base import ListPane
from tui.widgets.facts import Facts

_EVERY = 3.0  # seconds between two looks at the directory


class RunList(ListPane):
    """One line a run."""

    fixed = 1

    def __init__(self) -> None:
        super().__init__(id="runlist")
        self.runs: list[RunLine] = []
        self.marked: list[Path] = []

    def take(self, runs: list[RunLine]) -> None:
        """Show another list, the cursor on the run that it was on."""
        held = self.current
        self.runs = runs
        places = [index for index, run in enumerate(runs) if held is not None and run.directory == held.directory]
        self.cursor = places[0] if places else min(self.cursor, max(0, len(runs) - 1))
        self.resized()
        self.head(f"Runs in {paint.clean(self.arena.directory.resolve().parent.name)}/  {len(runs)}")
        self.refresh()

    @property
    def current(self) -> RunLine | None:
        """Return the run under the cursor."""
        return self.runs[self.cursor] if self.runs else None

    def count(self) -> int:
        """Return how many runs there are."""
        return len(self.runs)

    def heading(self, y: int, width: int) -> list[Part]:
        """Return the heads of the columns."""
        heads = (
            f"{'scenario':<10} {'seed':>5} {'rounds':>6} {'born':>6} {'died':>6} {'gen':>4} {'alive':>5} {'equity':>8}"
        )
        return [(f"    {'run':<26} {heads}  head"[:width], self.look["dim"])]

    def entry(self, index: int, width: int) -> list[Part]:
        """Return one run."""
        run, look, symbols = self.runs[index], self.look, self.symbols
        here = run.directory.resolve() == self.arena.directory.resolve()
        mark = symbols.mark if run.directory in self.marked else symbols.alive if here else " "
        name = paint.fit(paint.clean(run.directory.resolve().name), 26, symbols)
        parts: list[Part] = [
            (f" {mark} ", look["warn" if run.directory in self.marked else "birth"]),
            (f" {name} ", look.bold("text") if here else look["text"]),
        ]
        if run.problem:
            return [*parts, (paint.clean(run.problem), look["loss"])]
        equity = paint.whole(run.mean_equity) if run.mean_equity is not None else "-"
        state = symbols.done if run.closed else symbols.ellipsis
        scenario = paint.fit(paint.clean(run.scenario), 10, symbols)
        return [
            *parts,
            (f"{scenario} {run.seed:>5} {run.rounds:>5}{state} ", look["text"]),
            (f"{run.born:>6} ", look["birth"]), (f"{run.died:>6} ", look["death"]),
            (f"{run.generations:>4} {run.alive:>5} {equity:>8}  ", look["text"]), (run.head[:16], look["faint"]),
        ]  # fmt: skip

    def entered(self) -> None:
        """Watch the run under the cursor."""
        if (run := self.current) and not run.problem:
            self.post_message(RunChosen(str(run.directory)))

    def mark(self) -> None:
        """Mark the run under the cursor, or take its mark away; a third mark pushes out the first."""
        if run := self.current:
            marked = [path for path in self.marked if path != run.directory]
            self.marked = marked if len(marked) < len(self.marked) else [*marked, run.directory][-2:]


class RunsScreen(Page):
    """What else there is."""

    def body(self) -> Iterable[Widget]:
        """Return the list, and the comparison below."""
        yield RunList()
        yield Facts("Compare", id="compare")

    def on_mount(self) -> None:
        """Look at the directory now and then."""
        self.look_around()
        self.set_interval(_EVERY, self.look_around)

    @work(thread=True, exclusive=True, group="runs")
    def look_around(self) -> None:
        """Read the runs of the directory, in a thread."""
        if self.is_current or not self.query_one(RunList).runs:
            runs = list_runs(self.arena.directory.resolve().parent)
            if self.is_attached:
                self.app.call_from_thread(self._take, runs)

    def _take(self, runs: list[RunLine]) -> None:
        self.query_one(RunList).take(runs)
        self.fill(self.arena.frame)

    def fill(self, frame: Frame | None) -> None:
        """Compare two runs: the marked ones, or the watched one with the one under the cursor."""
        listing = self.query_one(RunList)
        marked = [run for path in listing.marked for run in listing.runs if run.directory == path]
        self.query_one("#compare", Facts).draw(compare_lines(marked, self.arena.look))


def compare_lines(runs: list[RunLine], look: Look) -> list[list[Part]]:
    """Return two runs side by side."""
    if len(runs) < 2:
        return [[("mark two runs (m) to compare them; enter watches the one under the cursor", look["dim"])]]
    rows = [
        ("scenario", *(paint.clean(run.scenario) for run in runs)), ("seed", *(str(run.seed) for run in runs)),
        ("rounds", *(str(run.rounds) for run in runs)), ("born", *(str(run.born) for run in runs)),
        ("died", *(str(run.died) for run in runs)), ("scars", *(str(run.scars) for run in runs)),
        ("generations", *(str(run.generations) for run in runs)), ("alive", *(str(run.alive) for run in runs)),
        ("mean equity", *("-" if run.mean_equity is None else paint.whole(run.mean_equity) for run in runs)),
        ("head", *(run.head[:16] for run in runs)),
    ]  # fmt: skip
    names = [paint.fit(paint.clean(run.directory.name), 28, look.symbols) for run in runs]
    lines: list[list[Part]] = [[(f"{'':<13}{names[0]} {names[1]}", look["dim"])]]
    for name, one, other in rows:
        same = one == other
        lines.append(
            [
                (f"{name:<13}", look["dim"]),
                (f"{one:<28} ", look["text"]),
                (f"{other:<28}", look["text" if same else "warn"]),
                ("=" if same else "", look["faint"]),
            ]
        )
    return lines
