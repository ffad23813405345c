"""The one table of actions: keys, footer, palette, help and mouse all come from it.

Each is carried out by its function in tui/doing.py. `blocked` says why it cannot be done right now, in words for the
person; "" means that it can.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from arena.errors import ConfigError
from lineage.ask.frames import Frame
from tui.model import Link, View

SCREENS: Final = ("arena", "lineage", "agent", "training", "market", "runs")
"""The screens, in the order of their digits."""

KEYS_FILE: Final = "keys.toml"


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether an action can be done."""

    screen: str
    frame: Frame | None
    view: View
    link: Link
    own: bool  # an engine was started by this app
    under: str = ""  # kind of the event under the cursor, "" where there is none


EXPLAINED: Final = ("death", "scar", "birth", "spawn", "graduation")
"""Kinds of events that have a chain of causes."""

_LISTED: Final = f"{', a '.join(EXPLAINED[:-1])} or a {EXPLAINED[-1]}"

Blocked = Callable[[Situation], str]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the person can do."""

    id: str
    keys: tuple[str, ...]
    label: str  # a word or two, for the footer
    help: str
    group: str
    blocked: Blocked
    screens: tuple[str, ...] = SCREENS
    footer: int = 0  # place in the footer, 0: not in it

    @property
    def shown_key(self) -> str:
        """Return the first key as people write it."""
        return show_key(self.keys[0]) if self.keys else ""


_NAMES: Final = {
    "space": "space", "full_stop": ".", "plus": "+", "equals_sign": "=", "minus": "-", "slash": "/", "colon": ":",
    "question_mark": "?", "left_square_bracket": "[", "right_square_bracket": "]", "escape": "esc", "enter": "enter",
    "pageup": "pgup", "pagedown": "pgdn", "left": "←", "right": "→", "up": "↑", "down": "↓", "comma": ",",
    "shift+left": "shift ←", "shift+right": "shift →",
}  # fmt: skip


def show_key(key: str) -> str:
    """Return a key's name for people."""
    return _NAMES.get(key, key.replace("ctrl+", "^"))


def _free(_: Situation) -> str:
    return ""


def _needs_engine(now: Situation) -> str:
    if not now.own:
        return "this run is only watched: control needs an engine that this app started (`lineage-arena run --live`)"
    if now.link.state == "starting":
        return "the engine is still starting"
    told = {"ended": "the engine has ended", "stopping": "the engine stops after this round"}
    return "" if now.link.running else told.get(now.link.state, "the engine has gone")


def _needs_something_to_play(now: Situation) -> str:
    return "" if now.view.at is not None else _needs_engine(now)


def _needs_rounds(now: Situation) -> str:
    return "" if now.frame is not None and now.frame.round >= 0 else "no round is recorded yet"


def _needs_agent(now: Situation) -> str:
    return _needs_rounds(now) or ("" if now.view.selected is not None else "nobody is selected")


def _needs_cause(now: Situation) -> str:
    if now.under and now.under not in EXPLAINED:
        return f"{'an' if now.under[0] in 'aeiou' else 'a'} {now.under} has no chain of causes: go to a {_LISTED}"
    return _needs_agent(now)


def _needs_past(now: Situation) -> str:
    return _needs_rounds(now) or ("" if now.view.at is not None else "time travel is off: press t")


def _needs_markets(now: Situation) -> str:
    more = now.frame is not None and now.frame.info.config.arena.markets > 1
    return _needs_rounds(now) or ("" if more else "this run has one market")


_PEOPLE = ("arena", "lineage", "agent", "market")
_TITLES = (
    "population, market, learning, events", "the tree of all lines and the clans over time",
    "one agent's life, genome and last decision", "learning curves and where the time goes",
    "price, volume, crowding and fills", "the runs in this directory, compared",
)  # fmt: skip
_a = Action

ACTIONS: Final = (
    *(_a(f"show_{name}", (str(i + 1),), name.capitalize(), _TITLES[i], "Screens", _free)
      for i, name in enumerate(SCREENS)),
    _a("pause", ("space",), "Pause", "pause the engine, or let it go on; in time travel: play the rounds",
      "Engine", _needs_something_to_play, footer=1),
    _a("step", ("full_stop",), "Step", "play one round, then wait", "Engine", _needs_engine, footer=2),
    _a("faster", ("plus", "equals_sign"), "Faster", "more rounds a second", "Engine", _needs_engine, footer=12),
    _a("slower", ("minus",), "Slower", "fewer rounds a second", "Engine", _needs_engine, footer=13),
    _a("stop", ("X",), "Stop", "stop the engine with a checkpoint; `resume` continues it", "Engine", _needs_engine),
    _a("travel", ("t",), "Time", "time travel: show any round on every screen", "Time", _needs_rounds, footer=6),
    _a("earlier", ("left", "comma"), "Earlier", "one round back", "Time", _needs_past),
    _a("later", ("right",), "Later", "one round on", "Time", _needs_past),
    _a("much_earlier", ("shift+left",), "Earlier 10", "ten rounds back", "Time", _needs_past),
    _a("much_later", ("shift+right",), "Later 10", "ten rounds on", "Time", _needs_past),
    _a("live", ("end",), "Live", "back to the newest round", "Time", _needs_past, footer=7),
    _a("filter", ("slash",), "Filter", "list only some: gen>2 scars>=3 clan:kestrel pnl<0", "People", _needs_rounds,
      ("arena",), 4),
    _a("sort", ("s",), "Sort", "sort by the next column", "People", _needs_rounds, ("arena",), 9),
    _a("reverse", ("S",), "Reverse", "turn the order round", "People", _needs_rounds, ("arena",)),
    _a("follow", ("f",), "Follow", "pin the cursor to an agent, and to its heir after its death", "People",
      _needs_agent, _PEOPLE, 3),
    _a("inspect", ("enter",), "Open", "open what is under the cursor", "People", _free, footer=5),
    _a("why", ("w",), "Why", "why did this happen: the chain of causes of a death, a scar, a birth", "People",
      _needs_cause, _PEOPLE, 4),
    _a("recompute", ("d",), "Details", "recompute this round: Q-values, mask, fills", "People", _needs_agent,
      ("agent", "market"), 2),
    _a("parent", ("left_square_bracket",), "Parent", "go to the parent", "People", _needs_agent, _PEOPLE, 10),
    _a("heir", ("right_square_bracket",), "Heir", "go to the next heir", "People", _needs_agent, _PEOPLE, 11),
    _a("mark", ("m",), "Mark", "mark two agents (or runs) to see what they have in common", "People", _free,
      ("arena", "lineage", "runs"), 8),
    _a("whole", ("a",), "All", "all agents, or only lines with living ends", "View", _needs_rounds, ("lineage",), 2),
    _a("fold", ("o",), "Fold", "fold or unfold the line under the cursor", "View", _needs_rounds, ("lineage",), 3),
    _a("log", ("y",), "Log", "logarithmic values in charts", "View", _needs_rounds,
      ("arena", "training", "market"), 8),
    _a("market_next", ("n",), "Market", "the next market", "View", _needs_markets, ("arena", "market"), 14),
    _a("go", ("colon",), "Go", "go to a round (120) or an agent (#45)", "View", _needs_rounds, footer=15),
    _a("theme", ("T",), "Theme", "the next theme: arena, dark, light, mono", "View", _free),
    _a("picture", ("P",), "Picture", "save the screen as an SVG file", "View", _free),
    _a("up", ("up", "k"), "Up", "one line up", "Move", _free),
    _a("down", ("down", "j"), "Down", "one line down", "Move", _free),
    _a("page_up", ("pageup", "ctrl+b"), "Page up", "one page up", "Move", _free),
    _a("page_down", ("pagedown", "ctrl+f"), "Page down", "one page down", "Move", _free),
    _a("top", ("home", "g"), "Top", "to the first line", "Move", _free),
    _a("bottom", ("G",), "Bottom", "to the last line", "Move", _free),
    _a("pane", ("tab",), "Pane", "to the next pane", "Move", _free),
    _a("back", ("escape",), "Back", "close, or take back: filter, marks, following, time travel", "General", _free),
    _a("help", ("question_mark", "f1"), "Help", "all keys of this screen, and what the glyphs mean", "General",
      _free, footer=20),
    _a("palette", ("ctrl+p",), "Commands", "search all actions by name", "General", _free, footer=21),
    _a("quit", ("q", "ctrl+q", "ctrl+c"), "Quit", "leave; an engine of this app stops with a checkpoint", "General",
      _free, footer=22),
)  # fmt: skip


def of_screen(actions: Sequence[Action], screen: str) -> list[Action]:
    """Return the actions of a screen, in the order of the table."""
    return [action for action in actions if screen in action.screens]


def keymap_path() -> Path:
    """Return where a person's own keys are looked for."""
    import platformdirs

    return platformdirs.user_config_path("lineage-arena") / KEYS_FILE


def with_keymap(actions: Sequence[Action], path: Path) -> tuple[Action, ...]:
    """Return the actions with the keys of a file, `[keys]` and lines like `pause = "p"` or `pause = ["p", "space"]`.

    A file that is not there changes nothing. Raises ConfigError naming the file, the line's key and the cure.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tuple(actions)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path}: not TOML ({error}); write [keys] and lines like pause = "p"') from error
    wrong = sorted(set(given) - {"keys"})
    if wrong or not isinstance(given.get("keys", {}), dict):
        raise ConfigError(f"{path}: {wrong[0] if wrong else 'keys'}: only a table [keys] is known; put the lines there")
    chosen = {name: _keys(path, name, value, actions) for name, value in given.get("keys", {}).items()}
    given_keys = [key for keys in chosen.values() for key in keys]
    if doubled := sorted({key for key in given_keys if given_keys.count(key) > 1}):
        raise ConfigError(f"{path}: keys: {show_key(doubled[0])!r} is given twice; give one of them another key")
    taken = set(given_keys)
    return tuple(
        replace(action, keys=chosen.get(action.id, tuple(key for key in action.keys if key not in taken)))
        for action in actions
    )


def _keys(path: Path, name: str, value: object, actions: Sequence[Action]) -> tuple[str, ...]:
    from lineage.settings_text import nearest

    known: Mapping[str, Action] = {action.id: action for action in actions}
    if name not in known:
        raise ConfigError(f"{path}: keys.{name}: no such action; {nearest(name, known)}")
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and _is_key(key) for key in keys):
        raise ConfigError(f'{path}: keys.{name}: {value!r} is not a key or a list of keys; write {name} = "p"')
    return tuple(_key_id(key) for key in keys)


def _is_key(text: str) -> bool:
    return text.isprintable() and text.strip() != ""


def _key_id(key: str) -> str:
    """Return the name that the terminal library gives a key: `/` is slash."""
    names = {shown: name for name, shown in _NAMES.items()}
    return names.get(key, key)
