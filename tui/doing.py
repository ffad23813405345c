"""What each action of tui/actions.py does to the app."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lineage.ask.frames import Happening
from tui import prompts
from tui.actions import SCREENS
from tui.control import SPEEDS
from tui.model import COLUMN_DIRECTION
from tui.screens.help import HelpScreen
from tui.screens.why import WhyScreen
from tui.theme import THEMES, Look
from tui.widgets.base import ListPane
from tui.widgets.lineage import LineageTree

if TYPE_CHECKING:
    from tui.app import ArenaApp

Do = Callable[["ArenaApp"], None]

SORTS: Final = ("equity", "id", "clan", "gen", "age", "damage", "draw", "win", "kids", "trades")
"""Columns that the sort key goes through; the palette of columns is wider, by mouse."""


def show_screen(app: "ArenaApp", name: str) -> None:
    """Switch to one of the six screens."""
    page = app.page()
    while page is not None and app.screen is not page:
        app.pop_screen()
    app.view.screen = name
    app.switch_mode(name)


def pause(app: "ArenaApp") -> None:
    """Pause, or go on; in time travel play the rounds, from the first one when there is none to come."""
    view = app.view
    if view.at is not None and app.frame is not None:
        view.playing = not view.playing
        if view.playing and view.at >= app.frame.newest:
            view.at = 0
    elif app.engine is not None:
        app.engine.send("play" if app.link.state == "paused" else "pause")


def step(app: "ArenaApp") -> None:
    """Play one round."""
    if app.engine is not None:
        app.engine.send("step")
        live(app)


def change_speed(app: "ArenaApp", steps: int) -> None:
    """Go to a faster or a slower speed."""
    if app.engine is None:
        return
    now = app.link.speed or math.inf
    nearest = min(range(len(SPEEDS)), key=lambda index: abs(math.log(min(SPEEDS[index] or 1e9, 1e9) / min(now, 1e9))))
    speed = SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + steps))]
    app.engine.send(f"speed {speed:g}")
    app.view.notice = f"speed: {f'{speed:g} rounds a second' if speed else 'as fast as it goes'}"


def stop(app: "ArenaApp") -> None:
    """Stop the engine with a checkpoint; the app stays."""
    if app.engine is not None:
        app.engine.send("stop")
        app.view.notice = "the engine stops after this round, with a checkpoint"


def travel(app: "ArenaApp") -> None:
    """Switch time travel on or off."""
    if app.frame is not None:
        app.view.at, app.view.playing = None if app.view.at is not None else app.frame.round, False


def move_in_time(app: "ArenaApp", rounds: int) -> None:
    """Go some rounds back or on."""
    if app.frame is not None and app.view.at is not None:
        app.view.playing = False
        app.view.at = max(0, min(app.frame.newest, app.view.at + rounds))


def live(app: "ArenaApp") -> None:
    """Return to the newest round."""
    app.view.at, app.view.playing = None, False


def sort_by(app: "ArenaApp", column: str) -> None:
    """Sort by a column; once more turns it round."""
    view = app.view
    view.descending = not view.descending if view.sort == column else COLUMN_DIRECTION.get(column, True)
    view.sort = column


def sort_next(app: "ArenaApp") -> None:
    """Sort by the next column."""
    place = SORTS.index(app.view.sort) if app.view.sort in SORTS else -1
    sort_by(app, SORTS[(place + 1) % len(SORTS)])


def reverse(app: "ArenaApp") -> None:
    """Turn the order round."""
    app.view.descending = not app.view.descending


def follow(app: "ArenaApp") -> None:
    """Pin the cursor to the selected agent, or let it go."""
    view = app.view
    view.followed = None if view.followed is not None else view.selected
    view.notice = f"following #{view.followed} and its heirs" if view.followed else "following nobody"


def explain(app: "ArenaApp", event: Happening) -> None:
    """Open the chain of causes of an event."""
    situation = replace(app.situation(), under=event.kind)
    if reason := next(action for action in app.actions if action.id == "why").blocked(situation):
        app.notify_person(reason)
    else:
        app.push_screen(WhyScreen(event))


def why(app: "ArenaApp") -> None:
    """Explain the event under the cursor, or the last thing that happened to the selected agent."""
    from tui.widgets.events import EventList

    focused, frame = app.focused, app.frame
    if isinstance(focused, EventList) and focused.current is not None:
        explain(app, focused.current)
        return
    if frame is None:
        return
    listed = (
        frame.dossier.events[::-1] if frame.dossier and frame.dossier.agent_id == app.view.selected else frame.events
    )
    mine = [one for one in listed if one.agent_id == app.view.selected and one.kind in ("death", "scar", "birth")]
    if mine:
        explain(app, mine[0])
    else:
        app.view.notice = f"nothing happened to #{app.view.selected} lately; open it (enter) to see its whole life"


def recompute(app: "ArenaApp") -> None:
    """Compute the ticks of the round that is shown."""
    if app.frame is not None:
        app.view.at, app.view.playing = app.frame.round, False  # stay on it
        app.recomputer.start(app.directory, app.frame.round)


def to_parent(app: "ArenaApp") -> None:
    """Select the parent."""
    if app.frame is not None and app.view.selected is not None:
        parent = int(app.frame.people.parent[app.view.selected - 1])
        if parent < 0:
            app.view.notice = f"#{app.view.selected} is a founder: nobody came before"
        else:
            app.view.select(parent + 1)


def to_heir(app: "ArenaApp") -> None:
    """Select the eldest child, or from the eldest on the next sibling's turn at the second press."""
    if app.frame is not None and app.view.selected is not None:
        children = app.frame.people.children(app.view.selected - 1, app.frame.round)
        if not len(children):
            app.view.notice = f"#{app.view.selected} has no children"
            return
        alive = app.frame.people.alive_at(app.frame.round)
        living = [int(child) for child in children if alive[child]]
        app.view.select((living or [int(child) for child in children])[0] + 1)


def mark(app: "ArenaApp") -> None:
    """Mark the selected agent or run, or take its mark away; a third mark pushes out the first."""
    page = app.page()
    if page is not None and app.view.screen == "runs":
        from tui.screens.runs import RunList

        page.query_one(RunList).mark()
        return
    if app.view.selected is None:
        app.view.notice = "nobody is selected"
        return
    marks = tuple(one for one in app.view.marks if one != app.view.selected)
    if len(marks) == len(app.view.marks):
        marks = (*marks, app.view.selected)[-2:]
    app.view.marks = marks
    if len(marks) == 2 and app.frame is not None:
        common = app.frame.people.mrca(marks[0] - 1, marks[1] - 1)
        app.view.notice = f"#{marks[0]} and #{marks[1]}: " + (
            f"most recent common ancestor #{common + 1}" if common is not None else "no common ancestor: two clans"
        )


def whole(app: "ArenaApp") -> None:
    """List all agents, or living lines only."""
    app.view.whole_tree = not app.view.whole_tree


def fold(app: "ArenaApp") -> None:
    """Fold the line under the cursor."""
    for tree in app.screen.query(LineageTree):
        tree.fold()


def log_scale(app: "ArenaApp") -> None:
    """Switch logarithmic values."""
    app.view.log_scale = not app.view.log_scale


def market_next(app: "ArenaApp") -> None:
    """Show the next market."""
    if app.frame is not None:
        app.view.market = (app.view.market + 1) % app.frame.info.config.arena.markets


def theme_next(app: "ArenaApp") -> None:
    """Show the next theme."""
    theme = THEMES[(THEMES.index(app.look.theme) + 1) % len(THEMES)]
    app.apply_look(Look(theme, app.look.symbols))
    app.view.notice = f"theme {theme}"


def picture(app: "ArenaApp") -> None:
    """Save the screen as an SVG file in the current directory."""
    try:
        path = app.save_screenshot(path=str(Path.cwd()))
    except OSError as error:
        app.view.notice = f"the picture could not be saved: {error.strerror}"
    else:
        app.view.notice = f"saved {path}"


def _list(app: "ArenaApp") -> ListPane | None:
    """Return the list that the movement keys move: the focused one, or the first that can be seen."""
    if isinstance(app.focused, ListPane):
        return app.focused
    seen = [pane for pane in app.screen.query(ListPane) if pane.is_on_screen]
    return seen[0] if seen else None


def move(app: "ArenaApp", lines: int) -> None:
    """Move the cursor of the list."""
    if pane := _list(app):
        pane.move(lines)


def move_page(app: "ArenaApp", pages: int) -> None:
    """Move the cursor by a page."""
    if pane := _list(app):
        pane.move(pages * pane.page)


def enter(app: "ArenaApp") -> None:
    """Open what is under the cursor."""
    if pane := _list(app):
        pane.entered()


def back(app: "ArenaApp") -> None:
    """Close the dialogue or the prompt; else take back one thing."""
    view, page = app.view, app.page()
    if page is not None and app.screen is not page:
        app.pop_screen()
    elif page is not None and page.close_prompt():
        pass
    elif view.notice:
        view.notice = ""
    elif view.at is not None:
        live(app)
    elif view.followed is not None:
        view.followed = None
    elif view.marks:
        view.marks = ()
    elif view.filter_text:
        view.filter_text, view.filter = "", ()


def open_other(app: "ArenaApp", directory: Path) -> None:
    """Watch another run; an engine of this app goes on with its own."""
    live(app)
    app.view.selected, app.view.followed, app.view.marks = None, None, ()
    app.open_run(directory)
    show_screen(app, "arena")


def show_help(app: "ArenaApp") -> None:
    """Open the help."""
    if not isinstance(app.screen, HelpScreen):
        app.push_screen(HelpScreen())


def leave(app: "ArenaApp") -> None:
    """Quit."""
    app.exit(0)


def next_pane(app: "ArenaApp") -> None:
    """Focus the next pane."""
    app.screen.focus_next(ListPane)


DO: Final[dict[str, Do]] = {
    **{f"show_{name}": partial(show_screen, name=name) for name in SCREENS},
    "pause": pause, "step": step, "stop": stop, "travel": travel, "live": live,
    "faster": partial(change_speed, steps=1), "slower": partial(change_speed, steps=-1),
    "earlier": partial(move_in_time, rounds=-1), "later": partial(move_in_time, rounds=1),
    "much_earlier": partial(move_in_time, rounds=-10), "much_later": partial(move_in_time, rounds=10),
    "filter": prompts.open_filter, "sort": sort_next, "reverse": reverse, "follow": follow, "inspect": enter,
    "why": why, "recompute": recompute,
    "parent": to_parent, "heir": to_heir, "mark": mark, "whole": whole, "fold": fold, "log": log_scale,
    "market_next": market_next, "go": prompts.open_go, "theme": theme_next, "picture": picture,
    "up": partial(move, lines=-1), "down": partial(move, lines=1),
    "page_up": partial(move_page, pages=-1), "page_down": partial(move_page, pages=1),
    "top": partial(move, lines=-(2**40)), "bottom": partial(move, lines=2**40), "pane": next_pane, "back": back,
    "help": show_help, "palette": lambda app: app.action_command_palette(), "quit": leave,
}  # fmt: skip
"""{action: what it does}; every action of the table is here: tests/test_tui_keys.py."""
