"""How long lives last: Kaplan-Meier curves and hazards. Time is rounds since graduation; the living are censored.

Kaplan & Meier 1958; Greenwood 1926 for the variance; intervals on the log(-log) scale (Kalbfleisch & Prentice
1980, section 1.4). Hazards are deaths per round at risk with Byar's approximation of the exact Poisson interval
(Breslow & Day 1987, section 2.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from lineage.ask.lives import Lives
from lineage.ask.phylogeny import Measure
from lineage.ask.tree import Bools, Floats, Ints

Z_95: Final = 1.959963984540054
DAMAGE_BANDS: Final = (0, 1, 10, 25, 50, 75)
BIRTHMARK_BANDS: Final = (0, 1, 5, 10, 25)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A survival curve at the k times at which somebody died."""

    time: Floats  # [k] rounds since graduation
    at_risk: Ints  # [k] alive and under observation just before
    deaths: Ints  # [k]
    survival: Floats  # [k] probability of living longer than `time`
    low: Floats  # [k] 95 % interval; NaN where Greenwood's variance is undefined (nobody survives)
    high: Floats  # [k]
    lives: int  # followed in all
    censored: int  # of them still alive, or not followed further

    def median(self) -> Measure:
        """Return the shortest time at which at most half survive."""
        below = np.flatnonzero(self.survival <= 0.5)
        if len(below):
            return Measure(float(self.time[below[0]]))
        return Measure(None, "more than half survive" if self.lives else "nobody has graduated")


def kaplan_meier(durations: Floats, died: Bools) -> Curve:
    """Return the product-limit estimate of n lives; whoever is censored at a time counts as at risk then.

    durations: [n] >= 0. died: [n], False for the censored.
    """
    order = np.argsort(durations, kind="stable")
    durations, died = durations[order], died[order]
    time, first = np.unique(durations[died], return_index=True)
    deaths = np.diff(np.append(first, int(died.sum())))
    at_risk = len(durations) - np.searchsorted(durations, time, side="left")
    survival = np.cumprod(1.0 - deaths / at_risk).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (at_risk * (at_risk - deaths).astype(np.float64)))
        bend = np.exp(Z_95 * np.sqrt(greenwood) / np.log(survival))  # below 1: the logarithm is negative
        low, high = survival ** (1.0 / bend), survival**bend
    known = (survival > 0.0) & (survival < 1.0)
    return Curve(
        time, at_risk, deaths, survival, np.where(known, low, np.nan), np.where(known, high, np.nan),
        len(durations), int((~died).sum()),
    )  # fmt: skip


def survival_curve(lives: Lives, rows: Ints | None = None) -> Curve:
    """Return the curve of the graduated agents among `rows` (default: all)."""
    chosen = lives.graduated if rows is None else lives.graduated & np.isin(np.arange(len(lives.tree)), rows)
    return kaplan_meier(lives.trading_rounds[chosen], ~lives.tree.extant[chosen])


def survival_by(lives: Lives, level: Ints, bounds: Sequence[int]) -> dict[str, Curve]:
    """Return one curve for each band of `level` [n] (a birthmark, a generation) that holds anybody."""
    band = np.searchsorted(np.array(bounds), level, side="right") - 1
    curves = {}
    for index, name in enumerate(band_names(bounds)):
        rows = np.flatnonzero((band == index) & lives.graduated)
        if len(rows):
            curves[name] = survival_curve(lives, rows)
    return curves


class Hazard(NamedTuple):
    """Deaths per round at risk in one band, with a 95 % interval; None where nobody was at risk."""

    band: str
    rounds_at_risk: float
    deaths: int
    rate: float | None
    low: float | None
    high: float | None


def band_names(bounds: Sequence[int]) -> list[str]:
    """Return "0", "1-9", "10-24", ... "75+" for lower bounds (0, 1, 10, ... 75)."""
    inner = [str(low) if high == low + 1 else f"{low}-{high - 1}" for low, high in pairwise(bounds)]
    return [*inner, f"{bounds[-1]}+"]


def hazard_by_birthmark(lives: Lives, bounds: Sequence[int] = BIRTHMARK_BANDS) -> list[Hazard]:
    """Return the hazard of each band of damage that an agent was born with."""
    rows = np.flatnonzero(lives.graduated)
    died = ~lives.tree.extant[rows]
    return _hazards(lives.birthmark[rows], lives.trading_rounds[rows], died, bounds)


def hazard_by_damage(lives: Lives, bounds: Sequence[int] = DAMAGE_BANDS) -> list[Hazard]:
    """Return the hazard of each band of damage carried into a round.

    A life is cut where a scar raises its damage; a round counts with the damage at its beginning, and so does a
    death: what happens in the last round cannot explain itself.
    """
    rows = np.flatnonzero(lives.graduated)
    row, start, level = _pieces(lives, rows)
    last = np.append(row[1:] != row[:-1], True) if len(row) else np.zeros(0, dtype=bool)
    end = np.where(last, lives.end[row], np.append(start[1:], 0.0)) if len(row) else start
    return _hazards(level, end - start, last & ~lives.tree.extant[row], bounds)


def _pieces(lives: Lives, rows: Ints) -> tuple[Ints, Floats, Ints]:
    """Return ([m] row, [m] start, [m] damage) of the pieces of lives with constant damage, in order."""
    graduation, end = lives.graduation[lives.scar_row], lives.end[lives.scar_row]
    damage = np.cumsum(lives.scar_damage)
    firsts = np.searchsorted(lives.scar_row, lives.scar_row, side="left")
    earlier = damage - (damage[firsts] - lives.scar_damage[firsts]) if len(damage) else damage  # within one life
    level = lives.birthmark[lives.scar_row] + earlier
    before = lives.graduated[lives.scar_row] & (lives.scar_round <= graduation)
    inside = lives.graduated[lives.scar_row] & (lives.scar_round > graduation) & (lives.scar_round < end)
    at_start = lives.birthmark + np.bincount(
        lives.scar_row[before], weights=lives.scar_damage[before], minlength=len(lives.tree)
    ).astype(np.int64)
    row = np.concatenate((rows, lives.scar_row[inside]))
    start = np.concatenate((lives.graduation[rows], lives.scar_round[inside])).astype(np.float64)
    value = np.concatenate((at_start[rows], level[inside]))
    order = np.lexsort((value, start, row))
    return row[order], start[order], value[order]


def _hazards(level: Ints, exposure: Floats, died: Bools, bounds: Sequence[int]) -> list[Hazard]:
    band = np.searchsorted(np.array(bounds), level, side="right") - 1
    rounds = np.bincount(band, weights=exposure, minlength=len(bounds))
    deaths = np.bincount(band[died], minlength=len(bounds))
    return [
        Hazard(name, float(risk), int(count), *_rate(int(count), float(risk)))
        for name, risk, count in zip(band_names(bounds), rounds, deaths, strict=True)
    ]


def _rate(deaths: int, exposure: float) -> tuple[float | None, float | None, float | None]:
    """Return (rate, low, high) of a Poisson count over an exposure, Byar's interval."""
    if exposure <= 0.0:
        return None, None, None
    low = deaths * (1.0 - 1.0 / (9.0 * deaths) - Z_95 / (3.0 * math.sqrt(deaths))) ** 3 if deaths else 0.0
    more = deaths + 1
    high = more * (1.0 - 1.0 / (9.0 * more) + Z_95 / (3.0 * math.sqrt(more))) ** 3
    return deaths / exposure, max(low, 0.0) / exposure, high / exposure
