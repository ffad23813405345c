"""Figures in columns for people: signed numbers, intervals, names to the left and numbers to the right."""

import math
from collections.abc import Sequence
from typing import Final

from tui.tables import NOTHING, cell_text

SIGNED: Final = "{:+.3f}"
SHORT: Final = "{:+.2f}"


def number(value: float | None, form: str = SHORT) -> str:
    """Return a number, a dash where it is undefined."""
    return NOTHING if value is None or not math.isfinite(value) else form.format(value)


def span(low: float | None, high: float | None, form: str = SHORT) -> str:
    """Return an interval, a dash where it is undefined."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NOTHING
    return f"{form.format(low)} to {form.format(high)}"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str] = ("", "against")) -> list[str]:
    """Return the lines of a table whose cells are spelt already; the columns called as in `names` hold words."""
    shown = [[cell_text(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
    words = [name in names for name in columns]
    return [
        "  " + "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in shown
    ]  # fmt: skip
