"""Figures of a report: each a matplotlib picture as SVG, and the same numbers as rows (extra `report`)."""

import io
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from arena.errors import EnvironmentFault
from lineage.ask.picture import COLOURS
from lineage.ask.survival import Curve

INK: Final = "#333333"
YARDSTICK: Final = "#8c8c8c"
"""Baselines, and what chance gives."""

DEAD: Final = "#b0281e"
"""The dead in every picture."""

LOWEST: Final = 1e-3
"""Equity in endowments that a logarithmic axis shows in the place of less."""

BANDED: Final = 3
"""Survival curves of one figure that are drawn with their bands; more would hide each other."""

Point = tuple[str, float | str, float | None, float | None, float | None]
"""(series, x, y, low, high) of one number in a figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture with what it shows."""

    name: str  # of the file in the CSV
    title: str
    caption: str
    svg: bytes
    points: list[Point] = field(default_factory=list)
    wide: bool = False  # too wide for a phone: it scrolls sideways


def library() -> Any:
    """Return matplotlib, set to write quietly and reproducibly. Raises EnvironmentFault when it is missing."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise EnvironmentFault(
            "report: package 'matplotlib' is missing; install the extra: pip install 'lineage-arena[report]'"
        ) from None
    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none", "svg.hashsalt": "lineage-arena", "font.family": "sans-serif", "font.size": 11,
            "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK,
            "text.color": INK, "xtick.color": INK, "ytick.color": INK, "figure.constrained_layout.use": True,
            "text.parse_math": False,
        }
    )  # fmt: skip
    return matplotlib


def drawing(height: float = 3.8) -> tuple[Any, Any]:
    """Return (figure, axes) of the width that a phone can show."""
    library()
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(5.4, height))
    return canvas, canvas.subplots()


def as_svg(canvas: Any) -> bytes:
    """Return a drawing as SVG bytes that are the same for the same numbers."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # text stays text in the SVG: whether our font has the glyph is of no interest
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _label(text: str) -> str:
    """Return a name that fits beside an axis and holds nothing but characters."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= 28 else f"{shown[:27]}…"


def colour(index: int) -> str:
    """Return the colour of a series."""
    return COLOURS[index % len(COLOURS)]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One series over x, with a band where it has one."""

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def lines(
    name: str, title: str, caption: str, series: Sequence[Line], x_label: str, y_label: str, *, zero: bool = False
) -> Figure:
    """Draw series over a common axis."""
    canvas, axes = drawing()
    if zero:
        axes.axhline(0.0, color="#bbbbbb", linewidth=1)
    points: list[Point] = []
    for index, line in enumerate(series):
        axes.plot(line.x, line.y, color=colour(index), label=_label(line.name), linewidth=1.6)
        low = line.low if line.low is not None else np.full(len(line.y), np.nan)
        high = line.high if line.high is not None else np.full(len(line.y), np.nan)
        if line.low is not None:
            axes.fill_between(line.x, low, high, color=colour(index), alpha=0.18, linewidth=0)
        points += [
            (line.name, float(x), known(y), known(a), known(b))
            for x, y, a, b in zip(line.x, line.y, low, high, strict=True)
        ]
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9)
    return Figure(name, title, caption, as_svg(canvas), points)


def intervals(
    name: str,
    title: str,
    caption: str,
    rows: Sequence[tuple[str, float | None, float | None, float | None]],
    label: str,
    yardsticks: Collection[str] = (),
) -> Figure:
    """Draw estimates with their intervals, one a row, from top to bottom; those called as in `yardsticks` in grey."""
    canvas, axes = drawing(max(1.8, 0.9 + 0.32 * len(rows)))
    axes.axvline(0.0, color="#bbbbbb", linewidth=1)
    for place, (text, value, low, high) in enumerate(rows):
        if value is None:
            continue
        shade = YARDSTICK if text in yardsticks else colour(0)
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=shade, linewidth=2)
        axes.plot([value], [place], "o", color=shade, markersize=5)
    axes.set_yticks(range(len(rows)), [_label(text) for text, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return Figure(name, title, caption, as_svg(canvas), [("", text, *rest) for text, *rest in rows])  # type: ignore[misc]


def steps(name: str, title: str, caption: str, curves: dict[str, Curve], x_label: str) -> Figure:
    """Draw survival curves."""
    canvas, axes = drawing()
    points: list[Point] = []
    for index, (text, curve) in enumerate(curves.items()):
        x = np.concatenate(([0.0], curve.time))
        y = np.concatenate(([1.0], curve.survival))
        axes.step(x, y, where="post", color=colour(index), label=f"{_label(text)} ({curve.lives})", linewidth=1.6)
        if len(curves) <= BANDED:
            low, high = (np.concatenate(([1.0], side)) for side in (curve.low, curve.high))
            axes.fill_between(x, low, high, step="post", color=colour(index), alpha=0.15, linewidth=0)
        points += [
            (text, float(at), float(s), known(a), known(b))
            for at, s, a, b in zip(curve.time, curve.survival, curve.low, curve.high, strict=True)
        ]
    axes.set_ylim(0.0, 1.03)
    axes.set_xlabel(x_label)
    axes.set_ylabel("share that survives")
    axes.legend(frameon=False, fontsize=9)
    return Figure(name, title, caption, as_svg(canvas), points)


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """One capital curve."""

    name: str
    x: np.ndarray
    equity: np.ndarray  # in endowments
    died: bool


def capital(
    name: str,
    title: str,
    caption: str,
    lives: Sequence[Life],
    x_label: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw capital curves on a logarithmic scale; the dead in red, each with a cross at its end.

    limits: of the equities shown, for figures that are compared.
    """  # fmt: skip
    canvas, axes = drawing()
    points: list[Point] = []
    for life in sorted(lives, key=lambda life: life.died):
        shown = np.maximum(life.equity, LOWEST)
        shade = {"color": DEAD, "alpha": 0.55} if life.died else {"color": colour(0), "alpha": 0.4}
        axes.plot(life.x, shown, linewidth=0.8, **shade)
        if life.died and len(shown):
            axes.plot(life.x[-1:], shown[-1:], "x", color=DEAD, markersize=5)
        fate = " (died)" if life.died else ""
        points += [(life.name + fate, float(x), float(y), None, None) for x, y in zip(life.x, life.equity, strict=True)]
    axes.axhline(1.0, color="#bbbbbb", linewidth=1, zorder=0)
    axes.set_yscale("log")
    if limits is not None:
        axes.set_ylim(*limits)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(x_label)
    axes.set_ylabel("equity, in endowments")
    return Figure(name, title, caption, as_svg(canvas), points)


def bars(
    name: str, title: str, caption: str, rows: Sequence[tuple[str, float, float, float, float]], label: str
) -> Figure:
    """Draw (text, observed, expected, low, high): a point on the range that chance gives."""
    canvas, axes = drawing(max(1.8, 0.9 + 0.32 * len(rows)))
    for place, (_, observed, expected, low, high) in enumerate(rows):
        axes.barh(place, high - low, left=low, height=0.6, color="#d9d9d9", label="chance, 95 %" if not place else None)
        axes.plot([expected, expected], [place - 0.3, place + 0.3], color=YARDSTICK, linewidth=1.5)
        axes.plot([observed], [place], "o", color=colour(1), markersize=6, label="observed" if not place else None)
    axes.set_yticks(range(len(rows)), [_label(text) for text, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if rows:
        axes.legend(frameon=False, fontsize=9, loc="lower right")
    points: list[Point] = [("observed", text, observed, None, None) for text, observed, *_ in rows]
    points += [("chance", text, expected, low, high) for text, _, expected, low, high in rows]
    return Figure(name, title, caption, as_svg(canvas), points)


def known(value: float) -> float | None:
    """Return a number, None where it is undefined."""
    return float(value) if np.isfinite(value) else None
