"""Swiss and knockout tournaments: who meets whom next, decided by the meetings before and by nothing else.

A meeting of two is a shared market in every world with every seed. Who grows more in more of them has won it; what is
equal is settled by mean growth, then counts half (Swiss) or goes to whom the specification names first (knockout).
The schedule is a function of the plan and the results, so that an interrupted tournament goes on as it would have.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lineage.contest.tournament_plan import Match, Plan, matches_of, pair

Pair = tuple[int, int]

_BYE: Final = 1.0
_BUDGET: Final = 10_000
"""Pairs that a Swiss round looks at."""


@dataclass(slots=True)
class Meeting:
    """What two players have made of their shared markets."""

    won: dict[int, float] = field(default_factory=dict)  # by player: markets won, ties half
    growth: dict[int, float] = field(default_factory=dict)  # by player: summed

    def take(self, scores: Mapping[int, float | None]) -> None:
        """Add one market: growth by player, None for who forfeited."""
        values = {player: float("-inf") if score is None else score for player, score in scores.items()}
        best = max(values.values())
        winners = [player for player, value in values.items() if value == best]
        for player, score in scores.items():
            self.won[player] = self.won.get(player, 0.0) + (1.0 / len(winners) if player in winners else 0.0)
            self.growth[player] = self.growth.get(player, 0.0) + (score or 0.0)

    def points(self, player: int) -> float:
        """Return 1 for having won, 0 for having lost, a half for neither."""
        (other,) = [one for one in self.won if one != player]
        mine = (self.won[player], self.growth[player])
        theirs = (self.won[other], self.growth[other])
        return 0.5 if mine == theirs else float(mine > theirs)


def meetings(results: Iterable[tuple[str, Mapping[int, float | None]]]) -> dict[Pair, Meeting]:
    """Return every meeting among (match key, {player: growth}) of shared markets of two."""
    found: dict[Pair, Meeting] = {}
    for key, scores in results:
        if "/pairs/" in key and len(scores) == 2:
            one, other = sorted(scores)
            found.setdefault((one, other), Meeting()).take(scores)
    return found


def schedule(plan: Plan, done: Mapping[str, Mapping[int, float | None]]) -> list[Match]:
    """Return every match that is known by now; as soon as all of them are done, the next round's are among them.

    done: {match key: {player: growth}} of the finished matches.
    """
    found = matches_of(plan)
    if plan.format == "crossed":
        return found
    met = meetings(done.items())
    draw = _swiss if plan.format == "swiss" else _knockout
    state = _State(plan.league("frozen"))
    while pairs := draw(plan, state, met):
        matches = [match for two in pairs for match in _matches(plan, *two)]
        found += matches
        if any(match.key not in done for match in matches):
            break
        state.rounds += 1
    return found


def expected(plan: Plan) -> dict[str, int]:
    """Return how many matches of each mix there will be, byes and skipped worlds not looked at."""
    counts: dict[str, int] = {}
    for match in matches_of(plan):
        counts[match.mix] = counts.get(match.mix, 0) + 1
    if plan.format != "crossed":
        players = len(plan.league("frozen"))
        pairs = players - 1 if plan.format == "knockout" else _rounds(plan, players) * (players // 2)
        counts["pairs"] = pairs * len(list(plan.blocks()))
    return counts


def _rounds(plan: Plan, players: int) -> int:
    return min(plan.rounds, players - 1)


@dataclass(slots=True)
class _State:
    """A tournament on its way."""

    players: list[int]  # still in it, in the order of the specification
    rounds: int = 0
    points: dict[int, float] = field(default_factory=dict)
    byes: set[int] = field(default_factory=set)
    pairs: list[Pair] = field(default_factory=list)  # all so far
    last: list[Pair] = field(default_factory=list)  # of the round before
    resting: int | None = None


def _swiss(plan: Plan, state: _State, met: Mapping[Pair, Meeting]) -> list[Pair]:
    """Return the next round's pairs: neighbours by points who have not met; [] when it is over."""
    for one, other in state.last:
        for player in (one, other):
            meeting = met.get((one, other))
            gained = meeting.points(player) if meeting else 0.5  # they had no common world
            state.points[player] = state.points.get(player, 0.0) + gained
    if state.resting is not None:
        state.points[state.resting] = state.points.get(state.resting, 0.0) + _BYE
    if state.rounds >= _rounds(plan, len(state.players)):
        return []
    order = sorted(state.players, key=lambda player: (-state.points.get(player, 0.0), player))
    state.resting = None
    if len(order) % 2:
        state.resting = next((player for player in reversed(order) if player not in state.byes), order[-1])
        state.byes.add(state.resting)
        order.remove(state.resting)
    state.last = _paired(order, set(state.pairs))
    state.pairs += state.last
    return state.last


def _paired(order: Sequence[int], met: set[Pair]) -> list[Pair]:
    """Return pairs from the top, each with the nearest it has not met.

    Nobody is left over where that is possible: depth-first with a budget; beyond it, or where there is no such pairing,
    who finds nobody new sits out.
    """
    tries = iter(range(_BUDGET))

    def complete(left: Sequence[int]) -> list[Pair] | None:
        if not left:
            return []
        for place, other in enumerate(left[1:], 1):
            two = (min(left[0], other), max(left[0], other))
            if two in met or next(tries, None) is None:
                continue
            if (rest := complete([*left[1:place], *left[place + 1 :]])) is not None:
                return [two, *rest]
        return None

    found = complete(order)
    return found if found is not None else _greedy(order, met)


def _greedy(order: Sequence[int], met: set[Pair]) -> list[Pair]:
    left, found = list(order), []
    while left:
        one = left.pop(0)
        other = next((player for player in left if (min(one, player), max(one, player)) not in met), None)
        if other is not None:
            left.remove(other)
            found.append((min(one, other), max(one, other)))
    return found


def _knockout(plan: Plan, state: _State, met: Mapping[Pair, Meeting]) -> list[Pair]:
    """Return the next stage's pairs: first against last of those who are left; of an odd number the first rests."""
    for one, other in state.last:
        meeting = met.get((one, other))
        state.players.remove(other if meeting is None or meeting.points(one) >= 0.5 else one)
    order = list(state.players)
    state.last = []
    if len(order) % 2:
        order = order[1:]
    while order:
        one, other = order.pop(0), order.pop()
        state.last.append((min(one, other), max(one, other)))
    return state.last


def _matches(plan: Plan, one: int, other: int) -> list[Match]:
    """Return a meeting's matches, in every world in which both can play."""
    return [
        pair(plan, f"{plan.grounds[ground].name}/{seed}", ground, seed, one, other)
        for ground, seed in plan.blocks()
        if plan.can_play(one, ground) and plan.can_play(other, ground)
    ]
