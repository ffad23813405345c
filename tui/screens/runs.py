"""Screen 6: the runs beside this one; two marked ones compared; the tournaments beside them; Enter watches another."""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from textual import events, work
from textual.containers import Horizontal
from textual.widget import Widget

from lineage.ask.frames import Frame
from lineage.ask.runs import RunLine, list_runs
from tui import paint
from tui.cups import Cup, Cups, Standing
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
        place = paint.clean(self.arena.directory.resolve().parent.name)
        self.head("Runs", (f"{len(runs)} in {place}/", self.look["dim"]),
                  (" m marks two to compare, enter watches one", self.look["faint"]))  # fmt: skip
        self.repaint()

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
        """Return the list, and below it the comparison and the tournaments."""
        yield RunList()
        yield Horizontal(Facts("Compare", id="compare"), Facts("Tournaments", id="cups"), id="below")

    def __init__(self) -> None:
        super().__init__()
        self._cups, self._reading = Cups(), Lock()
        self._found: tuple[Cup, ...] | None = None  # None: not looked yet

    def on_mount(self) -> None:
        """Look at the directory now and then."""
        self.set_interval(_EVERY, self.look_around)

    def on_unmount(self) -> None:
        """Let nobody who leaves wait for all tournaments."""
        self._cups.end()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Look at the directory at once."""
        super().on_screen_resume(event)
        self.look_around()

    @work(thread=True, exclusive=True, group="runs")
    def look_around(self) -> None:
        """Read the runs of the directory, in a thread, and the tournaments, in one thread at a time."""
        if self.is_current:
            self._tell(self._take, list_runs(self.arena.directory.resolve().parent))
            if self._reading.acquire(blocking=False):  # a large tournament takes longer than it is until the next look
                try:
                    self._tell(self._take_cups, self._cups.look(self.arena.directory.resolve().parent))
                finally:
                    self._reading.release()

    def _tell(self, take: Callable[[Any], None], found: object) -> None:
        if self.is_attached and self.app.is_running:
            self.app.call_from_thread(take, found)

    def _take(self, runs: list[RunLine]) -> None:
        self.query_one(RunList).take(runs)

    def _take_cups(self, found: tuple[Cup, ...]) -> None:
        if found != self._found:
            self._found = found
            self.arena.show()

    def fill(self, frame: Frame | None) -> None:
        """Compare the two marked runs; say who won the tournaments, over the whole width while nothing is compared."""
        listing = self.query_one(RunList)
        marked = [run for path in listing.marked for run in listing.runs if run.directory == path]
        self.set_class(len(marked) == 2, "comparing")
        self.query_one("#compare", Facts).draw(compare_lines(marked, self.arena.look))
        cups = self.query_one("#cups", Facts)
        count = str(len(self._found)) if self._found else ""
        cups.draw(cup_lines(self._found, self.arena.look, cups.size.width), "Tournaments", count)


def compare_lines(runs: list[RunLine], look: Look) -> list[list[Part]]:
    """Return two runs side by side."""
    if len(runs) < 2:
        return []
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


_NO_CUPS = (
    "who is better, in which world, how surely? A tournament sets policies and populations against each other:",
    "  lineage-arena tournament init cup.toml      an example, every key explained",
    "  lineage-arena tournament cup.toml           plays it; its table appears here",
)
_LEAGUES = {"frozen": "frozen policies", "evolving": "populations that live on"}


def cup_lines(cups: tuple[Cup, ...] | None, look: Look, width: int) -> list[list[Part]]:
    """Return the standings of the tournaments, the newest first, each strength with its interval drawn."""
    if not cups:
        words = ("looking for results files",) if cups is None else _NO_CUPS
        return [[(words[0], look["dim"])], *([(line, look["text"])] for line in words[1:])]
    lines: list[list[Part]] = []
    for cup in cups:
        lines += [[]] * bool(lines)
        lines.append([(paint.clean(cup.path.name), look.bold("text")), (f"  {paint.clean(cup.said)}", look["dim"])])
        if cup.problem:
            lines.append([(paint.clean(cup.problem), look["loss"])])
        for name, rows in cup.leagues:
            lines += _league_lines(_LEAGUES.get(name, name), rows, look, width)
    return lines


def _league_lines(title: str, rows: tuple[Standing, ...], look: Look, width: int) -> list[list[Part]]:
    known = [value for row in rows for value in (row.low, row.high, row.strength) if value is not None]
    low, high = min([*known, 0.0]), max([*known, 0.0])
    mortal = any(row.died for row in rows)
    name_width = min(24, max([len(title), *(len(row.name) + 2 for row in rows)]))
    room = max(0, min(48, width - name_width - 27 - 12 * mortal))
    head = f"{title:<{name_width}} {'strength':>8}  {'95 % interval':<{room}} {'first':>5} {'growth':>7}"
    lines: list[list[Part]] = [[(head + (f" {'died':>10}" if mortal else ""), look["faint"])]]
    for row in rows:
        name = f"{paint.clean(row.name)}{' *' if row.baseline else ''}"
        lines.append([
            (f"{paint.fit(name, name_width, look.symbols)} ", look["dim" if row.baseline else "text"]),
            (f"{_figure(row.strength):>8}  ", look["text"]),
            *_interval(row, low, high, room, look),
            (f" {'-' if row.first is None else f'{row.first:.0%}':>5}", look["dim"]),
            (f" {_figure(row.growth):>7}", look[paint.trend(row.growth or 0.0)]),
            (f" {row.died:>10}" if mortal else "", look["death"]),
        ])  # fmt: skip
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _interval(row: Standing, low: float, high: float, room: int, look: Look) -> list[Part]:
    """Return an interval as a stroke with its estimate on it; the average player's 0 stands in every line."""

    def place(value: float) -> int:
        return min(room - 1, max(0, round((value - low) / (high - low) * (room - 1)))) if high > low else 0

    if room < 8:
        return [(" " * room, look["dim"])]
    cells: list[Part] = [(" ", look["dim"])] * room
    cells[place(0.0)] = (look.symbols.trunk, look["faint"])
    if row.low is not None and row.high is not None:
        for x in range(place(row.low), place(row.high) + 1):
            cells[x] = (look.symbols.rule, look["accent"])
    if row.strength is not None:
        cells[place(row.strength)] = (look.symbols.alive, look.bold("text"))
    return cells
