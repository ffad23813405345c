"""A report as one HTML page that needs nothing else: no script, no network, every picture inside. Data is only text."""

import base64
import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lineage.contest.report_figures import Figure, Point

LARGEST: Final = 6_000_000
"""Bytes that a page should stay below: it is sent by mail and opened on phones."""

_STYLE: Final = """
:root{color-scheme:light}
body{margin:0 auto;padding:16px;max-width:960px;background:#fff;color:#222;font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5em;line-height:1.25;margin:.4em 0}
h2{font-size:1.2em;margin:2em 0 .4em;border-top:1px solid #ddd;padding-top:.8em}
p{margin:.5em 0;max-width:70ch}.note{color:#555}.warn{color:#8c1410;font-weight:600}
figure{margin:1em 0}figure img{display:block;width:100%;height:auto}
.wide img{min-width:860px}figcaption{color:#555;font-size:.9em;max-width:75ch}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.88em;margin:.6em 0}
th,td{padding:.25em .7em .25em 0;text-align:left;vertical-align:top;border-bottom:1px solid #eee;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.text{white-space:normal;min-width:14em}
pre{background:#f5f5f2;padding:.8em;overflow-x:auto;font-size:.85em}nav a{margin-right:.9em}
"""


@dataclass(frozen=True, slots=True)
class TableOf:
    """Rows under names; cells are numbers, texts or None."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be copied."""

    text: str


Block = str | TableOf | Figure | Code


@dataclass(slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class Page:
    """A whole report."""

    title: str
    lead: list[str]
    sections: list[Section] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """Return every figure of the page."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]


def render(page: Page) -> bytes:
    """Return the page; everything that is data is escaped, and the browser is told to fetch nothing."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f'<link rel="icon" href="data:,">\n<title>{_text(page.title)}</title>\n<style>{_STYLE}</style>\n'
        "</head>\n<body>\n",
        f"<h1>{_text(page.title)}</h1>\n",
    ]
    parts += [f"<p>{_text(line)}</p>\n" for line in page.lead]
    parts += [f'<p class="warn">{_text(line)}</p>\n' for line in page.warnings]
    links = [f'<a href="#s{number}">{_text(section.title)}</a>' for number, section in enumerate(page.sections)]
    parts.append(f"<nav>{' '.join(links)}</nav>\n")
    for number, section in enumerate(page.sections):
        parts.append(f'<h2 id="s{number}">{_text(section.title)}</h2>\n')
        parts += [_block(block) for block in section.blocks]
    data = base64.b64encode(figures_csv(page).encode("utf-8", "surrogateescape")).decode()
    parts.append(
        f'<p><a download="figures.csv" href="data:text/csv;base64,{data}">All figures as CSV</a></p>\n'
        "</body>\n</html>\n"
    )
    return "".join(parts).encode("utf-8", "replace")


def _text(value: object) -> str:
    clean = "".join(char if char.isprintable() or char == "\n" else " " for char in str(value))
    return html.escape(clean)


def _block(block: Block) -> str:
    if isinstance(block, Figure):
        image = base64.b64encode(block.svg).decode()
        return (
            f'<figure><div{" class=wide" if block.wide else ""}><img alt="{_text(block.title)}" '
            f'src="data:image/svg+xml;base64,{image}"></div>'
            f"<figcaption><b>{_text(block.title)}.</b> {_text(block.caption)}</figcaption></figure>\n"
        )
    if isinstance(block, Code):
        return f"<pre>{_text(block.text)}</pre>\n"
    if isinstance(block, TableOf):
        return _table(block)
    return f"<p>{_text(block)}</p>\n"


def _table(table: TableOf) -> str:
    numeric = [
        all(row[place] is None or isinstance(row[place], int | float) for row in table.rows)
        for place in range(len(table.columns))
    ]
    heads = "".join(
        f"<th{' class=n' if right else ''}>{_text(name)}</th>"
        for name, right in zip(table.columns, numeric, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(value, right) for value, right in zip(row, numeric, strict=True))}</tr>\n"
        for row in table.rows
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'


def _cell(value: Any, right: bool) -> str:
    shown = "&ndash;" if value is None else f"{value:.4g}" if isinstance(value, float) else _text(value)
    kind = ' class="n"' if right else ' class="text"' if isinstance(value, str) and len(value) > 40 else ""
    return f"<td{kind}>{shown}</td>"


def figures_csv(page: Page) -> str:
    """Return the numbers behind all figures: figure, series, x, y, low, high."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["figure", "series", "x", "y", "low", "high"])
    for figure in page.figures():
        writer.writerows([figure.name, *_plain(point)] for point in figure.points)
    return buffer.getvalue()


def _plain(point: Point) -> list[Any]:
    """Return a point whose texts no spreadsheet takes for formulas."""
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell for cell in point]
