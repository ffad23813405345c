"""What can be typed: a filter, or where to go; judged while it is typed, taken when it can be read."""

import re
from typing import TYPE_CHECKING, Final

from tui.predicates import FilterError, parse

if TYPE_CHECKING:
    from tui.app import ArenaApp

_GO: Final = re.compile(r"\s*(#?)\s*([0-9]{1,12})\s*")


def open_filter(app: "ArenaApp") -> None:
    """Open the prompt for a filter."""
    if page := app.page():
        page.ask("filter: gen>2 scars>=3 clan:kestrel pnl<0", app.view.filter_text)
        app.prompt_for = "filter"


def open_go(app: "ArenaApp") -> None:
    """Open the prompt for a round or an agent."""
    if page := app.page():
        page.ask("go to: round 120, or agent #45", "")
        app.prompt_for = "go"


def judge(app: "ArenaApp", text: str) -> str:
    """Return what is wrong with a text, "" when it can be taken."""
    if app.prompt_for == "filter":
        try:
            parse(text)
        except FilterError as error:
            return str(error)
        return ""
    match = _GO.fullmatch(text)
    frame = app.frame
    if not text.strip() or frame is None:
        return ""
    if match is None:
        return f"{text!r} is neither a round nor an agent; write 120 or #45"
    number, born = int(match[2]), len(frame.people)
    if match[1] and not 1 <= number <= born:
        return f"#{number}: agents are #1 to #{born} so far"
    if not match[1] and number > frame.newest:
        return f"{number}: the newest round is {frame.newest}"
    return ""


def take(app: "ArenaApp", text: str) -> None:
    """Carry out a text that was judged to be right."""
    if app.prompt_for == "filter":
        app.view.filter_text, app.view.filter = " ".join(text.split()), parse(text)
        return
    match = _GO.fullmatch(text)
    if match is not None and match[1]:
        app.view.select(int(match[2]))
    elif match is not None:
        app.view.at = int(match[2])
