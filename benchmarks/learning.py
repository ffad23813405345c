"""Do agents learn, how fast, and what of the learner matters? Frozen policies on markets that they never saw.

    python -m benchmarks.learning easy --every 25 --out learning         # learning curves, one band over the schools
    python -m benchmarks.learning easy --ablate --out ablations              # the learner with one part removed
    python -m benchmarks.learning easy --ablate no_scars_seen --lives --schools 4 --out scars

A school is a market with pupils who trade on paper for ever: nobody dies and nobody's orders move the price, so it
is one history of prices and --pupils agents that learn from it. With --lives it is the scenario itself, with death,
scars and births (none of them in another market), and those are measured who live at the end. All schools are markets
of one world. Policies are frozen every --every rounds and play, each alone, on --markets held-out markets
(lineage.contest.frozen): log-growth per 1,000 ticks net of costs. Intervals resample schools, not agents: those of one
school have seen the same prices. Variants share schools, genomes and held-out markets, so they are compared in pairs.
Prints a table; --out writes FOLDER/learning.json, learning.csv and, with matplotlib, learning.svg.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from agents import genome
from agents.mind import DQN
from lineage import settings
from lineage.config import RunConfig
from lineage.contest import statistics
from lineage.contest.entrants import DQN as NETWORK
from lineage.contest.entrants import Entrant, scripted
from lineage.contest.frozen import Conditions, play_alone
from lineage.world import World

ON_PAPER: Final = (
    "life.founders_fraction=1.0", "life.founder_apprentice_rounds=1000000", "life.immigration_per_round=0",
    "mind.probe_every=0",
)  # fmt: skip

YARDSTICKS: Final = ("oracle", "trend", "hold", "random")

ABLATIONS: Final[dict[str, tuple[str, ...]]] = {
    "no_target_network": ("mind.target=none",),
    "no_mask_in_bellman": ("mind.mask_bellman=false",),
    "no_double": ("mind.double=false",),
    "no_replay": ("mind.replay=false", "mind.update_every=1"),
    "no_scars_seen": ("mind.sense_scars=false",),
    "no_dueling": ("mind.dueling=false",),
    "one_step": ("mind.n_step=1",),
    "prioritised": ("mind.prioritised=true",),
    "no_benchmark": ("reward.benchmark_weight=0",),
    "short_memory": ("mind.replay_capacity=4096",),
    "every_tick": ("mind.update_every=1",),
    "wide": ("mind.hidden=[64,64]",),
}
"""The learner with one part changed, as scenario keys; no_replay learns once from every transition."""


class Sample(NamedTuple):
    """The policies of one school at one time."""

    rounds: int
    school: np.ndarray  # [N] market in which each learns
    weights: np.ndarray  # [N,n_params] f32
    genes: np.ndarray  # [N,G]


class Schools(NamedTuple):
    """What the schools of one variant left behind."""

    config: RunConfig
    layout: Any
    samples: list[Sample]  # the first is untrained
    seconds: float


def teach(args: argparse.Namespace, assignments: list[str]) -> Schools:
    """Play all schools, or whole lives, and freeze the policies of all learners every few rounds."""
    began = time.monotonic()
    config = settings.load(args.scenario, assignments=assignments, environment={}).config
    world = World(config, args.seed)
    samples = [_frozen(world, untrained=True)]
    for index in range(args.rounds):
        world.play_round()
        if (index + 1) % args.every == 0 or index + 1 == args.rounds:
            samples.append(_frozen(world))
    return Schools(config, world.minds.brains.layout, samples, time.monotonic() - began)


def _frozen(world: World, untrained: bool = False) -> Sample:
    """Copy the networks of everybody who lives and learns."""
    seats = np.flatnonzero(world.arena.living() & (world.minds.kind == DQN))
    brains = world.minds.brains
    source = brains.birth_params if untrained else brains.params
    school = seats // world.config.arena.seats
    return Sample(world.round, school, source.cpu().numpy()[seats].copy(), world.minds.genes[seats].copy())


def examine(schools: Schools, markets: range, ticks: int) -> dict[str, Any]:
    """Return growth [times][schools], mean over policies and held-out markets, and that of the yardsticks [markets]."""
    entrants = [scripted(name, schools.config.genome) for name in YARDSTICKS]
    for sample in schools.samples:
        for row, genes in zip(sample.weights, sample.genes, strict=True):
            scale, stop = float(genes[genome.POSITION_SCALE]), float(genes[genome.STOP_ATR])
            entrants.append(Entrant("pupil", NETWORK, scale, stop, schools.layout, row))
    growth = play_alone(entrants, list(markets), Conditions(schools.config, ticks)).log_growth  # [E,markets]
    policies = growth[len(YARDSTICKS) :].mean(axis=1)
    per_school: list[list[float | None]] = []
    start = 0
    for sample in schools.samples:
        mine = policies[start : start + len(sample.school)]
        start += len(sample.school)
        here = [mine[sample.school == school] for school in range(schools.config.arena.markets)]
        per_school.append([float(part.mean()) if len(part) else None for part in here])
    per_round = schools.config.arena.ticks_per_round
    return {
        "ticks": [sample.rounds * per_round for sample in schools.samples],
        "growth": per_school,
        "policies": policies[start - len(schools.samples[-1].school) :].tolist(),
        "yardsticks": {name: growth[index].tolist() for index, name in enumerate(YARDSTICKS)},
        "seconds": round(schools.seconds, 1),
    }


def study(args: argparse.Namespace, name: str, changes: tuple[str, ...]) -> dict[str, Any]:
    """Teach and examine one variant."""
    kind = ("life.dispersal=0",) if args.lives else (*ON_PAPER, f"arena.seats={args.pupils}")
    assignments = [f"arena.markets={args.schools}", *kind, *args.overrides, *changes]
    result = examine(teach(args, assignments), range(args.markets), args.ticks)
    print(f"{name:20s} {np.nanmean(_numbers(result['growth'][-1])):+.3f}  {result['seconds']} s", flush=True)
    return result


def _numbers(values: list[float | None]) -> np.ndarray:
    """Return [schools] f64, NaN where nobody lives."""
    return np.array([np.nan if value is None else value for value in values])


def table(studies: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for every variant: growth with its interval, share of the oracle, difference from the first."""
    rows = []
    base = _numbers(next(iter(studies.values()))["growth"][-1])
    for name, result in studies.items():
        mine = _numbers(result["growth"][-1])
        both = np.isfinite(mine) & np.isfinite(base)
        growth, difference = statistics.mean(mine[both]), statistics.paired_difference(mine[both], base[both])
        rows.append({
            "variant": name, "schools": int(both.sum()), "growth": growth.estimate, "low": growth.low,
            "high": growth.high, "share_of_oracle": mine[both].mean() / np.mean(result["yardsticks"]["oracle"]),
            "difference": difference.estimate, "difference_low": difference.low, "difference_high": difference.high,
            "sign_agreement": statistics.sign_agreement((mine - base)[both]),
        })  # fmt: skip
    return rows


def curve(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for every time: mean over schools, its interval, lowest and highest school."""
    rows = []
    for ticks, values in zip(result["ticks"], result["growth"], strict=True):
        schools = _numbers(values)
        schools = schools[np.isfinite(schools)]
        growth = statistics.mean(schools)
        rows.append({"ticks": ticks, "growth": growth.estimate, "low": growth.low, "high": growth.high,
                     "worst_school": float(schools.min()), "best_school": float(schools.max())})  # fmt: skip
    return rows


def draw(rows: list[dict[str, Any]], result: dict[str, Any], title: str, path: Path) -> None:
    """Draw the learning curve with its bands and the yardsticks."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "lineage-arena"
    figure, axis = pyplot.subplots(figsize=(8, 4.5))
    ticks = [row["ticks"] for row in rows]
    axis.fill_between(ticks, [row["worst_school"] for row in rows], [row["best_school"] for row in rows],
                      color="tab:blue", alpha=0.12, label="worst to best school")  # fmt: skip
    if all(row["low"] is not None for row in rows):
        axis.fill_between(ticks, [row["low"] for row in rows], [row["high"] for row in rows],
                          color="tab:blue", alpha=0.3, label="95 % interval over schools")  # fmt: skip
    axis.plot(ticks, [row["growth"] for row in rows], color="tab:blue", label="learners, frozen")
    styles = {"oracle": "-.", "trend": "--", "hold": ":", "random": (0, (1, 4))}
    for name, values in result["yardsticks"].items():
        axis.axhline(float(np.mean(values)), color="black", linewidth=0.9, linestyle=styles[name], label=name)
    axis.axhline(rows[0]["growth"], color="tab:red", linewidth=0.9, linestyle="--", label="untrained")
    axis.axhline(0.0, color="grey", linewidth=0.5)
    axis.set(xlabel="ticks of experience", ylabel="log-growth per 1,000 ticks, held-out markets", title=title)
    axis.legend(fontsize=7, ncol=2)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def write(args: argparse.Namespace, studies: dict[str, dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Write what was measured: everything as JSON, the table as CSV, the curve as SVG."""
    folder: Path = args.out
    folder.mkdir(parents=True, exist_ok=True)
    arguments = vars(args) | {"out": None}
    (folder / "learning.json").write_text(json.dumps({"arguments": arguments, "table": rows, "studies": studies}))
    with (folder / "learning.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if args.ablate is None:
        try:
            title = f"{args.scenario}: {args.schools} schools"
            draw(rows, next(iter(studies.values())), title, folder / "learning.svg")
        except ModuleNotFoundError:
            print("no picture: matplotlib is not installed")


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table, numbers with three decimals."""
    widths = {key: max(len(key), 9) for key in rows[0]}
    widths[next(iter(widths))] = 20
    print("  ".join(key.rjust(width) for key, width in widths.items()))
    for row in rows:
        cells = [f"{value:+.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths.values(), strict=True)))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="easy")
    parser.add_argument("--schools", type=int, default=16, help="histories of prices to learn from")
    parser.add_argument("--seed", type=int, default=0, help="of the schools")
    parser.add_argument("--pupils", type=int, default=8, help="learners in a school")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--every", type=int, help="rounds between two points of the curve; default: the end only")
    parser.add_argument("--markets", type=int, default=32, help="held-out markets")
    parser.add_argument("--ticks", type=int, default=1000, help="length of an examination")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--lives", action="store_true", help="whole lives instead of schools")
    parser.add_argument("--ablate", nargs="*", metavar="NAME", help=f"of {', '.join(ABLATIONS)}; none: all")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    unknown = set(args.ablate or []) - set(ABLATIONS)
    if unknown:
        parser.error(f"--ablate: {', '.join(sorted(unknown))}: none of {', '.join(ABLATIONS)}")
    for name in ("schools", "pupils", "rounds", "markets", "ticks"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: {getattr(args, name)} is not at least 1")
    args.every = args.every or args.rounds
    return args


def main() -> None:
    """Measure and print."""
    args = arguments()
    torch.set_num_threads(1)
    studies = {"the learner": study(args, "the learner", ())}
    if args.ablate is None:
        rows = curve(studies["the learner"])
    else:
        for name in args.ablate or list(ABLATIONS):
            studies[name] = study(args, name, ABLATIONS[name])
        rows = table(studies)
    show(rows)
    for name, values in studies["the learner"]["yardsticks"].items():
        print(f"{name:>20}  {np.mean(values):+.3f}")
    if args.out:
        write(args, studies, rows)


if __name__ == "__main__":
    main()
