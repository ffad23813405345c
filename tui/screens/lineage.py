"""Screen 2: the tree of all lines, the clans over time, and what two marked agents have in common."""

from collections.abc import Iterable

from textual.containers import Vertical
from textual.widget import Widget

from lineage.ask.frames import FATES, Frame
from tui import paint
from tui.paint import Part
from tui.screens.page import Page
from tui.theme import Look
from tui.widgets.facts import Facts
from tui.widgets.fishplot import FishPlot
from tui.widgets.lineage import LineageTree


class LineageScreen(Page):
    """Who descends from whom."""

    def body(self) -> Iterable[Widget]:
        """Return the tree at the left, clans and kin at the right."""
        yield LineageTree(id="tree")
        yield Vertical(FishPlot(id="fish"), Facts("Kin", id="kin"), id="beside")

    def fill(self, frame: Frame | None) -> None:
        """Say who the selected agent's kin are."""
        view = self.arena.view
        if frame is not None and view.selected is not None and view.selected <= frame.people.born_by(frame.round):
            lines = kin_lines(frame, view.selected, view.marks, self.arena.look)
            self.query_one("#kin", Facts).draw(lines, "Kin", f"of #{view.selected}")


def kin_lines(frame: Frame, agent_id: int, marks: tuple[int, ...], look: Look) -> list[list[Part]]:
    """Return an agent's line of descent and what two marked agents share."""
    people, row, symbols = frame.people, agent_id - 1, look.symbols
    line, children = people.line(row), people.children(row, frame.round)
    alive = people.alive_at(frame.round)
    word = "alive" if alive[row] else FATES[int(people.fate[row])].replace("_", " ")
    lines: list[list[Part]] = [
        [(f"{paint.clean(people.clan(row))} ", look.bold("text")),
         (f"generation {int(people.depth[row])}, {word}", look["dim"])],
        [("founder   ", look["dim"]), (f"#{int(people.founder[row]) + 1}", look["text"])],
        [("ancestors ", look["dim"]), (" ".join(f"#{one + 1}" for one in line[1:9]) or "none", look["text"]),
         (f" {symbols.ellipsis} {len(line) - 9} more" if len(line) > 9 else "", look["dim"])],
        [("children  ", look["dim"]), *_ids(children[:10].tolist(), alive, look),
         (f" {symbols.ellipsis} {len(children) - 10} more" if len(children) > 10 else "", look["dim"])],
        [("birthmark ", look["dim"]), (f"{int(people.birthmark[row])} points of inherited damage", look["scar"])],
    ]  # fmt: skip
    if len(marks) == 2 and max(marks) <= people.born_by(frame.round):
        common = people.mrca(marks[0] - 1, marks[1] - 1)
        pair = f"#{marks[0]} and #{marks[1]}"
        if common is None:
            lines.append([(f"{symbols.mark} {pair}: two clans, no common ancestor", look["warn"])])
        else:
            apart = int(people.depth[marks[0] - 1] + people.depth[marks[1] - 1] - 2 * people.depth[common])
            lines.append(
                [(f"{symbols.mark} {pair}: common ancestor #{common + 1}, {apart} births apart", look["warn"])]
            )
    elif marks:
        lines.append(
            [(f"{symbols.mark} #{marks[0]} is marked; mark another (m) to find their common ancestor", look["warn"])]
        )
    return lines


def _ids(rows: list[int], alive: object, look: Look) -> list[Part]:
    import numpy as np

    living = np.asarray(alive)
    if not rows:
        return [("none", look["text"])]
    return [(f"#{row + 1}{'' if living[row] else look.symbols.dead} ", look["birth" if living[row] else "faint"])
            for row in rows]  # fmt: skip
