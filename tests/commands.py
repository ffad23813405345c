"""The command line called in this process: exit code, stdout and stderr as a user would see them."""

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tui.cli import invoke

TINY = (
    "arena.seats=4", "arena.ticks_per_round=4", "mind.hidden=[8,8]", "mind.replay_capacity=128",
    "mind.learn_start=32", "market.warmup_bars=128", "record.checkpoint_every=2",
)  # fmt: skip
"""A population that lives through a round in a millisecond or two."""


@dataclass(frozen=True)
class Result:
    """What one command line did."""

    code: int
    out: str
    err: str


def call(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """Run one command line in this process; no LINEAGE_ARENA_ variable of the outer world reaches it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LINEAGE_ARENA_")}
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {**clean, **(env or {})}, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = int(invoke([str(argument) for argument in arguments]))
    return Result(code, out.getvalue(), err.getvalue())


def tiny(*more: str) -> list[str]:
    """Return the --set flags of a tiny population."""
    return [part for text in (*TINY, *more) for part in ("--set", text)]


def tape_text(bars: int, header: str = "Date,Open,High,Low,Close,Volume") -> str:
    """Return a clean daily tape."""
    rows = [header]
    for day in range(bars):
        price = 100.0 + (day % 17) * 0.25 + day * 0.01
        date = f"{2000 + day // 336:04d}-{1 + day // 28 % 12:02d}-{1 + day % 28:02d}"
        rows.append(f"{date},{price:.2f},{price + 1:.2f},{price - 1:.2f},{price + 0.5:.2f},{1000 + day}")
    return "\n".join(rows) + "\n"
