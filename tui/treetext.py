"""A family tree as lines of text: the largest clades first, long lines of descent folded, what is hidden counted.

A dead agent with one child is folded into the line below it. In a clade that is too large to be drawn anyway, so is a
dead agent of whom only one child's line lives on (or, where nobody lives, holds nearly all): side branches that ended
are counted, not drawn, and what remains is who the living come from.
"""

import heapq
import sys
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from lineage.ask.branches import sum_up
from lineage.ask.kinship import children_lists
from lineage.ask.tree import Ints, Tree
from tui.tables import cell_text

_STEP: Final = 3  # columns a generation is set in
_ROOM: Final = 34  # columns that a line needs beside its branches
_NEARLY_ALL: Final = 0.9


class Twig(NamedTuple):
    """One line of a drawn tree."""

    row: int
    level: int  # how far it is set in
    folded: int  # generations folded above it
    aside: int  # their other descendants, all dead
    hidden: int  # descendants that are not drawn
    hidden_alive: int  # of them alive
    last: bool  # whether no sibling is drawn after it


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What the drawing needs to know of everybody."""

    tree: Tree
    offsets: list[int]
    children: list[int]
    clade: list[int]  # descendants and oneself
    living: list[int]  # of them alive
    extant: list[bool]

    def sons(self, row: int) -> list[int]:
        """Return the children of a row."""
        return self.children[self.offsets[row] : self.offsets[row + 1]]

    def unfold(self, row: int, lines: int) -> tuple[int, int]:
        """Return the first row at or below that is worth a line, and the generations passed over."""
        folded = 0
        while not self.extant[row] and (heir := self._only_heir(row, lines)) is not None:
            row, folded = heir, folded + 1
        return row, folded

    def _only_heir(self, row: int, lines: int) -> int | None:
        """Return the child through which alone a dead agent's line goes on, None when it ends or divides."""
        sons = self.sons(row)
        if len(sons) < 2:
            return sons[0] if sons else None
        if self.clade[row] <= lines:
            return None
        largest = max(sons, key=lambda son: (self.living[son], self.clade[son]))
        if self.living[row]:
            return largest if self.living[largest] == self.living[row] else None
        return largest if self.clade[largest] >= _NEARLY_ALL * self.clade[row] else None


def twigs(tree: Tree, roots: Ints, lines: int, levels: int) -> list[Twig]:
    """Return at most `lines` lines for the trees under `roots`, largest clades first, at most `levels` deep.

    A line is drawn only under its parent's; whoever does not fit is counted at the nearest ancestor that does.
    """
    offsets, children = children_lists(tree.parent)
    crowd = _Crowd(
        tree, offsets.tolist(), children.tolist(), sum_up(tree.parent, np.ones(len(tree), dtype=bool)).tolist(),
        sum_up(tree.parent, tree.extant).tolist(), tree.extant.tolist(),
    )  # fmt: skip
    size = crowd.clade
    waiting = [(-size[row], row, row, 0, 0) for row in roots.tolist()]  # -size, where it starts, row, level, folded
    heapq.heapify(waiting)
    drawn: dict[int, Twig] = {}
    below: dict[int, list[tuple[int, int]]] = {}  # row -> (where a line below it starts, the row that is drawn)
    tops: list[int] = []
    while waiting and len(drawn) < lines:
        _, start, row, level, folded = heapq.heappop(waiting)
        drawn[row] = Twig(row, level, folded, size[start] - size[row] - folded, 0, 0, True)
        if level == 0:
            tops.append(row)
        if level < levels:
            for son in crowd.sons(row):
                seen, passed = crowd.unfold(son, lines)
                below.setdefault(row, []).append((son, seen))
                heapq.heappush(waiting, (-size[son], son, seen, level + 1, passed))
    return _in_order(crowd, tops, drawn, below)


def _in_order(
    crowd: _Crowd, tops: list[int], drawn: dict[int, Twig], below: dict[int, list[tuple[int, int]]]
) -> list[Twig]:
    """Return the drawn rows depth first, siblings by size of clade, with what is hidden below each."""
    size, living, found = crowd.clade, crowd.living, []
    stack = [(row, True) for row in reversed(tops)]
    while stack:
        row, last = stack.pop()
        shown = sorted(
            (pair for pair in below.get(row, []) if pair[1] in drawn), key=lambda pair: (-size[pair[0]], pair)
        )
        hidden = size[row] - 1 - sum(size[start] for start, _ in shown)
        hidden_alive = living[row] - int(crowd.extant[row]) - sum(living[start] for start, _ in shown)
        found.append(drawn[row]._replace(hidden=hidden, hidden_alive=hidden_alive, last=last))
        stack.extend((seen, place == 0) for place, (_, seen) in enumerate(reversed(shown)))
    return found


def tree_lines(tree: Tree, drawn: list[Twig], width: int) -> list[str]:
    """Return the lines of a drawing, none wider than `width`."""
    bars = ("│  ", "├─ ", "└─ ", "   ") if _can_draw() else ("|  ", "|- ", "`- ", "   ")
    alive, dead = marks()
    open_bars: list[bool] = []  # for each level, whether a sibling is still to come
    lines = []
    for twig in drawn:
        del open_bars[max(twig.level - 1, 0) :]
        prefix = "".join(bars[0] if more else bars[3] for more in open_bars)
        if twig.level:
            prefix += bars[2] if twig.last else bars[1]
            open_bars.append(not twig.last)
        lines.append(_cut(f"{prefix}{_described(tree, twig, alive, dead)}", width))
    return lines


def _described(tree: Tree, twig: Twig, alive: str, dead: str) -> str:
    row = twig.row
    lives = bool(tree.extant[row])
    end = "" if lives else f"{tree.destruction_time[row]:g}"
    text = f"{alive if lives else dead} {int(tree.ids[row])}"
    if twig.level == 0:
        text = f"{cell_text(tree.name(row), 40)}  {text}"
    text += f"  {tree.origin_time[row]:g}-{end}"
    if twig.folded:
        text += f"  after {twig.folded} {_plural('generation', twig.folded)}"
        text += f" with {twig.aside} others" if twig.aside else ""
    if twig.hidden:
        text += f"  +{twig.hidden} {_plural('descendant', twig.hidden)}, {twig.hidden_alive} alive"
    return text


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def marks() -> tuple[str, str]:
    """Return what stands for the living and for the dead on this stdout."""
    return ("●", "†") if _can_draw() else ("*", "x")


def _can_draw() -> bool:
    """Whether stdout takes the characters of a drawing."""
    try:
        "│●†".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def levels_for(width: int) -> int:
    """Return how many levels fit into a width."""
    return max((width - _ROOM) // _STEP, 2)
