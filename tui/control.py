"""The app's side of an engine that it started: a process of its own, commands to it, reports from it."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Protocol

from tui.diagnostics import one_line
from tui.model import Link
from tui.packages import environment

SPEEDS: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 0.0)
"""Rounds a second that the speed keys go through; 0 is as fast as it goes."""

_SMOOTHING = 0.3


class Playing(Protocol):
    """An engine that takes commands and says how it is."""

    def send(self, command: str) -> None:
        """Send one command line."""

    def poll(self) -> Link:
        """Return what is known of the engine now."""


class EngineProcess:
    """A `run` or `resume` in a process of its own; it stops with a checkpoint when this object lets go of it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start `lineage-arena ARGUMENTS --control`."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "tui.cli", *arguments, "--control"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in this terminal is ours to handle
            env=environment(),
        )  # fmt: skip
        self.link = Link("starting")
        self._words: list[str] = []
        self._last: dict[str, float] = {}
        pipes = ((self._process.stdout, self._hear), (self._process.stderr, self._note))
        self._threads = [threading.Thread(target=work, args=(pipe,), daemon=True) for pipe, work in pipes]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def send(self, command: str) -> None:
        """Send one command line; an engine that is gone hears nothing."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(OSError, ValueError):
                pipe.write(f"{command}\n".encode())
                pipe.flush()

    def poll(self) -> Link:
        """Return what is known of the engine now."""
        code = self._process.poll()
        if code is not None and self.link.state not in ("ended", "gone"):
            for thread in self._threads:
                thread.join(timeout=1.0)
            fine = code in (0, 130)  # finished; stopped with a checkpoint
            words = self._words[-1] if self._words else f"the engine left with exit code {code}"
            self.link = replace(self.link, state="ended" if fine else "gone", message="" if fine else words)
        return self.link

    def stop(self, timeout: float) -> int | None:
        """Ask for a stop with checkpoint and wait; None when it does not come to an end in time."""
        self.send("stop")
        self._hang_up()
        try:
            code: int | None = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self.poll()
        return code

    def kill(self) -> None:
        """End it without asking; what it has recorded stays."""
        self._hang_up()
        self._process.kill()
        self._process.wait()

    def _hang_up(self) -> None:
        """Close our end of the commands."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _note(self, pipe: IO[bytes]) -> None:
        """Keep the engine's last words."""
        for line in pipe:
            self._words = [*self._words[-9:], one_line(line.decode("utf-8", "replace"))]
        pipe.close()

    def _hear(self, pipe: IO[bytes]) -> None:
        """Turn reports into the link, speeds smoothed."""
        for line in pipe:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                report = json.loads(line)
                if "state" in report:
                    self._take(report)
        pipe.close()

    def _take(self, report: dict[str, object]) -> None:
        counts = {name: float(str(report[name])) for name in ("round", "steps", "updates", "at")}
        rates = {name: getattr(self.link, f"{key}_per_s") for name, key in _RATES.items()}
        if self._last and report["state"] == "playing":
            span = counts["at"] - self._last["at"]
            for name in _RATES:
                if span > 0.05:
                    rate, old = (counts[name] - self._last[name]) / span, rates[name]
                    rates[name] = rate if old != old else old + _SMOOTHING * (rate - old)
        self._last = counts
        phases = report["phase_seconds"]
        self.link = replace(
            self.link,
            state=str(report["state"]),
            round=int(counts["round"]),
            speed=float(str(report["speed"])),
            phase_seconds={str(key): float(value) for key, value in phases.items()} if isinstance(phases, dict) else {},
            **{f"{key}_per_s": rates[name] for name, key in _RATES.items()},
        )


_RATES = {"round": "rounds", "steps": "steps", "updates": "updates"}
