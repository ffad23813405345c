"""`bench`: print what lineage.bench measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from lineage.bench import MINDS, PARTS, Figures, LoopSpeed, WorldSpeed, measure
from tui.diagnostics import ExitCode, emit, say

_WIDTH = 16
_LABEL = 46


def bench(what: Literal["world", "loop", "all"], seconds: float, threads: int, *, as_json: bool) -> int:
    """Measure and print."""
    figures = measure(what, seconds, threads, say)
    emit(json.dumps(asdict(figures), indent=2) if as_json else table(figures))
    return ExitCode.OK


def table(figures: Figures) -> str:
    """Return the figures as lines of text."""
    blocks = [_world(figures.world)] if figures.world else []
    blocks += [_loop(figures.loop)] if figures.loop else []
    blocks.append(["cost of an agent's step, ratios of this call"])
    blocks[-1] += [_line(f"  {name.replace('_', ' ')}", [f"{value:.2f}"]) for name, value in figures.ratios.items()]
    blocks.append([f"{figures.threads} thread(s); speeds are of this machine and moment, ratios travel better"])
    return "\n\n".join("\n".join(block) for block in blocks)


def _line(label: str, cells: Sequence[str]) -> str:
    return label.ljust(_LABEL) + "".join(cell.rjust(_WIDTH) for cell in cells)


def _columns(speeds: Sequence[WorldSpeed | LoopSpeed]) -> list[str]:
    return [f"{speed.seats:,} in {speed.markets}" for speed in speeds]


def _world(speeds: Sequence[WorldSpeed]) -> list[str]:
    rates = {
        "market + bodies, agent-steps/s": [speed.agent_steps_per_s for speed in speeds],
        "market + bodies + observe, agent-steps/s": [speed.agent_steps_per_s_with_observe for speed in speeds],
        "market + bodies, us a tick": [speed.step_us for speed in speeds],
        "observe, us a tick": [speed.observe_us for speed in speeds],
    }
    return [
        _line("world alone, random legal actions (seats)", _columns(speeds)),
        *(_line(f"  {name}", [f"{value:,.0f}" for value in values]) for name, values in rates.items()),
    ]


def _loop(speeds: Sequence[LoopSpeed]) -> list[str]:
    shares = {name: [speed.shares[name] for speed in speeds] for name in PARTS}
    sums = {
        "outside the learner (all but learn)": [speed.outside_learn for speed in speeds],
        f"outside the minds (all but {', '.join(MINDS)})": [speed.outside_minds for speed in speeds],
        "storing (seal + write)": [speed.storing for speed in speeds],
    }
    return [
        _line("whole loop, recorded (seats)", _columns(speeds)),
        _line("  agent-steps/s", [f"{speed.agent_steps_per_s:,.0f}" for speed in speeds]),
        _line("  updates/s", [f"{speed.updates_per_s:,.0f}" for speed in speeds]),
        _line("  updates of an agent in a tick", [f"{speed.updates_per_agent_step:.2f}" for speed in speeds]),
        _line("  us an agent-step", [f"{speed.us_per_agent_step:,.1f}" for speed in speeds]),
        _line("  bytes a round", [f"{speed.bytes_per_round:,}" for speed in speeds]),
        "  of the time",
        *(_line(f"    {name}", [f"{share:.1%}" for share in values]) for name, values in shares.items()),
        *(_line(f"  {name}", [f"{share:.1%}" for share in values]) for name, values in sums.items()),
    ]
