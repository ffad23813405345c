"""Colours by role and glyphs by meaning: themes, symbol sets, and the styles that widgets paint with.

No hue says anything alone: gain and loss are also ▲ and ▼, the dead †, scars ✚, paper traders ○, clans letters.
The default is made of the Okabe-Ito colours (Okabe & Ito 2008), which all common kinds of colour vision tell apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rich.style import Style
from textual.theme import Theme

ROLES: Final = (
    "text", "dim", "faint", "title", "accent", "gain", "loss", "birth", "death", "scar", "paper", "warn", "volume",
    "rule",
)  # fmt: skip

_OKABE_ITO: Final = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#4f9bd9", "#b8b8b8")

_COLOURS: Final[Mapping[str, Mapping[str, str]]] = {
    "arena": {
        "background": "#0e1116", "surface": "#161b22", "cursor": "#1f3a52", "rule": "#30363d",
        "text": "#d7dde5", "dim": "#8b949e", "faint": "#4b5563", "title": "#9fb4c7", "accent": "#56b4e9",
        "gain": "#56b4e9", "loss": "#e8803a", "birth": "#2fbf8f", "death": "#e8803a", "scar": "#f0e442",
        "paper": "#8b949e", "warn": "#f0a020", "volume": "#3d5a73",
    },
    "dark": {
        "background": "#101010", "surface": "#1a1a1a", "cursor": "#303a48", "rule": "#3a3a3a",
        "text": "#e0e0e0", "dim": "#909090", "faint": "#555555", "title": "#b0b0d0", "accent": "#8ab4f8",
        "gain": "#5fd787", "loss": "#ff5f5f", "birth": "#5fd787", "death": "#ff5f5f", "scar": "#ffd75f",
        "paper": "#909090", "warn": "#ffaf00", "volume": "#4a5568",
    },
    "light": {
        "background": "#fbfaf7", "surface": "#efede6", "cursor": "#cfe3f2", "rule": "#c9c5ba",
        "text": "#1f2328", "dim": "#5c636b", "faint": "#a0a6ad", "title": "#33506b", "accent": "#0072b2",
        "gain": "#0072b2", "loss": "#b94700", "birth": "#00734f", "death": "#b94700", "scar": "#8a6d00",
        "paper": "#5c636b", "warn": "#a85f00", "volume": "#9db6c9",
    },
}  # fmt: skip
_LIGHT_SERIES: Final = ("#0072b2", "#b35c00", "#007a58", "#8a6d00", "#a3457c", "#b94700", "#3a6ea5", "#555555")
_MONO: Final[Mapping[str, Style]] = {
    "title": Style(bold=True), "accent": Style(bold=True), "dim": Style(dim=True), "faint": Style(dim=True),
    "gain": Style(), "loss": Style(bold=True), "death": Style(bold=True), "scar": Style(bold=True),
    "warn": Style(bold=True, reverse=True), "paper": Style(dim=True), "volume": Style(dim=True),
    "rule": Style(dim=True),
}  # fmt: skip

THEMES: Final = (*_COLOURS, "mono")
"""Names of the themes; the first is the default."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """Every character that is not a letter or a digit."""

    name: str  # how charts are drawn: braille, block or ascii
    up: str
    down: str
    flat: str
    dead: str
    scar: str
    born: str
    grown: str
    alarm: str
    alive: str
    paper: str
    live: str
    paused: str
    replay: str
    done: str
    gone: str
    trunk: str
    branch: str
    head: str  # the beginning of a trunk
    tail: str  # its end
    more: str
    cursor: str
    mark: str
    follow: str
    rule: str
    eighths: str  # nine levels of a column
    bar: str  # from empty to full, left to right
    ellipsis: str
    arrow: str
    thumb: str


_UNICODE: Final = Symbols(
    "braille", "▲", "▼", "·", "†", "✚", "✦", "◇", "⚠", "●", "○", "●", "‖", "◼", "■", "✕", "│", "├─",
    "┌", "└", "⋮", "▸", "◆", "◎", "─", " ▁▂▃▄▅▆▇█", " ▏▎▍▌▋▊▉█", "…", "→", "┃",
)  # fmt: skip
_ASCII: Final = Symbols(
    "ascii", "^", "v", ".", "x", "+", "*", "g", "!", "o", "-", "*", "=", "<", "#", "X", "|", "|-", ",",
    "`", ":", ">", "%", "@", "-", " .:-=+*#@", " ------##", "~", "->", "|",
)  # fmt: skip
SYMBOLS: Final[Mapping[str, Symbols]] = {
    "braille": _UNICODE,
    "block": Symbols("block", *(getattr(_UNICODE, name) for name in Symbols.__slots__[1:])),
    "ascii": _ASCII,
}


@dataclass(frozen=True)
class Look:
    """One theme with one set of symbols, as styles."""

    theme: str
    symbols: Symbols

    @cached_property
    def _styles(self) -> dict[str, Style]:
        if self.theme == "mono":
            return {role: _MONO.get(role, Style()) for role in ROLES}
        colours = _COLOURS[self.theme]
        return {role: Style(color=colours[role]) for role in ROLES}

    @cached_property
    def series(self) -> tuple[Style, ...]:
        """Styles of lines and clans, in order; in mono they differ by weight only."""
        if self.theme == "mono":
            return (Style(), Style(bold=True), Style(dim=True), Style(bold=True, underline=True)) * 2
        colours = _LIGHT_SERIES if self.theme == "light" else _OKABE_ITO
        return tuple(Style(color=colour) for colour in colours)

    @cached_property
    def cursor(self) -> Style:
        """What is added to a selected line."""
        if self.theme == "mono":
            return Style(reverse=True)
        return Style(bgcolor=_COLOURS[self.theme]["cursor"])

    def __getitem__(self, role: str) -> Style:
        return self._styles[role]

    @cached_property
    def _bold(self) -> dict[str, Style]:
        return {role: style + Style(bold=True) for role, style in self._styles.items()}

    def bold(self, role: str) -> Style:
        """Return a role's style in bold."""
        return self._bold[role]


def textual_theme(name: str) -> Theme:
    """Return the theme for Textual's own parts: borders, scroll bars, the palette, inputs."""
    if name == "mono":
        return Theme(
            name="mono", primary="#c0c0c0", secondary="#909090", accent="#ffffff", foreground="#d0d0d0",
            background="#000000", surface="#101010", panel="#1c1c1c", warning="#ffffff", error="#ffffff",
            success="#ffffff", dark=True, variables=_variables("#1c1c1c", "#606060"),
        )  # fmt: skip
    c = _COLOURS[name]
    return Theme(
        name=name, primary=c["accent"], secondary=c["title"], accent=c["accent"], foreground=c["text"],
        background=c["background"], surface=c["surface"], panel=c["rule"], warning=c["warn"], error=c["loss"],
        success=c["birth"], dark=name != "light", variables=_variables(c["cursor"], c["rule"]),
    )  # fmt: skip


def _variables(cursor: str, rule: str) -> dict[str, str]:
    return {
        "block-cursor-background": cursor,
        "scrollbar": rule,
        "scrollbar-hover": rule,
        "scrollbar-active": rule,
        "rule": rule,
    }
