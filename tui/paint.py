"""Numbers and lines for widgets that paint line by line: short, aligned, safe whatever a name contains."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.theme import Symbols

Part = tuple[str, Style]

_NOTHING = Style.null()
_WORDS = re.compile(r" *[^ ]+ *| +")


def clean(text: object) -> str:
    """Return text from data on one line, characters that could move the cursor shown as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def fit(text: str, width: int, symbols: Symbols | None = None, *, right: bool = False) -> str:
    """Return text in exactly `width` cells: padded, or cut with an ellipsis."""
    size = cells(text)
    if size > width:
        mark = symbols.ellipsis if symbols and width > 1 else ""
        return set_cell_size(text, width - len(mark)) + mark
    return " " * (width - size) + text if right else text + " " * (width - size)


def cells(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def line(parts: Iterable[Part], width: int, over: Callable[[Style], Style]) -> Strip:
    """Return the parts as one line of exactly `width` cells; `over` puts a style over what lies under the line.

    It makes one Strip and no other: each of them allocates seven caches, a third of a frame's time when cut and
    styled step by step.
    """
    segments: list[Segment] = []
    room = width
    for text, style in parts:
        size = cells(text)
        if size > room:
            text, size = set_cell_size(text, room), room
        if size:
            segments.append(Segment(text, over(style)))
            room -= size
        if room <= 0:
            break
    if room > 0:
        segments.append(Segment(" " * room, over(_NOTHING)))
    return Strip(segments, max(width, 0))


def wrapped(parts: Sequence[Part], width: int) -> list[list[Part]]:
    """Return parts as lines of at most `width` cells, broken between words; later lines are indented by two."""
    lines: list[list[Part]] = [[]]
    room = width
    for text, style in parts:
        for word in _WORDS.findall(text):
            size = cells(word.rstrip())
            if size > room and lines[-1] and width > 8:
                lines.append([("  ", style)])
                room, word = width - 2, word.lstrip()
            if lines[-1] and lines[-1][-1][1] is style:
                lines[-1][-1] = (lines[-1][-1][0] + word, style)
            else:
                lines[-1].append((word, style))
            room -= cells(word)
    return lines


def whole(value: float) -> str:
    """Return a whole number with thousands marked, `-` for none."""
    return f"{value:,.0f}" if math.isfinite(value) else "-"


def short(value: float) -> str:
    """Return a number in at most six characters."""
    size = abs(value)
    if not math.isfinite(value):
        return "-"
    if size >= 1e6:
        return f"{value / 1e6:.1f}M" if size < 1e9 else f"{value:.0e}"
    if size >= 1e4:
        return f"{value / 1e3:.1f}k" if size < 1e5 else f"{value / 1e3:.0f}k"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.3f}" if size >= 1e-3 else f"{value:.0e}"


def signed(value: float, symbols: Symbols, digits: int = 1) -> str:
    """Return a change with its glyph, so that no colour is needed: ▲3.1, ▼0.4, ·0.0."""
    if not math.isfinite(value):
        return "-"
    text = f"{abs(value):.{digits}f}" if abs(value) < 1000 else f"{abs(value):.0f}"
    if not text.strip("0."):
        return f"{symbols.flat}{text}"
    return f"{symbols.up if value > 0 else symbols.down}{text}"


def trend(value: float) -> str:
    """Return the role of a change."""
    return "gain" if value > 0 else "loss" if value < 0 else "dim"


def meter(share: float, width: int, symbols: Symbols) -> str:
    """Return a share from 0 to 1 as a bar of `width` cells."""
    eighths = round(min(max(share if math.isfinite(share) else 0.0, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return (symbols.bar[8] * full + (symbols.bar[rest] if rest else "")).ljust(width)[:width]


def sparkline(values: Sequence[float] | np.ndarray, symbols: Symbols) -> str:
    """Return values as one character each, scaled to their own range; a blank where there is none."""
    row = np.asarray(values, dtype=np.float64)
    known = row[np.isfinite(row)]
    if not len(known):
        return " " * len(row)
    low, span = float(known.min()), float(known.max() - known.min())
    levels = np.where(np.isfinite(row), 1 + np.rint(7 * ((row - low) / span if span > 0 else row * 0 + 0.4)), 0)
    return "".join(symbols.eighths[int(level)] for level in np.nan_to_num(levels))


def duration(seconds: float) -> str:
    """Return a time span in two units at most."""
    if not math.isfinite(seconds) or seconds < 0:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}"
