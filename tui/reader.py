"""The thread that reads the run: never the event loop. It is asked, reads what is newest, and answers once."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from arena.errors import ArenaError
from lineage.ask.archive import Archive, Wish
from lineage.ask.frames import Frame
from lineage.record.store import FILE_NAME

OnFrame = Callable[[Frame], object]
OnFailure = Callable[[str, bool], object]


class Reading(Protocol):
    """Whoever answers wishes with frames."""

    busy: bool  # the last wish is still being worked on

    def ask(self, wish: Wish) -> None:
        """Ask for a moment."""

    def close(self) -> None:
        """Answer no more."""


OpenReader = Callable[[Path, OnFrame, OnFailure], Reading]


def silent_seconds(directory: Path) -> float:
    """Return for how long nobody has written a run, 0 where there is none: who was killed could not say so in it."""
    written = []
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        with suppress(OSError):
            written.append((directory / name).stat().st_mtime)
    return max(0.0, time.time() - max(written)) if written else 0.0


class Reader:
    """One thread, one connection; `ask` wakes it, and only the last wish counts."""

    def __init__(self, directory: Path, on_frame: OnFrame, on_failure: OnFailure) -> None:
        """Begin to listen; the callbacks come from the thread: (frame), or (what went wrong, is there a run)."""
        self._directory = directory
        self._on_frame, self._on_failure = on_frame, on_failure
        self._wish = Wish()
        self._wake = threading.Event()
        self._ended = False
        self.busy = False
        self._thread = threading.Thread(target=self._listen, name="reader", daemon=True)
        self._thread.start()

    def ask(self, wish: Wish) -> None:
        """Ask for a moment; nothing comes back when nothing is new and the wish is the same as before."""
        self._wish = wish
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wake.set()
        self._thread.join(timeout=2.0)

    def _listen(self) -> None:
        archive: Archive | None = None
        lost = ""  # what happened to a file that was there once; said until there is one again
        shown: tuple[Wish, int, int, bool] | None = None
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._ended:
                break
            self.busy = True
            try:
                if archive is None:
                    shown = None
                    archive = Archive(self._directory)
                    lost = ""
                wish = self._wish
                archive.refresh()
                moment = (wish, archive.newest, archive.loaded, archive.closed)
                if moment != shown:
                    shown = moment
                    self._on_frame(archive.frame(wish))
                    if archive.loaded < archive.newest:
                        self._wake.set()  # a long run is opened in steps
            except ArenaError as error:
                there = (self._directory / FILE_NAME).exists()
                if archive is not None:
                    archive.close()
                    archive, lost = None, str(error)
                self._on_failure(str(error) if there else lost or str(error), there)
            finally:
                self.busy = False
        if archive is not None:
            with suppress(ArenaError):
                archive.close()
