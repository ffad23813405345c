"""Checkpoints to keep elsewhere: how many events a history had, and the root over them. Two spellings, one meaning.

    one line      lineage-arena/RUN SIZE ROOT      root in hex; what a run prints, easy to paste
    three lines   lineage-arena/RUN                the C2SP form (c2sp.org/tlog-checkpoint): origin,
                  SIZE                             number of leaves, root in base64, each line with its
                  ROOT                             newline; logs, witnesses and monitors read it

A signed C2SP note has signatures after an empty line; they are passed over here: whoever has the signer's key checks
them with the signer's tool.
"""

import base64
import re
from pathlib import Path
from typing import Final, NamedTuple

from arena.errors import ConfigError

LOG: Final = "lineage-arena"
"""First part of every origin; the second is the run."""

_LINE: Final = re.compile(rf"{LOG}/([0-9a-f]{{16}}) (0|[1-9][0-9]{{0,17}}) ([0-9a-f]{{64}})")
_NOTE: Final = re.compile(
    rf"{LOG}/([0-9a-f]{{16}})\n(0|[1-9][0-9]{{0,17}})\n([A-Za-z0-9+/]{{43}}=)\n?(?:\n(?:\u2014 [^\n]+\n?)*)?"
)
_LARGEST: Final = 4096


class Checkpoint(NamedTuple):
    """The state of a history that somebody kept."""

    run_id: str  # 16 hex digits
    size: int  # number of events
    root: str  # hex, over the leaves of all of them

    @property
    def line(self) -> str:
        """Return the one-line form, without a newline."""
        return f"{LOG}/{self.run_id} {self.size} {self.root}"

    @property
    def note(self) -> str:
        """Return the C2SP form: three lines, each with its newline."""
        return f"{LOG}/{self.run_id}\n{self.size}\n{base64.b64encode(bytes.fromhex(self.root)).decode()}\n"


def parse_checkpoint(text: str, place: str = "checkpoint") -> Checkpoint:
    """Return a checkpoint from either form. Raises ConfigError when it is neither, to the letter."""
    text = text.strip(" \t\r\n").replace("\r\n", "\n")
    if match := _LINE.fullmatch(text):
        return Checkpoint(match[1], int(match[2]), match[3])
    if match := _NOTE.fullmatch(text):
        root = base64.b64decode(match[3])
        if base64.b64encode(root).decode() == match[3]:  # the last character has two bits that mean nothing
            return Checkpoint(match[1], int(match[2]), root.hex())
    raise ConfigError(
        f"{place} {text[:100]!r}: not of the form '{LOG}/RUN EVENTS ROOT', nor three lines of that; "
        "copy the whole line that the run printed"
    )


def given_checkpoint(value: str, place: str = "--checkpoint") -> Checkpoint:
    """Return a checkpoint given on a command line: itself in either form, or a file that holds one.

    Raises ConfigError.
    """
    if value.lstrip().startswith(f"{LOG}/"):
        return parse_checkpoint(value, place)
    path = Path(value)
    try:
        if not path.is_file():
            return parse_checkpoint(value, place)
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) <= _LARGEST:
            return parse_checkpoint(data.decode(), f"{place} {value}:")
    except (OSError, ValueError):  # not readable, a null byte in its name, not text
        return parse_checkpoint(value, place)
    raise ConfigError(f"{place} {value[:100]!r}: more than {_LARGEST} bytes; a checkpoint has three lines")
