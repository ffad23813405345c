"""Rounds computed again for the screens: a process each, one at a time, cancellable, the last ones kept."""

import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from arena.errors import ArenaError
from lineage.ask.trace import Trace, read_trace
from tui.diagnostics import one_line
from tui.packages import environment

KEPT = 6
"""Rounds that stay in memory."""


class Recomputer:
    """Starts `lineage.ask.retrace` and keeps what it found; every callback comes from a thread."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        """`on_change` is called when there is progress, a result or a failure."""
        self._on_change = on_change
        self._found: OrderedDict[tuple[Path, int], Trace] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.wanted: tuple[Path, int] | None = None
        self.progress = ""  # what is being done, "" when nothing is
        self.failure = ""  # why the last one failed

    def get(self, directory: Path, round_index: int) -> Trace | None:
        """Return a round that was computed before."""
        return self._found.get((directory, round_index))

    def start(self, directory: Path, round_index: int) -> None:
        """Compute a round, unless that is done or under way; another one under way is given up."""
        wanted = (directory, round_index)
        if wanted in self._found or (wanted == self.wanted and self.progress):
            return
        self.cancel()
        with self._lock:
            self.wanted, self.failure = wanted, ""
            self.progress = f"recomputing round {round_index}: loading the engine"
        threading.Thread(target=self._work, args=wanted, daemon=True).start()

    def cancel(self) -> None:
        """Give up what is under way."""
        with self._lock:
            self.wanted, self.progress = None, ""
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _work(self, directory: Path, round_index: int) -> None:
        with tempfile.TemporaryDirectory(prefix="lineage-arena-") as folder:
            target = Path(folder) / "trace"
            command = [  # our own interpreter and module
                sys.executable,
                "-m",
                "lineage.ask.retrace",
                str(directory.resolve()),
                str(round_index),
                str(target),
            ]
            process = subprocess.Popen(  # noqa: S603
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                env=environment(), start_new_session=True,
            )  # fmt: skip
            with self._lock:
                if self.wanted != (directory, round_index):
                    process.kill()
                self._process = process
            words = self._listen(process, round_index)
            if self.wanted != (directory, round_index):
                return
            try:
                if process.returncode != 0:
                    self.failure = words or f"the computation left with exit code {process.returncode}"
                else:
                    self._found[(directory, round_index)] = read_trace(target)
                    while len(self._found) > KEPT:
                        self._found.popitem(last=False)
            except ArenaError as error:
                self.failure = str(error)
            self.progress = ""
            self._on_change()

    def _listen(self, process: subprocess.Popen[bytes], round_index: int) -> str:
        """Note the progress until the process ends; return its last words."""
        for line in process.stdout or ():
            at = line.decode("ascii", "replace").strip()
            if self.wanted is not None and self.wanted[1] == round_index:
                self.progress = f"recomputing round {round_index}: at round {at}"
                self._on_change()
        _, errors = process.communicate()
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        return one_line(lines[-1]) if lines else ""
