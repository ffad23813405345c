"""Which matches are played side by side, and in which order: the costly first, so that nobody waits at the end.

Costs are seconds of one core as measured on one machine; only their proportions matter.
"""

from collections.abc import Sequence
from typing import Final

from lineage.contest.tournament_plan import Match, Plan

MOST_SEATS: Final = 4096
"""Seats in one batch. A tick of 4,096 costs 5 times one of 16, of 1,024 twice; larger ones gain nothing."""

MOST_SEAT_TICKS: Final = 1 << 23
"""Seats x ticks in one batch: some 40 bytes each while they are played."""

MOST_SESSIONS: Final = 16
"""Users' classes in one batch, each with a process of its own that waits while others are asked."""

WORTH_A_SPLIT: Final = 0.75
"""A batch is halved for idle workers only when a half costs at most this share of the whole."""

WORKER_SECONDS: Final = 3.0
"""Work that pays for the start of one more process: python, torch and the rest take 2 s."""

_TICK: Final = 0.55e-3  # of any arena, however small
_SEAT_TICK: Final = 0.65e-6
_SESSION: Final = 0.12  # to start a user's class
_SESSION_TICK: Final = 0.17e-3
_LIFE_TICK: Final = 0.3e-3  # of a population that learns
_LIFE_SEAT_TICK: Final = 0.035e-3


def batches(plan: Plan, matches: Sequence[Match], jobs: int) -> list[list[Match]]:
    """Return the matches in batches that can be played side by side, the costly first, enough for `jobs` workers.

    A tick costs hardly more with a thousand seats than with fifty, so that batches are no smaller than they must be.
    Populations live by themselves.
    """
    groups: dict[tuple[int, int, bool], list[Match]] = {}
    found: list[list[Match]] = []
    for match in matches:
        if match.mix == "evolving":
            found.append([match])
        else:
            groups.setdefault((match.ground, len(match.seating), _sessions(plan, match) > 0), []).append(match)
    for (_, seats, _), group in groups.items():
        sessions = max(_sessions(plan, match) for match in group)
        most = max(1, min(MOST_SEATS, MOST_SEAT_TICKS // plan.ticks) // seats)
        most = max(1, min(most, MOST_SESSIONS // sessions)) if sessions else most
        parts = -(-len(group) // most)
        found += [group[len(group) * part // parts : len(group) * (part + 1) // parts] for part in range(parts)]
    priced = [(cost(plan, batch), batch) for batch in found]
    while jobs > 1 and (halves := _halves(plan, priced, jobs)):
        place, parts_of = halves
        priced[place : place + 1] = parts_of
    return [batch for _, batch in sorted(priced, key=lambda item: -item[0])]


def _halves(
    plan: Plan, priced: Sequence[tuple[float, list[Match]]], jobs: int
) -> tuple[int, list[tuple[float, list[Match]]]] | None:
    """Return the costliest batch that is worth halving, and its halves; None when workers are served evenly enough."""
    fair = sum(price for price, _ in priced) / (2 * jobs)
    for place in sorted(range(len(priced)), key=lambda at: -priced[at][0]):
        price, batch = priced[place]
        if price <= fair:
            return None
        middle = len(batch) // 2
        parts = [(cost(plan, part), part) for part in (batch[:middle], batch[middle:]) if part]
        if len(parts) == 2 and max(part for part, _ in parts) <= WORTH_A_SPLIT * price:
            return place, parts
    return None


def workers(plan: Plan, parts: Sequence[Sequence[Match]], jobs: int) -> int:
    """Return how many of `jobs` processes the work is worth."""
    work = sum(cost(plan, part) for part in parts)
    return max(1, min(jobs, len(parts), int(work / WORKER_SECONDS)))


def cost(plan: Plan, batch: Sequence[Match]) -> float:
    """Return about how many seconds a batch takes on one core."""
    first = batch[0]
    if first.mix == "evolving":
        player = plan.players[first.seating[0]]
        arena = (player.config or plan.grounds[first.ground].config).arena
        seats = arena.markets * arena.seats
        return player.rounds * arena.ticks_per_round * (_LIFE_TICK + _LIFE_SEAT_TICK * seats)
    seats = sum(len(match.seating) for match in batch)
    sessions = sum(_sessions(plan, match) for match in batch)
    return sessions * _SESSION + plan.ticks * (_TICK + _SEAT_TICK * seats + _SESSION_TICK * sessions)


def _sessions(plan: Plan, match: Match) -> int:
    """Return how many users' classes sit in a match."""
    return sum(plan.players[player].kind == "class" for player in set(match.seating))
