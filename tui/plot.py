"""Curves as characters: the smallest and the largest value of every column, so that no extreme is ever hidden.

A cell of braille is 2 dots wide and 4 high; without braille a cell is a column of eighths, or a plain character.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tui.theme import Symbols

Floats = npt.NDArray[np.float64]

_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.int64)
BRAILLE: Final = tuple(chr(0x2800 + code) for code in range(256))


def column_extremes(values: Floats, columns: int) -> tuple[Floats, Floats]:
    """Return (lowest, highest) of each of `columns` equal parts of the values, [columns] each; NaN where none is known.

    With fewer values than columns each value fills the columns that it stands for.
    """
    count = len(values)
    if count == 0:
        empty = np.full(columns, np.nan)
        return empty, empty
    if count <= columns:
        spread = values[np.arange(columns) * count // columns]
        return spread, spread
    starts = np.arange(columns) * count // columns
    known = np.isfinite(values)
    lowest = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    highest = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    some = lowest <= highest
    return np.where(some, lowest, np.nan), np.where(some, highest, np.nan)


def bounds_of(series: Sequence[Floats], *, from_zero: bool = False) -> tuple[float, float]:
    """Return the range that shows all values, (0, 1) when there is none, a little room around a constant."""
    known = [values[np.isfinite(values)] for values in series]
    known = [values for values in known if len(values)]
    if not known:
        return 0.0, 1.0
    low, high = min(float(v.min()) for v in known), max(float(v.max()) for v in known)
    low = min(low, 0.0) if from_zero else low
    if high <= low:
        room = abs(high) * 0.01 or 1.0
        return low - room, high + room
    return low, high


def raster(values: Floats, low: float, high: float, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return dots [height, width] of a curve, the first row on top; neighbours are joined by vertical strokes."""
    lowest, highest = column_extremes(values, width)
    scale = (height - 1) / (high - low)
    with np.errstate(invalid="ignore"):
        top = np.rint((high - np.clip(highest, low, high)) * scale)
        bottom = np.rint((high - np.clip(lowest, low, high)) * scale)
    known = np.isfinite(top) & np.isfinite(bottom)
    joined_top, joined_bottom = top.copy(), bottom.copy()
    both = known[1:] & known[:-1]
    # a jump between two columns is filled halfway from each side
    gap_up = both & (bottom[1:] < top[:-1] - 1)
    gap_down = both & (top[1:] > bottom[:-1] + 1)
    middle_up, middle_down = np.floor((bottom[1:] + top[:-1]) / 2), np.floor((top[1:] + bottom[:-1]) / 2)
    joined_bottom[1:] = np.where(gap_up, np.fmax(joined_bottom[1:], middle_up), joined_bottom[1:])
    joined_top[:-1] = np.where(gap_up, np.fmin(joined_top[:-1], middle_up + 1), joined_top[:-1])
    joined_top[1:] = np.where(gap_down, np.fmin(joined_top[1:], middle_down + 1), joined_top[1:])
    joined_bottom[:-1] = np.where(gap_down, np.fmax(joined_bottom[:-1], middle_down), joined_bottom[:-1])
    rows = np.arange(height)[:, None]
    with np.errstate(invalid="ignore"):
        return known & (rows >= joined_top) & (rows <= joined_bottom)


def braille_codes(dots: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the code [height/4, width/2] of each cell of dots [height, width]."""
    height, width = dots.shape
    cells = dots.reshape(height // 4, 4, width // 2, 2)
    codes: npt.NDArray[np.int64] = np.einsum("ijkl,jl->ik", cells.astype(np.int64), _DOTS)
    return codes


Cells = tuple[list[list[str]], npt.NDArray[np.int64]]
"""Characters by row and column, and [height, width] which series each belongs to, -1 for none."""


def plot(series: Sequence[Floats], low: float, high: float, width: int, height: int, symbols: Symbols) -> Cells:
    """Return curves as characters; where curves meet, the later one has the cell and its dots are kept."""
    owner = np.full((height, width), -1, dtype=np.int64)
    if width < 1 or height < 1:
        return [[] for _ in range(height)], owner
    if symbols.name == "braille":
        dots = np.zeros((4 * height, 2 * width), dtype=np.bool_)
        for index, values in enumerate(series):
            own = raster(values, low, high, 2 * width, 4 * height)
            owner[own.reshape(height, 4, width, 2).any(axis=(1, 3))] = index
            dots |= own
        return [[BRAILLE[code] if code else " " for code in row] for row in braille_codes(dots).tolist()], owner
    characters = [[" "] * width for _ in range(height)]
    for index, values in enumerate(series):
        draw = _blocks if symbols.name == "block" else _marks
        draw(values, low, high, width, height, symbols, characters, owner, index, single=len(series) == 1)
    return characters, owner


def _blocks(
    values: Floats, low: float, high: float, width: int, height: int, symbols: Symbols,
    characters: list[list[str]], owner: npt.NDArray[np.int64], index: int, *, single: bool,
) -> None:  # fmt: skip
    """Fill columns up to the highest value in eighths; several curves are drawn as tops only."""
    _, highest = column_extremes(values, width)
    eighths = 1 + np.rint((np.clip(highest, low, high) - low) / (high - low) * (8 * height - 1))
    for column in np.flatnonzero(np.isfinite(eighths)):
        full, rest = divmod(int(eighths[column]), 8)
        for row in range(full if single else 0):
            characters[height - 1 - row][column], owner[height - 1 - row, column] = symbols.eighths[8], index
        if rest or not single:
            row = height - 1 - min(full - (not rest), height - 1)
            characters[row][column], owner[row, column] = symbols.eighths[rest or 8], index


def _marks(
    values: Floats, low: float, high: float, width: int, height: int, symbols: Symbols,
    characters: list[list[str]], owner: npt.NDArray[np.int64], index: int, *, single: bool,
) -> None:  # fmt: skip
    """Draw a curve with plain characters: another one for each series."""
    dots = raster(values, low, high, width, height)
    for row, column in zip(*dots.nonzero(), strict=True):
        characters[row][column], owner[row, column] = "*+o#%@xs"[index % 8], index


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round values within a range: steps of 1, 2 or 5 times a power of ten."""
    if most < 1 or not (np.isfinite(low) and np.isfinite(high)) or high <= low:
        return []
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * nice for nice in (1.0, 2.0, 5.0, 10.0) if power * nice >= raw)
    first = np.ceil(low / step)
    count = int(np.floor(high / step) - first) + 1
    return [float((first + index) * step) for index in range(max(0, min(count, most)))]
