"""A pseudo-terminal for `bench tui`: starts the measured app, types into it, and notes when what it says arrives."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

from arena.errors import EnvironmentFault
from tui import packages
from tui.bench_app import MARK

COLUMNS, LINES = 120, 40
PATIENCE_SECONDS: Final = 60.0


def environment() -> dict[str, str]:
    """Return the environment in which our own modules are found and colours are drawn."""
    return packages.environment() | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


class Heard:
    """What the app says between everything that it paints, with the time of arrival."""

    def __init__(self) -> None:
        self.said: deque[tuple[float, str]] = deque()
        self.tail = b""  # the last bytes: the beginning of a mark, or of use in a message

    def take(self, data: bytes, now: float) -> bool:
        """Take some bytes in; True when something was said."""
        *told, rest = (self.tail + data).split(MARK)
        words = [word.partition(b"\x07") for word in (*told, rest)][1:]  # before the first mark: not said
        whole = [word.decode("ascii", "replace") for word, bell, _ in words if bell]
        unfinished = bool(words) and not words[-1][1]
        self.tail = MARK + rest if unfinished else (words[-1][2] if words else rest)[-4000:]
        self.said.extend((now, word) for word in whole)
        return bool(whole)


class Terminal:
    """One run of the measured app."""

    def __init__(self, words: list[str]) -> None:
        """Start `python -m tui.bench_app WORDS` and read everything that it writes."""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tui.bench_app", *words], stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment(), start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.bytes_read = self._pressed = 0
        self._heard, self._arrived = Heard(), threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """Read until the app is gone; note what it says, and when."""
        with suppress(OSError):
            while data := os.read(self._ours, 65536):
                now = time.perf_counter()
                self.bytes_read += len(data)
                with self._arrived:
                    if self._heard.take(data, now):
                        self._arrived.notify_all()

    def wait_for(self, word: str, seconds: float = PATIENCE_SECONDS) -> float | None:
        """Return when a word arrived, None when it did not in time. Raises EnvironmentFault when the app is gone."""
        end = time.perf_counter() + seconds
        with self._arrived:
            while True:
                while self._heard.said:
                    at, said = self._heard.said.popleft()
                    if said == word:
                        return at
                if self.process.poll() is not None:
                    raise EnvironmentFault(f"bench tui: the measured app left: {self.last_words()}")
                if not self._arrived.wait(min(0.5, max(0.0, end - time.perf_counter()))) and time.perf_counter() >= end:
                    return None

    def press(self, keys: bytes, seconds: float) -> float:
        """Type a key; return the seconds until its effect was written, `seconds` when that took longer."""
        self._pressed += 1
        began = time.perf_counter()
        os.write(self._ours, keys)
        at = self.wait_for(f"seen {self._pressed}", seconds)
        return seconds if at is None else at - began

    def turn(self) -> None:
        """Start the app's stop-watch, or stop it."""
        self.process.send_signal(signal.SIGUSR1)

    def last_words(self) -> str:
        """Return the end of what was written, for a message."""
        return self._heard.tail.decode("utf-8", "replace")[-300:]

    def close(self) -> None:
        """End the app and wait for it; kill it when it does not end."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._thread.join(timeout=5.0)
        os.close(self._ours)
