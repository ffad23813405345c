"""The engine's side of the command channel: pause, single step, speed and stop, between two rounds.

Commands come as lines on one pipe, reports leave as lines of JSON on another; both belong to the program that
started the engine. When its end of the first pipe closes, the engine stops with a checkpoint: it survives nobody.
Nothing of this enters the history: a round is the same whether somebody waited before it or not.

    commands    pause · play · step [N] · speed R (rounds a second, 0: as fast as it goes) · stop
    reports     {"state", "round", "rounds", "speed", "steps", "updates", "phase_seconds", "at"} or {"refused"}
"""

import contextlib
import json
import math
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lineage.engine import Engine

MAX_SPEED: Final = 1_000.0
MAX_STEPS: Final = 1_000_000
MAX_LINE: Final = 200  # bytes of a command
_REPORT_EVERY: Final = 0.2  # seconds
_LOOK_UP: Final = 0.5  # seconds until a paused engine looks whether it was asked to stop by a signal


@dataclass(slots=True)
class Orders:
    """What the commands so far add up to."""

    paused: bool = False
    stopping: bool = False
    speed: float = 0.0  # rounds a second, 0: as fast as it goes
    steps: int = 0  # rounds to play although paused

    def obey(self, line: str) -> str:
        """Carry out one command; return why it was refused, "" when it was not."""
        word, _, value = line.strip().partition(" ")
        if word == "pause":
            self.paused, self.steps = True, 0
        elif word == "play":
            self.paused, self.steps = False, 0
        elif word == "step" and (not value or (value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_STEPS)):
            self.paused, self.steps = True, self.steps + int(value or 1)
        elif word == "speed" and (speed := _number(value)) is not None:
            self.speed = speed
        elif word == "stop":
            self.stopping = True
        else:
            return f"unknown command {line[:40]!r}; known: pause, play, step [N], speed R, stop"
        return ""

    @property
    def state(self) -> str:
        """Return what the engine does between two rounds."""
        return "stopping" if self.stopping else "paused" if self.paused and not self.steps else "playing"


def _number(text: str) -> float | None:
    """Return a speed from 0 to MAX_SPEED, None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0.0 <= value <= MAX_SPEED else None


class Control:
    """Reads commands from one file descriptor and writes reports to another, without ever waiting for a reader."""

    def __init__(self, commands: int, reports: int, orders: Orders | None = None) -> None:
        """Take over two pipes; the second is written without blocking."""
        self.orders = orders or Orders()
        self._commands, self._reports = commands, reports
        self._buffer = b""
        self._due = 0.0  # when the next round may begin
        self._reported = ("", 0.0)
        os.set_blocking(reports, False)

    def gate(self, engine: "Engine", asked: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the next round may begin; True when the engine is to stop instead."""
        timeout = 0.0
        while True:
            self._listen(timeout)
            orders = self.orders
            orders.stopping = orders.stopping or asked()
            self._report(engine)
            if orders.stopping:
                return True
            if orders.steps > 0:
                orders.steps -= 1
                return False
            timeout = _LOOK_UP
            if not orders.paused:
                now = time.monotonic()
                if orders.speed <= 0.0 or now >= self._due:
                    self._due = max(self._due, now - 1.0) + (1.0 / orders.speed if orders.speed > 0.0 else 0.0)
                    return False
                timeout = min(_LOOK_UP, self._due - now)

    def _listen(self, timeout: float) -> None:
        """Obey what arrived within `timeout` seconds; the other end gone means stop."""
        ready, _, _ = select.select([self._commands], [], [], timeout)
        if not ready:
            return
        data = os.read(self._commands, 4096)
        if not data:
            self.orders.stopping = True
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._buffer = self._buffer[-MAX_LINE:]
        for line in lines:
            refused = self.orders.obey(line[:MAX_LINE].decode("utf-8", "replace"))
            if refused:
                self._send({"refused": refused})
        self._due = min(self._due, time.monotonic())
        self._reported = ("", 0.0)

    def _report(self, engine: "Engine") -> None:
        """Say where the engine is, some times a second and whenever its state changes."""
        state, now = self.orders.state, time.monotonic()
        if state == self._reported[0] and now - self._reported[1] < _REPORT_EVERY:
            return
        self._reported = (state, now)
        world = engine.world
        self._send(
            {
                "state": state,
                "round": engine.rounds_done,
                "rounds": engine.rounds_total,
                "speed": self.orders.speed,
                "steps": world.counts["agent_steps"],
                "updates": world.counts["updates"],
                "phase_seconds": world.phase_seconds,
                "at": now,
            }
        )

    def _send(self, report: dict[str, object]) -> None:
        """Write one line; dropped when nobody reads fast enough, or nobody reads any more."""
        line = json.dumps(report).encode() + b"\n"
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            if len(line) <= select.PIPE_BUF:  # such a write is all or nothing
                os.write(self._reports, line)
