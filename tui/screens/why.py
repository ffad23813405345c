"""What `w` opens: the chain of causes of an event; what is not recorded is computed again meanwhile."""

import textwrap
from typing import Final

from rich.text import Text
from textual.widgets import Static

from lineage.ask.frames import Frame, Happening
from lineage.ask.trace import Trace
from lineage.ask.why import Step, explain
from tui import paint
from tui.screens.dialogue import Dialogue
from tui.theme import Look
from tui.words import describe

_SOURCES: Final = {
    "ledger": ("sealed in the ledger", "birth"), "rounds": ("recorded, sealed by the round", "birth"),
    "recomputed": ("recomputed", "accent"), "missing": ("not recorded", "warn"),
}  # fmt: skip


class WhyScreen(Dialogue):
    """The links of the chain, from the effect to where it began."""

    def __init__(self, event: Happening) -> None:
        super().__init__("Why")
        self._event = event
        self._drawn: tuple[object, ...] = ()

    def on_mount(self) -> None:
        """Ask for the agent's life and for the round's ticks."""
        self.arena.view.dossier_of = self._event.agent_id
        if self._event.kind in ("death", "scar"):
            self.arena.recomputer.start(self.arena.directory, self._event.round)
        self.set_interval(0.2, self.update_chain)
        self.update_chain()

    def on_unmount(self) -> None:
        """Give up what nobody waits for."""
        self.arena.view.dossier_of = None
        if self.arena.recomputer.progress:
            self.arena.recomputer.cancel()

    def update_chain(self) -> None:
        """Show the chain as far as it is known."""
        app, frame = self.arena, self.arena.frame
        if not self.query("#words"):
            return  # closed before it was there
        trace = app.recomputer.get(app.directory, self._event.round)
        state, width = (app.recomputer.progress, app.recomputer.failure), self.query_one("#box").size.width - 2
        drawn = (state, trace is not None, frame and frame.dossier, app.look, width)
        if drawn == self._drawn or frame is None:
            return
        self._drawn = drawn
        words = chain_text(self._event, frame, trace, state, app.look, width)
        self.query_one("#words", Static).update(words)


def chain_text(
    event: Happening, frame: Frame, trace: Trace | None, state: tuple[str, str], look: Look, width: int
) -> Text:
    """Return the chain as text of a width; state: what is being computed, and why it failed."""
    glyph, role, sentence = describe(event, frame.people, look.symbols)
    text = Text()
    text.append(f"{glyph} {sentence}\n", look.bold(role))
    dossier = frame.dossier
    if dossier is None or dossier.agent_id != event.agent_id:
        text.append("reading its life\n", look["dim"])
        return text
    for number, step in enumerate(explain(event, dossier, frame.info, frame.people, trace), 1):
        _append(text, number, step, state, look, width)
    return text


def _append(text: Text, number: int, step: Step, state: tuple[str, str], look: Look, width: int) -> None:
    words, role = _SOURCES[step.source]
    text.append(f"\n{number} {step.title}", look.bold("accent"))
    text.append(f"  {words}\n", look[role])
    for line in step.lines:
        for row in textwrap.wrap(paint.clean(line), max(10, width - 3), subsequent_indent="    "):
            text.append(f"  {row}\n", look["text"])
    if step.source == "missing" and any(state):
        text.append(f"  {paint.clean(state[0] or state[1])}\n", look.bold("warn"))
