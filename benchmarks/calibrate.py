"""Measure the arithmetic of life: who is born, who dies of what, how the seats turn over.

    python benchmarks/calibrate.py default --seeds 0:10 --rounds 3000 --jobs 2 --out calibration.json
    python benchmarks/calibrate.py default --seeds 0:2 --rounds 600 --set body.wealth_cost_bps=20

Runs worlds without a store and prints one row a seed; `--out` keeps the series behind the table,
`--plot` draws them (needs matplotlib). The figures in docs/decisions come from this program.
"""

import argparse
import json
import math
import os
import statistics
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

WINDOW = 50


def play(task: tuple[str, list[str], int, int]) -> dict[str, Any]:
    """Play one seed and return its series (one entry every 50 rounds) and its totals."""
    import torch

    from lineage.settings import load
    from lineage.world import World

    torch.set_num_threads(1)
    scenario, overrides, rounds, seed = task
    config = load(scenario, assignments=[*overrides, f"rounds={rounds}"], environment={}).config
    world = World(config, seed)
    series: list[dict[str, Any]] = []
    lives: dict[int, dict[str, float]] = {}
    for index in range(rounds):
        record = world.play_round()
        track(world, record, lives)
        if (index + 1) % WINDOW == 0 or index + 1 == rounds:
            series.append(snapshot(world, lives))
        if not world.arena.living().any():
            break
    return {"seed": seed, "rounds": world.round, "series": series, "generations": by_generation(world, lives),
            "seconds": round(sum(world.phase_seconds.values()), 1)}  # fmt: skip


def track(world: Any, record: Any, lives: dict[int, dict[str, float]]) -> None:
    """Follow the real equity of everybody from graduation on; endowments paid to children count as earned."""
    rows = record.agents
    for agent, status, equity, offspring in zip(
        rows["agent_id"], rows["status"], rows["equity"], rows["offspring"], strict=True
    ):
        if status == 1:
            continue
        life = lives.setdefault(int(agent), {"start": record.round, "log0": math.log(world.config.body.endowment)})
        if "last" in life and offspring > life["children"]:
            life["log0"] += math.log(equity / (equity + world.config.body.endowment))
        life.update(last=record.round, log1=math.log(max(equity, 1.0)), children=float(offspring))


def growth(life: dict[str, float], ticks_per_round: int) -> float:
    """Return log-growth per 1,000 ticks of one life."""
    ticks = (life["last"] - life["start"] + 1) * ticks_per_round
    return (life["log1"] - life["log0"]) / ticks * 1000.0


def by_generation(world: Any, lives: dict[int, dict[str, float]]) -> dict[int, tuple[int, float]]:
    """Return {generation: (lives of 20 rounds or more, median growth per 1,000 ticks)}."""
    grouped: dict[int, list[float]] = defaultdict(list)
    for agent, life in lives.items():
        if life["last"] - life["start"] >= 20:
            grouped[world.family[agent].depth].append(growth(life, world.config.arena.ticks_per_round))
    return {depth: (len(values), round(statistics.median(values), 3)) for depth, values in sorted(grouped.items())}


def snapshot(world: Any, lives: dict[int, dict[str, float]]) -> dict[str, Any]:
    """Return the state of the population now."""
    bodies = world.bodies
    alive = world.arena.living()
    ids = bodies.agent_id[alive]
    depths = [world.family[int(agent)].depth for agent in ids]
    founders = Counter(world.family[int(agent)].founder for agent in ids)
    return {
        "round": world.round,
        **world.census(),
        "born": world.next_agent_id - 1,
        "spawned": world.counts["spawn"],
        "immigrants": world.counts["immigration"],
        "deaths": dict(world.deaths_by_cause),
        "scars": dict(world.scars_by_kind),
        "damage": float(bodies.damage[alive].mean()) if alive.any() else 0.0,
        "age": float(bodies.age_rounds[alive].mean()) if alive.any() else 0.0,
        "deepest": max(depths, default=0),
        "mean_depth": statistics.fmean(depths) if depths else 0.0,
        "median_equity": float(statistics.median(bodies.equity[alive])) if alive.any() else 0.0,
        "max_equity": float(bodies.equity[alive].max()) if alive.any() else 0.0,
        "largest_clan": max(founders.values(), default=0),
        "clans": len(founders),
    }


def row(result: dict[str, Any]) -> str:
    """Return one line of the table."""
    last, series = result["series"][-1], result["series"]
    late = series[len(series) // 2]
    turnover = sum(last["deaths"].values()) - sum(late["deaths"].values())
    return (
        f"seed {result['seed']:3d}  rounds {result['rounds']:5d}  alive {last['trading'] + last['apprentices']:4d}  "
        f"empty {last['empty']:3d}  born {last['born']:5d} (heirs {last['spawned']}, immigrants {last['immigrants']})  "
        f"deaths {last['deaths']} ({turnover} in the later half)  deepest {last['deepest']}  "
        f"damage {last['damage']:.0f}  age {last['age']:.0f}  median equity {last['median_equity']:.0f}  "
        f"clans {last['clans']}  {result['seconds']} s\n    scars {last['scars']}\n"
        f"    growth by generation {result['generations']}"
    )


def main() -> None:
    """Play all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="default")
    parser.add_argument("--seeds", default="0:2", help="A:B, B excluded")
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    first, stop = (int(part) for part in args.seeds.split(":"))
    tasks = [(args.scenario, args.overrides, args.rounds, seed) for seed in range(first, stop)]
    results = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for result in pool.map(play, tasks):
            print(row(result), flush=True)
            results.append(result)
    if args.out:
        args.out.write_text(json.dumps({"arguments": vars(args) | {"out": None, "plot": None}, "results": results}))
    if args.plot:
        plot(results, args.plot)


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw living agents, cumulative deaths by cause, depth and damage over rounds, one line a seed."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True)
    for result in results:
        rounds = [entry["round"] for entry in result["series"]]
        lines = {
            "living": [entry["trading"] + entry["apprentices"] for entry in result["series"]],
            "births of heirs, cumulative": [entry["spawned"] for entry in result["series"]],
            "deepest living generation": [entry["deepest"] for entry in result["series"]],
            "mean damage of the living": [entry["damage"] for entry in result["series"]],
        }
        for axis, (title, values) in zip(axes.flat, lines.items(), strict=True):
            axis.plot(rounds, values, linewidth=1)
            axis.set_title(title, fontsize=9)
    for axis in axes[1]:
        axis.set_xlabel("round")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
