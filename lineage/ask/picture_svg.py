"""The family tree as a picture: self-contained SVG, or an HTML page around it. No script, no font, no link.

Time runs to the right, one row an agent. A thin line is the apprenticeship, a thick one the life with real money, a
downward one a birth. Ticks on a line are scars, taller and darker with their severity; the end of a line tells
how the life ended. Hovering over a line tells it in words.
"""

from collections.abc import Iterator
from typing import IO, Final

import numpy as np

from lineage.ask.export import xml_text
from lineage.ask.picture import Layout, Marks, census
from lineage.ask.tree import Tree

WIDTH: Final = 1280
LEFT, RIGHT, STRIP_TOP, STRIP, TOP = 200, 80, 96, 64, 176
_INK, _FAINT, _PAPER, _BAND = "#222222", "#9a9a9a", "#ffffff", "#f5f4f1"
_SCAR: Final = {"minor": (0.22, "#e3937f"), "moderate": (0.32, "#c8452f"), "severe": (0.44, "#8c1410"),
                "fatal": (0.5, "#330000")}  # fmt: skip
"""Half the height of a scar's tick in rows, and its colour."""

_CAUSES: Final = {"bankrupt": "bankrupt", "terminal_damage": "died of damage", "retired": "retired", "dead": "died"}
_STYLE: Final = (
    "text{font-family:Helvetica,Arial,sans-serif;fill:#222}"
    ".t{font-size:20px;font-weight:bold}.s{font-size:12px;fill:#555}.a{font-size:11px;fill:#777}"
)


def write_svg(tree: Tree, layout: Layout, marks: Marks, title: str, file: IO[bytes]) -> None:
    """Write the picture as SVG."""
    file.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    for piece in svg_pieces(tree, layout, marks, title):
        file.write(piece.encode("utf-8", "replace"))


def write_html(tree: Tree, layout: Layout, marks: Marks, title: str, file: IO[bytes]) -> None:
    """Write the picture as a page of its own."""
    name = xml_text(title)
    file.write(
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<style>body{margin:24px;background:#fff}svg{width:100%;height:auto;max-width:1600px}</style>\n"
        "</head>\n<body>\n".encode("utf-8", "replace")
    )
    for piece in svg_pieces(tree, layout, marks, title):
        file.write(piece.encode("utf-8", "replace"))
    file.write(b"</body>\n</html>\n")


class _Scale:
    """From rounds and rows to pixels."""

    def __init__(self, tree: Tree, rows: int) -> None:
        self.first = float(tree.origin_time.min()) if len(tree) else 0.0
        self.last = max(float(tree.present), self.first + 1.0)
        self.row = 15.0 if rows <= 120 else 8.0 if rows <= 400 else 5.0
        self.bottom = TOP + self.row * rows

    def x(self, time: float) -> str:
        """Return the place of a moment."""
        at = LEFT + (time - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)
        return f"{at:.1f}".removesuffix(".0")

    def y(self, place: int) -> str:
        """Return the middle of a row."""
        return f"{TOP + self.row * (place + 0.5):.1f}".removesuffix(".0")


def svg_pieces(tree: Tree, layout: Layout, marks: Marks, title: str) -> Iterator[str]:
    """Yield the picture piece by piece."""
    scale = _Scale(tree, len(layout.rows))
    told = _described(tree, layout)
    height = int(scale.bottom) + 64
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title desc">\n<title id="title">{xml_text(title)}</title>\n'
        f'<desc id="desc">{xml_text(told)}</desc>\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="{_PAPER}"/>\n'
        f'<text class="t" x="24" y="36">{xml_text(title)}</text>\n'
        f'<text class="s" x="24" y="56">{xml_text(told)}</text>\n'
    )
    yield from _legend()
    yield from _bands(tree, layout, scale)
    yield from _axis(tree, scale)
    yield from _census(tree, layout, scale)
    for row in layout.rows:
        yield from _birth(tree, layout, scale, row)
    for row in layout.rows:
        yield from _life(tree, layout, marks, scale, row)
    yield "</svg>\n"


def _described(tree: Tree, layout: Layout) -> str:
    n, clans = len(tree), int((tree.parent < 0).sum())
    living = int(tree.extant.sum())
    text = f"{n} agents in {clans} clans, {living} alive at the end"
    if n == len(layout.rows):
        return f"{text}. Every agent has a row; a parent stands above its children."
    return (
        f"{text}. Drawn: the {len(layout.rows)} agents with the most descendants; +n counts descendants not drawn; "
        f"{layout.left_out} agents of {layout.left_out_clans} small clans are left out."
    )


def _legend() -> Iterator[str]:
    """Explain the marks, in one line under the heading."""
    y, x = 76, 24
    parts = [
        (44, 'apprentice', f'<path d="M{{x}} {y}h30" stroke="#0072b2" stroke-width="1.2" opacity=".55"/>'),
        (44, "trading", f'<path d="M{{x}} {y}h30" stroke="#0072b2" stroke-width="3"/>'),
    ]
    for name, (half, colour) in _SCAR.items():
        mark = f'<path d="M{{x}} {y - half * 15:.1f}v{half * 30:.1f}" stroke="{colour}" stroke-width="1.6"/>'
        parts.append((10, "scar: minor" if name == "minor" else name, mark))
    parts.append((10, "birthmark", f'<circle cx="{{x}}" cy="{y}" r="2.7" fill="{_SCAR["moderate"][1]}"/>'))
    for cause in ("bankrupt", "terminal_damage", "retired"):
        parts.append((12, _CAUSES[cause], _end("{x}.0", str(y), 4.0, cause, _INK)))
    parts.append((12, "alive", _end("{x}.0", str(y), 4.0, None, _INK)))
    for wide, name, mark in parts:
        yield f'{mark.replace("{x}", str(x + 4))}<text class="s" x="{x + wide}" y="{y + 4}">{name}</text>\n'
        x += wide + 7 * len(name) + 18


def _bands(tree: Tree, layout: Layout, scale: _Scale) -> Iterator[str]:
    """Shade every other clan, and name the clans."""
    starts = [row for row in layout.rows if tree.parent[row] < 0]
    ends = [layout.place[row] for row in starts[1:]] + [len(layout.rows)] * bool(starts)
    free = 0.0  # below the last label
    for number, (founder, end) in enumerate(zip(starts, ends, strict=True)):
        first = layout.place[founder]
        tall = scale.row * (end - first)
        if number % 2 == 0:
            yield (
                f'<rect x="16" y="{TOP + scale.row * first:.1f}" width="{WIDTH - 32}" height="{tall:.1f}" '
                f'fill="{_BAND}"/>\n'
            )
        down = TOP + scale.row * first + max(scale.row / 2, 6.0) + 4.0
        if tall >= 8.0 and down >= free:
            size = min(11.0, scale.row - 3) if end - first == 1 else 11.0
            weight = "bold" if end - first > 1 else "normal"
            count = f" · {layout.members[founder]}" if layout.members[founder] > 1 else ""
            free = down + 10.5
            yield (
                f'<text x="24" y="{down:.1f}" font-size="{size:.1f}" font-weight="{weight}" '
                f'style="fill:{_text_colour(layout.colour[founder])}">{xml_text(tree.name(founder)[:22])}{count}</text>\n'
            )


def _text_colour(colour: str) -> str:
    return "#6b6b6b" if colour == "#8c8c8c" else colour


def _axis(tree: Tree, scale: _Scale) -> Iterator[str]:
    """Draw the rounds."""
    span = scale.last - scale.first
    step = 10.0 ** np.floor(np.log10(span / 4)) if span > 4 else 1.0
    step *= next((factor for factor in (5, 2) if span / (step * factor) >= 5), 1)
    time = float(np.ceil(scale.first / step) * step)
    while time <= scale.last:
        x = scale.x(time)
        yield (
            f'<path d="M{x} {STRIP_TOP}V{scale.bottom + 6:.0f}" stroke="#dcdad4" stroke-width="1"/>'
            f'<text class="a" x="{x}" y="{scale.bottom + 20:.0f}" text-anchor="middle">{time:g}</text>\n'
        )
        time += step
    middle = (LEFT + WIDTH - RIGHT) // 2
    yield f'<text class="s" x="{middle}" y="{scale.bottom + 40:.0f}" text-anchor="middle">{tree.time_unit}</text>\n'


def _census(tree: Tree, layout: Layout, scale: _Scale) -> Iterator[str]:
    """Stack the living of the clans over time: the large ones in their colours, the others together."""
    lines = census(tree, layout)
    highest = max((sum(line[at][1] for _, line in lines) for at in range(len(lines[0][1]))), default=0) or 1
    floor = np.zeros(len(lines[0][1]))
    times = [scale.x(time) for time, _ in lines[0][1]]
    for colour, line in reversed(lines):
        roof = floor + np.array([alive for _, alive in line])
        if roof.max(initial=0) > 0:
            yield _area(times, floor, roof, highest, colour)
        floor = roof
    yield (
        f'<text class="a" x="24" y="{STRIP_TOP + 20}">alive</text>'
        f'<text class="a" x="{WIDTH - RIGHT + 8}" y="{STRIP_TOP + 14}">{highest}</text>'
        f'<text class="a" x="{WIDTH - RIGHT + 8}" y="{STRIP_TOP + STRIP + 4}">0</text>\n'
    )


def _area(times: list[str], floor: np.ndarray, roof: np.ndarray, highest: int, colour: str) -> str:
    def down(value: float) -> str:
        return f"{STRIP_TOP + STRIP * (1 - value / highest):.1f}"

    upper = [f"{'M' if at == 0 else 'H'}{x}{' ' if at == 0 else 'V'}{down(roof[at])}" for at, x in enumerate(times)]
    lower = [f"L{times[-1]} {down(floor[-1])}"]
    lower += [f"V{down(floor[at])}H{times[at]}" for at in range(len(times) - 2, -1, -1)]
    return f'<path d="{"".join(upper)}{"".join(lower)}Z" fill="{colour}" opacity=".85"/>\n'


def _birth(tree: Tree, layout: Layout, scale: _Scale, row: int) -> Iterator[str]:
    """Draw the line from the parent to its child."""
    parent = int(tree.parent[row])
    if parent < 0:
        return
    x, colour = scale.x(tree.origin_time[row]), layout.colour[int(tree.founder[row])]
    top, bottom = scale.y(layout.place[parent]), scale.y(layout.place[row])
    yield f'<path d="M{x} {top}V{bottom}" stroke="{colour}" stroke-width="1.2" opacity=".6"/>\n'


def _life(tree: Tree, layout: Layout, marks: Marks, scale: _Scale, row: int) -> Iterator[str]:
    """Draw one life with its scars and its end."""
    agent, colour = int(tree.ids[row]), layout.colour[int(tree.founder[row])]
    born, dead = float(tree.origin_time[row]), not np.isnan(tree.destruction_time[row])
    end = float(tree.destruction_time[row]) if dead else float(tree.present)
    fate = marks.fate.get(agent, "dead") if dead else None
    adult = min(max(float(marks.graduation.get(agent, end if marks.birthmark else born)), born), end)
    y, half = scale.y(layout.place[row]), scale.row / 5
    thick = max(1.6, scale.row / 5)
    yield f"<g><title>{xml_text(_in_words(tree, marks, row, fate))}</title>"
    if adult > born:
        yield f'<path d="M{scale.x(born)} {y}H{scale.x(adult)}" stroke="{colour}" stroke-width="1.2" opacity=".55"/>'
    if end > adult:
        yield f'<path d="M{scale.x(adult)} {y}H{scale.x(end)}" stroke="{colour}" stroke-width="{thick:.1f}"/>'
    if marks.birthmark.get(agent):
        yield f'<circle cx="{scale.x(born)}" cy="{y}" r="{half * 0.9:.1f}" fill="{_SCAR["moderate"][1]}"/>'
    yield from _scars(marks.scars.get(agent, []), scale, y)
    yield _end(scale.x(end), y, max(2.0, scale.row * 0.26), fate, _INK if dead else colour)
    if scale.row >= 12:
        more = f" +{layout.hidden[row]}" if row in layout.hidden else ""
        right = f"{float(scale.x(end)) + 8:.1f}"
        yield f'<text x="{right}" y="{float(y) + 3.5:.1f}" font-size="9" style="fill:#666">{agent}{more}</text>'
    elif row in layout.hidden:
        right, size = f"{float(scale.x(end)) + 5:.1f}", max(5.0, scale.row - 1)
        text = f"+{layout.hidden[row]}"
        yield f'<text x="{right}" y="{float(y) + 2:.1f}" font-size="{size:g}" style="fill:#666">{text}</text>'
    yield "</g>\n"


def _scars(scars: list[tuple[int, str]], scale: _Scale, y: str) -> Iterator[str]:
    """Draw the ticks, one path a severity, the worst on top; ticks on the same spot are one."""
    for severity, (half, colour) in _SCAR.items():
        spots = dict.fromkeys(scale.x(time) for time, told in scars if told == severity)
        if spots:
            top, tall = float(y) - half * scale.row, 2 * half * scale.row
            path = "".join(f"M{x} {top:.1f}v{tall:.1f}" for x in spots)
            yield f'<path d="{path}" stroke="{colour}" stroke-width="{1.4 if scale.row > 6 else 1}"/>'


def _end(x: str, y: str, size: float, fate: str | None, colour: str) -> str:
    """Return the mark at a life's end: how it died, or an arrow for the living."""
    s = f"{size:.1f}"
    d = f"{2 * size:.1f}"
    start = f'<path transform="translate({x} {y})" '
    if fate is None:
        return f'{start}d="M0 -{s}L{s} 0L0 {s}Z" fill="{colour}"/>'
    if fate == "bankrupt":
        return f'{start}d="M-{s} -{s}l{d} {d}M-{s} {s}l{d} -{d}" stroke="{colour}" stroke-width="1.6" fill="none"/>'
    if fate == "terminal_damage":
        return f'{start}d="M0 -{s}L{s} 0L0 {s}L-{s} 0Z" fill="#8c1410"/>'
    if fate == "retired":
        return f'{start}d="M-{s} 0a{s} {s} 0 1 0 {d} 0a{s} {s} 0 1 0 -{d} 0" stroke="{colour}" fill="{_PAPER}"/>'
    return f'{start}d="M0 -{s}v{d}" stroke="{colour}" stroke-width="2"/>'


def _in_words(tree: Tree, marks: Marks, row: int, fate: str | None) -> str:
    agent, unit = int(tree.ids[row]), tree.time_unit
    parent = int(tree.parent[row])
    words = [f"agent {agent} of {tree.name(row)}, born in {unit} {tree.origin_time[row]:g}"]
    words += [f"child of {tree.ids[parent]}"] if parent >= 0 else []
    words += [f"birthmark {marks.birthmark[agent]}"] if marks.birthmark.get(agent) else []
    scars = [severity for _, severity in marks.scars.get(agent, [])]
    words += [f"{len(scars)} scars"] if scars else []
    end = "alive at the end" if fate is None else f"{_CAUSES.get(fate, fate)} in {unit} {tree.destruction_time[row]:g}"
    return "; ".join([*words, end])
