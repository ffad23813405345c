"""A pane of prepared lines: names and values, or sentences."""

from collections.abc import Sequence

from rich.style import Style

from tui import paint
from tui.paint import Part
from tui.theme import Look
from tui.widgets.base import Pane

Line = Sequence[Part]

_INDENT: Part = (" ", Style.null())  # under the first letter of the title, nearly


def fact(look: Look, name: str, *said: tuple[str, str], width: int = 10) -> list[Part]:
    """Return a name and what is to be said of it, (role, text) each; `*role` is bold."""
    parts: list[Part] = [(paint.fit(name, width), look["dim"])]
    for role, text in said:
        parts.append((text, look.bold(role[1:]) if role.startswith("*") else look[role]))
    return parts


class Facts(Pane):
    """Shows the lines that it is given, as many as fit."""

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._title = title
        self._given: Sequence[Line] = ()
        self._lines: list[list[Part]] = []

    def draw(self, lines: Sequence[Line], title: str = "", detail: str = "") -> None:
        """Show something else."""
        self._given = lines
        self.head(title or self._title, (detail, self.look["dim"]))

    def prepare(self) -> None:
        """Break lines that are too long."""
        self._lines = [row for line in self._given for row in paint.wrapped(line, self.size.width - 1)]

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return one line."""
        return [_INDENT, *self._lines[y]] if y < len(self._lines) else []
