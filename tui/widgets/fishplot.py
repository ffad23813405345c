"""The shares of clans over time as stacked bands, each band named by its letter; half-block cells double the lines."""

import string

import numpy as np
from rich.style import Style

from lineage.ask.frames import STILL_ALIVE, Frame
from tui import paint
from tui.paint import Part
from tui.trunks import shares_over_time
from tui.widgets.base import Pane

BANDS = 7
"""Clans with a band of their own; the others share the last one."""


class FishPlot(Pane):
    """Who ruled when."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: list[list[Part]] = []
        self._made_for: tuple[object, ...] = ()

    def prepare(self) -> None:
        """Count the clans over time and stack them."""
        frame = self.frame
        width, height = self.size.width, self.size.height
        made_for = (frame and frame.people, frame and frame.round, width, height, self.look)
        if made_for == self._made_for:
            return
        self._made_for, self._lines = made_for, []
        legend = min(3, height // 4)
        if frame is None or frame.round < 0 or width < 8 or height - legend < 2:
            return
        counts, founders = clan_counts(frame, width)
        bands = _bands(counts, 2 * (height - legend))
        self.head("Clans", (f"rounds 0 to {frame.round}", self.look["dim"]))
        self._lines = [self._row(bands[2 * y], bands[2 * y + 1]) for y in range(height - legend)]
        self._label(bands)
        self._lines += self._legend(frame, founders, counts, legend, width)

    def _style(self, band: int) -> Style:
        series = self.look.series
        return self.look["volume"] if band == BANDS else series[band % len(series)]

    def _row(self, upper: np.ndarray, lower: np.ndarray) -> list[Part]:
        """Return one line of cells: the upper half in the foreground, the lower one behind it."""
        if self.symbols.name == "ascii" or self.look.theme == "mono":
            letters = string.ascii_lowercase[:BANDS] + "~"
            return [("".join(" " if band < 0 else letters[band] for band in upper), self.look["text"])]
        parts: list[Part] = []
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            style = Style(
                color=self._style(top).color if top >= 0 else None,
                bgcolor=self._style(bottom).color if bottom >= 0 else None,
            )
            glyph = "▀" if top >= 0 else " "
            if parts and parts[-1][1] == style and parts[-1][0][0] == glyph:
                parts[-1] = (parts[-1][0] + glyph, style)
            else:
                parts.append((glyph, style))
        return parts

    def _label(self, bands: np.ndarray) -> None:
        """Write each band's letter into its widest column, so that no colour is needed to tell them apart."""
        for band in range(BANDS):
            columns = (bands == band).sum(axis=0)
            x = int(columns.argmax())
            if columns[x] < 4:
                continue
            ys = np.flatnonzero(bands[:, x] == band)
            y = int(ys[len(ys) // 2]) // 2
            color = self._style(band).color
            style = Style(bgcolor=color, color="black", bold=True) if color else Style(bold=True, reverse=True)
            self._lines[y] = _put(self._lines[y], x, (string.ascii_lowercase[band], style))

    def _legend(
        self, frame: Frame, founders: np.ndarray, counts: np.ndarray, lines: int, width: int
    ) -> list[list[Part]]:
        """Return the names of the bands, the largest first."""
        rows: list[list[Part]] = [[] for _ in range(lines)]
        used = [0] * lines
        named = [f"{string.ascii_lowercase[band]} {paint.clean(frame.people.clan(founder))} {int(counts[band, -1])}  "
                 for band, founder in enumerate(founders.tolist())]  # fmt: skip
        if others := int(counts[BANDS, -1]):
            named = [*named[:3], f"~ others {others}  ", *named[3:]]
        for place, text in enumerate(named):
            band = BANDS if text.startswith("~") else place - (others > 0 and place > 3)
            y = next((i for i in range(lines) if used[i] + len(text) <= width), None)
            if y is None:
                break
            used[y] += len(text)
            rows[y].append((text, self.look["dim"] if band == BANDS else self._style(band)))
        return rows

    def paint_line(self, y: int, width: int) -> list[Part]:
        """Return one line."""
        return self._lines[y] if y < len(self._lines) else []


def clan_counts(frame: Frame, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ([BANDS + 1, columns] living members over time, [k] rows of the founders of the largest clans)."""
    people, at = frame.people, frame.round
    born = people.born_by(at)
    founder, birth = people.founder[:born], people.birth_round[:born]
    end = np.where(people.alive_at(at), STILL_ALIVE, people.end_round[:born])
    weight = np.bincount(founder, weights=np.minimum(end, at + 1) - birth + 1.0)  # rounds lived by the clan
    largest = np.argsort(-weight, kind="stable")[:BANDS]
    largest = largest[weight[largest] > 0]
    group_of = np.full(len(weight), BANDS, dtype=np.int64)
    group_of[largest] = np.arange(len(largest))
    return shares_over_time(birth, end, group_of[founder], BANDS + 1, 0, at, columns), largest


def _bands(counts: np.ndarray, height: int) -> np.ndarray:
    """Return [height, columns] the band of each half cell, -1 where nobody lived."""
    total = counts.sum(axis=0)
    edges = np.rint(np.cumsum(counts, axis=0) / np.where(total > 0, total, 1.0) * height)  # [bands, columns]
    rows = np.arange(height)[:, None, None]
    band = (rows >= edges[None]).sum(axis=1)
    return np.where(total[None] > 0, np.minimum(band, len(counts) - 1), -1)


def _put(parts: list[Part], x: int, new: Part) -> list[Part]:
    """Return a line with one cell replaced."""
    left, found = 0, []
    for text, style in parts:
        if left <= x < left + len(text):
            at = x - left
            found += [part for part in ((text[:at], style), new, (text[at + 1 :], style)) if part[0]]
        else:
            found.append((text, style))
        left += len(text)
    return found
