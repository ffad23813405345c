"""A report as one HTML page that needs nothing else: no script, no network, every picture inside. Data is only text."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from lineage.ask.export import write_cells
from lineage.contest.report_figures import Figure

LARGEST: Final = 6_000_000
"""Bytes that a page should stay below: it is sent by mail and opened on phones."""

_STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--ink:#222;--soft:#555;--line:#ddd;--faint:#eee;
--code:#f5f5f2;--warn:#8c1410}
@media(prefers-color-scheme:dark){:root{--paper:#16181c;--ink:#e4e4e0;--soft:#a8a8a2;--line:#3a3d44;--faint:#2a2d33;
--code:#202329;--warn:#ff9c8f}a{color:#8ab8ff}}
body{margin:0 auto;padding:16px;max-width:1080px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5em;line-height:1.25;margin:.4em 0}
h2{font-size:1.2em;margin:2em 0 .4em;border-top:1px solid var(--line);padding-top:.8em}
p{margin:.5em 0;max-width:75ch}.warn{color:var(--warn);font-weight:600}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:1.2em;margin:1em 0}
.grid figure{margin:0;max-width:640px}figure h3{font-size:1em;margin:.2em 0}
figure{margin:1em 0}figure img{display:block;width:100%;height:auto;background:#fff;border-radius:4px}
.wide img{min-width:860px}figcaption{color:var(--soft);font-size:.9em;max-width:75ch;margin-top:.3em}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.88em;margin:.6em 0}
th,td{padding:.25em .75em .25em 0;text-align:left;vertical-align:top;white-space:nowrap;
border-bottom:1px solid var(--faint)}
th:first-child,td:first-child{position:sticky;left:0;background:var(--paper)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.text{white-space:normal;min-width:14em}
pre{background:var(--code);padding:.8em;overflow-x:auto;font-size:.85em}
nav{margin:1em 0}nav div{margin:.2em 0}nav a{margin-right:.9em;white-space:nowrap}
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
    parts.append(_links(page.sections))
    for number, section in enumerate(page.sections):
        parts.append(f'<h2 id="s{number}">{_text(section.title)}</h2>\n')
        for is_grid, blocks in groupby(section.blocks, lambda block: isinstance(block, Figure) and not block.wide):
            inside = "".join(_block(block, section.title) for block in blocks)
            parts.append(f'<div class="grid">\n{inside}</div>\n' if is_grid else inside)
    data = base64.b64encode(figures_csv(page)).decode()
    parts.append(
        f'<p><a download="figures.csv" href="data:text/csv;base64,{data}">All figures as CSV</a></p>\n'
        "</body>\n</html>\n"
    )
    return "".join(parts).encode("utf-8", "replace")


def _links(sections: Sequence[Section]) -> str:
    """Return links to all sections; those of one part, "part: section", on a line of their own."""
    lines = []
    for part, members in groupby(enumerate(sections), lambda item: item[1].title.rpartition(": ")[0]):
        links = [f'<a href="#s{number}">{_text(one.title.rpartition(": ")[2])}</a>' for number, one in members]
        lines.append(f"<div>{f'{_text(part)}: ' if part else ''}{' '.join(links)}</div>")
    return f"<nav>{''.join(lines)}</nav>\n"


def _text(value: object) -> str:
    clean = "".join(char if char.isprintable() or char == "\n" else " " for char in str(value))
    return html.escape(clean)


def _block(block: Block, heading: str) -> str:
    """Return a block as HTML; a figure that is called as its section is needs no title of its own."""
    if isinstance(block, Figure):
        image = base64.b64encode(block.svg).decode()
        title = "" if block.title == heading else f"<h3>{_text(block.title)}</h3>"
        return (
            f"<figure>{title}"
            f'<div{" class=wide" if block.wide else ""}><img alt="{_text(block.title)}" '
            f'src="data:image/svg+xml;base64,{image}"></div>'
            f"<figcaption>{_text(block.caption)}</figcaption></figure>\n"
        )
    if isinstance(block, Code):
        return f"<pre>{_text(block.text)}</pre>\n"
    if isinstance(block, TableOf):
        return _table(block)
    return f"<p>{_text(block)}</p>\n"


def _table(table: TableOf) -> str:
    numeric = [
        all(row[place] is None or _is_number(row[place]) for row in table.rows) for place in range(len(table.columns))
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


def _is_number(value: Any) -> bool:
    """Whether a cell is a number, or a text that begins like one."""
    return isinstance(value, int | float) or (isinstance(value, str) and value[:1] in tuple("+-<0123456789"))


def _cell(value: Any, right: bool) -> str:
    shown = "&ndash;" if value is None else f"{value:.4g}" if isinstance(value, float) else _text(value)
    kind = ' class="n"' if right else ' class="text"' if isinstance(value, str) and len(value) > 40 else ""
    return f"<td{kind}>{shown}</td>"


def figures_csv(page: Page) -> bytes:
    """Return the numbers behind all figures: figure, series, x, y, low, high."""
    buffer = io.BytesIO()
    rows = ((figure.name, *point) for figure in page.figures() for point in figure.points)
    write_cells(buffer, ("figure", "series", "x", "y", "low", "high"), rows)
    return buffer.getvalue()
