"""Every message that a thread sends to the app, or a widget to its screen."""

from textual.message import Message

from lineage.ask.frames import Frame, Happening


class FrameReady(Message):
    """A moment of the run has been read."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Only the newest frame counts."""
        return isinstance(message, FrameReady)


class ReadFailed(Message):
    """The run could not be read; `there` tells whether there is a run at all."""

    def __init__(self, text: str, *, there: bool) -> None:
        self.text = text
        self.there = there
        super().__init__()


class AgentChosen(Message):
    """A row was chosen: by the cursor, or with `entered` by Enter or a second click."""

    def __init__(self, agent_id: int, *, entered: bool = False) -> None:
        self.agent_id = agent_id
        self.entered = entered
        super().__init__()


class EventChosen(Message):
    """An event was entered."""

    def __init__(self, event: Happening) -> None:
        self.event = event
        super().__init__()


class SortChosen(Message):
    """The head of a column was clicked."""

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__()


class RoundChosen(Message):
    """A place in time was clicked; None is the newest round."""

    def __init__(self, round_index: int | None) -> None:
        self.round = round_index
        super().__init__()


class ActionChosen(Message):
    """An action was clicked in the header or the footer."""

    def __init__(self, action_id: str) -> None:
        self.action_id = action_id
        super().__init__()


class RunChosen(Message):
    """A run of the list was entered."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        super().__init__()


class Recomputed(Message):
    """A computation of ticks has got on, or come to an end."""
