"""The list of what happened, newest first."""

from lineage.ask.frames import Happening
from tui import paint
from tui.messages import EventChosen
from tui.paint import Part
from tui.widgets.base import ListPane
from tui.words import describe


class EventList(ListPane):
    """Events of the run, or of one agent; Enter explains one."""

    def __init__(self, *, id: str | None = None, own: bool = False) -> None:  # noqa: A002 - Textual's name
        """`own`: only those of the agent whose dossier is shown."""
        super().__init__(id=id)
        self._own = own
        self._listed: tuple[Happening, ...] = ()
        self._held: int | None = None  # event_id under the cursor, None while the newest is

    def prepare(self) -> None:
        """List the events, the cursor where it was: on its event, or on the newest."""
        frame = self.frame
        if frame is None:
            self._listed = ()
        elif self._own:
            self._listed = tuple(reversed(frame.dossier.events)) if frame.dossier else ()
        else:
            self._listed = frame.events
        if self._held is not None:
            places = [index for index, one in enumerate(self._listed) if one.event_id == self._held]
            self.cursor = places[0] if places else 0
            self._held = self._held if places else None
        self.resized()
        self.head("Life" if self._own else "Events")

    @property
    def listed(self) -> tuple[Happening, ...]:
        """Return the events that are listed."""
        return self._listed

    @property
    def current(self) -> Happening | None:
        """Return the event under the cursor."""
        return self._listed[self.cursor] if self._listed else None

    def marks_cursor(self) -> bool:
        """Show the cursor only where it is used."""
        return self.has_focus

    def count(self) -> int:
        """Return how many events there are."""
        return len(self._listed)

    def entry(self, index: int, width: int) -> list[Part]:
        """Return one event in words."""
        frame, look = self.frame, self.look
        if frame is None:
            return []
        event = self._listed[index]
        glyph, role, text = describe(event, frame.people, self.symbols)
        fresh = event.round >= frame.round and role in ("birth", "death")
        style = look.bold(role) if fresh else look[role]
        body = look[role] if role in ("death", "birth") else look["text" if role != "dim" else "dim"]
        return [
            (f"{event.round:>5} ", look["faint"]),
            (f"{glyph} ", style),
            (paint.fit(text, max(0, width - 8), self.symbols), body),
        ]

    def moved(self) -> None:
        """Stay on this event when others arrive, unless it is the newest; follow its agent."""
        event = self.current
        self._held = event.event_id if event and self.cursor else None
        if event and event.agent_id:
            self.choose(event.agent_id)

    def entered(self) -> None:
        """Explain the event."""
        if event := self.current:
            self.post_message(EventChosen(event))
