"""What `?` opens: the keys of this screen, and what the glyphs mean."""

from rich.text import Text

from tui.actions import Action, of_screen, show_key
from tui.model import View
from tui.screens.dialogue import Dialogue
from tui.theme import Look


class HelpScreen(Dialogue):
    """A list over the screen."""

    def __init__(self) -> None:
        super().__init__("Help")

    def words(self) -> Text:
        """Return keys and legend."""
        return help_text(self.arena.actions, self.arena.view, self.look)


def help_text(actions: tuple[Action, ...], view: View, look: Look) -> Text:
    """Return keys by group, then the legend."""
    text, group = Text(), ""
    for action in of_screen(actions, view.screen):
        if action.group != group:
            group = action.group
            text.append(f"{group}\n", look.bold("accent"))
        keys = " ".join(map(show_key, action.keys)) or "(no key)"
        text.append(f"  {keys:<14}", look.bold("text"))
        text.append(f"{action.help}\n", look["text"])
    symbols = look.symbols
    text.append("What the glyphs mean\n", look.bold("accent"))
    legend = (
        (symbols.alive, "birth", "trades real money"), (symbols.paper, "paper", "apprentice: trades on paper"),
        (symbols.dead, "death", "dead"), (symbols.scar, "scar", "a scar; in the table one for 20 points of damage"),
        (symbols.born, "birth", "a birth"), (symbols.grown, "accent", "a graduation, an arrival"),
        (symbols.alarm, "warn", "an alarm of a mind's vital signs"), (symbols.up, "gain", "a gain"),
        (symbols.down, "loss", "a loss"), (symbols.follow, "accent", "followed"), (symbols.mark, "warn", "marked"),
        (symbols.more, "dim", "a run of agents in one line"),
    )  # fmt: skip
    for glyph, role, meaning in legend:
        text.append(f"  {glyph:<14}", look[role])
        text.append(f"{meaning}\n", look["text"])
    return text
