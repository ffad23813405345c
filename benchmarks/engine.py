"""Measure what a whole run costs, ledger and database included: agent steps and updates a second, and where time goes.

    python -m benchmarks.engine                         # small, default and crowd, some seconds each
    python -m benchmarks.engine --scenarios default --rounds 100 --threads 2
    python -m benchmarks.engine --json > speed.json

Speeds are those of this machine and this moment: compare only what was measured side by side.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

ROUNDS = {"small": 60, "default": 40, "crowd": 8}
"""Rounds that take a few seconds on two cores; apprentices learn from about round 10 on."""


def measure(scenario: str, rounds: int, threads: int, seed: int) -> dict[str, Any]:
    """Play one scenario into a temporary directory and return its figures."""
    from lineage import engine, settings

    config = settings.load(scenario, environment={}, assignments=[f"rounds={rounds}"]).config
    with tempfile.TemporaryDirectory() as folder:
        with engine.start(Path(folder) / "run", config, seed, threads=threads) as started:
            summary = started.run()
        size = (Path(folder) / "run" / "run.sqlite").stat().st_size
    total = sum(summary.phase_seconds.values())
    return {
        "scenario": scenario,
        "seats": config.arena.markets * config.arena.seats,
        "rounds": summary.rounds,
        "seconds": round(summary.seconds, 2),
        "agent_steps_per_s": round(summary.agent_steps_per_s),
        "updates_per_s": round(summary.updates_per_s),
        "bytes_per_round": size // max(summary.rounds, 1),
        "percent": {name: round(100.0 * part / total, 1) for name, part in summary.phase_seconds.items()},
        "percent_of_writing": round(100.0 * (1.0 - total / summary.seconds), 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'scenario':<10}{'seats':>6}{'rounds':>8}{'s':>8}{'steps/s':>10}{'updates/s':>11}{'bytes/round':>13}"]
    for row in rows:
        lines.append(
            f"{row['scenario']:<10}{row['seats']:>6}{row['rounds']:>8}{row['seconds']:>8.1f}"
            f"{row['agent_steps_per_s']:>10,}{row['updates_per_s']:>11,}{row['bytes_per_round']:>13,}"
        )
        shares = ", ".join(f"{name} {share} %" for name, share in row["percent"].items())
        lines.append(f"{'':<10}of the world's time: {shares}; writing {row['percent_of_writing']} % of all")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure agent steps and updates a second of whole runs.")
    parser.add_argument("--scenarios", nargs="+", default=list(ROUNDS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [
        measure(name, given.rounds or ROUNDS.get(name, 40), given.threads, given.seed) for name in given.scenarios
    ]
    print(json.dumps(rows, indent=2) if given.json else table(rows))


if __name__ == "__main__":
    main()
