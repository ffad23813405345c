"""Tournaments beside the runs: their results files found, and their standings as `tournament show` concludes them.

Read by a process of its own, so that neither its mathematics nor the network library comes into the app; a file is
read again when it has changed.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tui.diagnostics import one_line
from tui.packages import environment

APPLICATION_ID: Final = b"LATN"  # lineage.contest.results.APPLICATION_ID, at byte 68 of the file
MOST: Final = 8  # tournaments that are read
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One player's line."""

    name: str
    baseline: bool
    strength: float | None  # log-worth, mean 0
    low: float | None  # of its 95 % interval
    high: float | None
    first: float | None  # share of the resamples in which it is the strongest
    growth: float | None  # log-growth per 1,000 ticks
    died: str  # "3 of 8", "" where nobody can die


@dataclass(frozen=True, slots=True)
class Cup:
    """One tournament, as far as it has been played."""

    path: Path
    problem: str = ""  # why it cannot be read, "" when it can
    said: str = ""  # format, worlds, seeds, matches
    leagues: tuple[tuple[str, tuple[Standing, ...]], ...] = ()


def find(folder: Path) -> list[Path]:
    """Return the results files in a directory and in the one above, the newest first."""
    found: dict[Path, float] = {}
    for place in (folder, folder.parent):
        try:
            for path in place.iterdir():
                if path.is_file() and _is_cup(path):
                    found[path] = path.stat().st_mtime
        except OSError:
            continue
    return sorted(found, key=lambda path: -found[path])[:MOST]


def _is_cup(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\x00") and head[68:72] == APPLICATION_ID


class Cups:
    """What was read of the tournaments in a directory."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], Cup] = {}
        self._ended = False

    def end(self) -> None:
        """Begin to read no more files: the app leaves when its threads are done, at most one file later."""
        self._ended = True

    def look(self, folder: Path) -> tuple[Cup, ...]:
        """Return the tournaments of a directory, the newest first; takes seconds where one has changed."""
        keys = []
        for path in find(folder):
            try:
                keys.append((path, path.stat().st_mtime_ns))
            except OSError:
                continue
        known: dict[tuple[Path, int], Cup] = {}
        for key in keys:
            if self._ended:
                break
            known[key] = self._known.get(key) or read(key[0])
        self._known = known
        return tuple(known.values())


def read(path: Path) -> Cup:
    """Return one tournament."""
    command = [sys.executable, "-m", "tui.cli", "tournament", "show", str(path), "--json"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_SECONDS, check=False,
            env=environment(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Cup(path, problem=one_line(str(error)))
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return Cup(path, problem=one_line(lines[-1]) if lines else f"exit code {done.returncode}")
    try:
        return cup_of(path, json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as error:
        return Cup(path, problem=f"unreadable: {one_line(repr(error))}")


def cup_of(path: Path, told: dict[str, Any]) -> Cup:
    """Return a tournament from what `tournament show --json` prints."""
    facts = told["tournament"]
    worlds = ", ".join(str(world["name"]) for world in told["worlds"])
    failed = f", {len(told['failed'])} failed" if told["failed"] else ""
    seeds = f"{facts['first_seed']}:{facts['end_seed']}"
    said = f"{facts['format']}, {worlds}, seeds {seeds}, {told['matches']} matches{failed}"
    mortal = bool(facts["whole_life"])
    leagues = tuple(
        (str(league["league"]), tuple(_standing(row, mortal or league["league"] == "evolving")
                                      for row in league["standings"]))
        for league in told["leagues"]
    )  # fmt: skip
    return Cup(path, said=said, leagues=leagues)


def _standing(row: dict[str, Any], mortal: bool) -> Standing:
    strength, died = row["strength"], f"{row['deaths']} of {row['lives']}"
    return Standing(
        str(row["name"]), row["role"] == "baseline", strength["estimate"], strength["low"], strength["high"],
        row["strongest_in_resamples"], row["growth"]["estimate"], died if mortal else "",
    )  # fmt: skip
