"""Playing a tournament: what is not in the results file yet is played and written, match by match."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from lineage.contest import engines
from lineage.contest.batches import batches, cost, workers
from lineage.contest.matches import MatchResult, play_batch
from lineage.contest.prepare import side_by_side
from lineage.contest.results import Results
from lineage.contest.tournament_pairings import expected, schedule
from lineage.contest.tournament_plan import Match, Plan, Player

Engine = Callable[[Plan, Sequence[Sequence[Match]], Callable[[], bool]], Iterator[list[MatchResult]]]

_PROBE_TICKS: Final = 40
_PROBE_ROUNDS: Final = 3
_PROBE_CLASSES: Final = 2  # matches with a user's class, each of which starts a process
"""What is played to estimate the time of a match."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a tournament is."""

    done: int
    total: int  # matches that are known so far
    played: int  # of the done, in this session
    failed: int
    left: float  # share of this session's known work that is still to do, by cost


def windows_of(plan: Plan) -> list[int | None]:
    """Return how many windows each world's tape holds that share no bar; None without a tape."""
    return [side_by_side(plan.conditions(index, ground.read_tape())) for index, ground in enumerate(plan.grounds)]


def estimate(plan: Plan) -> float:
    """Return the seconds that all matches take one after the other on this machine: a little of each kind is played."""
    seconds, known = 0.0, schedule(plan, {})
    groups: dict[tuple[int, int, bool, str], list[list[Match]]] = {}
    for batch in batches(plan, known, 1):
        kinds = {plan.players[player].kind for player in batch[0].seating}
        groups.setdefault((batch[0].ground, len(batch[0].seating), "class" in kinds, batch[0].mix), []).append(batch)
    for (ground, _, has_class, mix), found in groups.items():
        sample = found[0][:_PROBE_CLASSES] if has_class else found[0]
        ticks = min(plan.ticks, max(_PROBE_TICKS, plan.grounds[ground].config.arena.ticks_per_round))
        short = replace(plan, ticks=ticks, players=tuple(_shorter(player) for player in plan.players))
        took = _timed(short, sample)
        if mix == "evolving":
            took *= cost(plan, sample) / cost(short, sample)
        else:
            start = _timed(replace(short, ticks=1), sample)
            took = start + max(0.0, took - start) * plan.ticks / ticks
        share = expected(plan)[mix] / sum(match.mix == mix for match in known)  # later rounds are not known yet
        seconds += share * took * sum(cost(plan, batch) for batch in found) / cost(plan, sample)
    return seconds


def _shorter(player: Player) -> Player:
    return replace(player, rounds=min(player.rounds, _PROBE_ROUNDS)) if player.evolving else player


def _timed(plan: Plan, batch: Sequence[Match]) -> float:
    began = time.perf_counter()
    play_batch(plan, batch)
    return time.perf_counter() - began


def run(
    plan: Plan,
    results: Results,
    jobs: int,
    should_stop: Callable[[], bool],
    on_progress: Callable[[Progress, Sequence[MatchResult]], None],
    engine: Engine | None = None,
) -> bool:
    """Play what is missing; return whether everything has been played. Told to stop, the running matches end."""
    played = failed = 0
    while True:
        done = outcomes(results)
        matches = schedule(plan, done)
        missing = [match for match in matches if match.key not in done]
        if not missing:
            return True
        known = {match.key: match for match in matches}
        before, lost = played, failed
        parts = batches(plan, missing, jobs)
        prices = {match.key: cost(plan, batch) / len(batch) for batch in parts for match in batch}
        total = left = sum(prices.values())
        for part in _playing(plan, parts, jobs, should_stop, engine):
            results.write(known, part)
            played += len(part)
            failed += sum(result.status == "failed" for result in part)
            left = max(0.0, left - sum(prices[result.key] for result in part))
            progress = Progress(len(done) + played - before, len(matches), played, failed, left / total)
            on_progress(progress, part)
        if played - before < len(missing):
            return False
        if failed > lost:
            return True  # what failed is not played again at once, and nobody can be paired by it


def outcomes(results: Results) -> dict[str, dict[int, float | None]]:
    """Return {match key: {player: mean growth, None when it forfeited}} of the matches that are done."""
    found: dict[str, dict[int, float | None]] = {key: {} for key in results.done()}
    sums: dict[tuple[str, int], list[float]] = {}
    for cell in results.cells():
        player = cell.result.player
        if cell.result.forfeit or cell.result.growth is None:
            found[cell.match_key][player] = None
        elif found[cell.match_key].get(player, 0.0) is not None:
            values = sums.setdefault((cell.match_key, player), [])
            values.append(cell.result.growth)
            found[cell.match_key][player] = sum(values) / len(values)
    return found


def _playing(
    plan: Plan,
    parts: Sequence[Sequence[Match]],
    jobs: int,
    should_stop: Callable[[], bool],
    engine: Engine | None,
) -> Iterator[list[MatchResult]]:
    if engine is not None:
        return engine(plan, parts, should_stop)
    count = workers(plan, parts, jobs)
    if count == 1:
        return engines.in_this_process(plan, parts, should_stop)
    return engines.side_by_side(plan, parts, count, should_stop)
