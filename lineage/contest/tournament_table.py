"""What a tournament found: who is better, where, and with what certainty; a function of the results file alone.

A block is a world and a seed. A player's growth in a block is the mean over its seats in all matches there, each
weighted by its ticks; what it forfeited anywhere in a block is undefined there. Frozen policies and populations that
live on are ranked apart: the former neither learn nor pay for their lives.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, TypeVar

import numpy as np

from lineage.ask.survival import Curve, kaplan_meier
from lineage.contest import ratings, statistics
from lineage.contest.ratings import Ranking, Strengths
from lineage.contest.results import Cell, Results
from lineage.contest.statistics import Interval
from lineage.contest.tournament_pairings import meetings

ALL_PAIRS: Final = 24
"""Up to so many players everybody is compared with everybody, beyond it entrants with baselines and the first."""

CERTAIN: Final = 0.05
"""Two players are called different when their corrected p-value is below this."""


Place = TypeVar("Place")
"""What scores are gathered by: a match, or a block and how it was played."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One paired comparison of growth over the blocks in which both played."""

    one: str
    other: str
    difference: Interval
    p_value: float | None  # sign flips, two-sided
    p_holm: float | None  # corrected for all comparisons of the league
    improvement: Interval  # probability of improvement
    sign_agreement: float | None

    @property
    def separated(self) -> bool:
        """Whether the two differ, with all comparisons of the league taken into account."""
        return self.p_holm is not None and self.p_holm < CERTAIN


@dataclass(frozen=True, slots=True)
class Row:
    """One player's figures."""

    player: int
    name: str
    role: str
    kind: str
    about: str
    behind: int | None  # agents from whom it was chosen as one of the best
    growth: Interval  # interquartile mean of log-growth per 1,000 ticks, blocks resampled within worlds
    mean: Interval
    by_world: dict[str, Interval]  # mean
    lives: int  # seats, or agents that traded real money
    deaths: int
    median_life: float | None  # Kaplan-Meier, rounds
    forfeits: int  # matches
    why_forfeited: str  # the first reason
    trades: float  # closed, per 1,000 ticks
    invested: float
    drawdown: float  # mean of the deepest falls
    meetings: int  # with one other player in shared markets
    points: float  # of them: won, drawn count half


@dataclass(frozen=True, slots=True, eq=False)
class League:
    """Everybody who is ranked with each other."""

    name: str
    rows: list[Row]  # strongest first
    strengths: Strengths  # by player, of all players of the tournament
    differences: list[Difference]
    survival: dict[str, Curve]  # empty when nobody could die
    alpha: dict[str, float]  # alpha-Rank's shares, empty beyond ratings.MOST_STRATEGIES
    growth: np.ndarray  # [blocks,N] f64, NaN where undefined


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Everything that a tournament found."""

    facts: dict[str, Any]  # the tournament's row, with lists for JSON
    players: list[dict[str, Any]]
    worlds: list[dict[str, Any]]
    leagues: list[League]
    blocks: list[tuple[str, int]]  # (world, seed)
    matches: int  # that were played
    failed: list[tuple[str, str]]
    cells: list[Cell] = field(repr=False)


def table_of(results: Results, resamples: int = 2000) -> Table:
    """Return the table of everything that has been played so far."""
    facts = results.rows("tournament")[0]
    facts |= {name: json.loads(facts.pop(f"{name}_json")) for name in ("mixes", "limits", "versions")}
    players, worlds, cells = results.rows("player"), results.rows("world"), results.cells()
    where = sorted({(cell.world, cell.seed) for cell in cells})
    leagues = []
    for name in ("frozen", "evolving"):
        members = [row["player"] for row in players if row["league"] == name]
        mine = [cell for cell in cells if players[cell.result.player]["league"] == name]
        if mine:
            mortal = name == "evolving" or bool(facts["whole_life"])
            leagues.append(_League(players, worlds, members, mine, where, mortal, resamples).finish(name))
    blocks = [(str(worlds[world]["name"]), seed) for world, seed in where]
    return Table(
        facts, players, worlds, leagues, blocks, len({cell.match_key for cell in cells}), results.failed(), cells
    )


class _League:
    """The cells of one league on their way to a table."""

    def __init__(
        self,
        players: list[dict[str, Any]],
        worlds: list[dict[str, Any]],
        members: list[int],
        cells: list[Cell],
        where: list[tuple[int, int]],
        mortal: bool,
        resamples: int,
    ) -> None:
        self.players, self.members, self.cells, self.mortal = players, members, cells, mortal
        self.resamples = resamples
        self.names = [str(world["name"]) for world in worlds]
        self.block = {place: number for number, place in enumerate(where)}
        self.worlds = np.array([world for world, _ in where])  # [blocks]
        self.by_player: dict[int, list[Cell]] = defaultdict(list)
        for cell in cells:
            self.by_player[cell.result.player].append(cell)
        self.growth = np.full((len(where), len(players)), np.nan)
        for player in members:
            self._fill(player)
        shared = self._scored(lambda cell: cell.match_key if cell.mix == "pairs" else None)
        self.met = meetings(shared.items())

    def _fill(self, player: int) -> None:
        sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        lost = set()
        for cell in self.by_player[player]:
            block, result = self.block[cell.world, cell.seed], cell.result
            if result.forfeit:
                lost.add(block)
            elif result.growth is not None:
                sums[block][0] += result.growth * result.ticks
                sums[block][1] += result.ticks
        for block, (total, ticks) in sums.items():
            if block not in lost:
                self.growth[block, player] = total / ticks

    def _scored(self, place_of: Callable[[Cell], Place | None]) -> dict[Place, dict[int, float | None]]:
        """Return {place: {player: growth of its seats there}}; cells without a place do not count."""
        groups: dict[Place, dict[int, list[tuple[float | None, int]]]] = defaultdict(lambda: defaultdict(list))
        for cell in self.cells:
            if (place := place_of(cell)) is not None:
                score = None if cell.result.forfeit else cell.result.growth
                groups[place][cell.result.player].append((score, cell.result.ticks))
        return {
            place: {player: _score(scores) for player, scores in group.items()} for place, group in groups.items()
        }  # fmt: skip

    def rankings(self) -> list[Ranking]:
        """Return one ranking a shared match, and one a block of those who played alone in it."""

        def place_of(cell: Cell) -> tuple[int, str]:
            alone = cell.mix in ("alone", "evolving")
            return self.block[cell.world, cell.seed], cell.mix if alone else cell.match_key

        found = [ratings.ranked(scores, block) for (block, _), scores in sorted(self._scored(place_of).items())]
        return [ranking for ranking in found if ranking is not None]

    def finish(self, name: str) -> League:
        """Return the league's table."""
        rankings = self.rankings()
        strengths = ratings.strengths(rankings, len(self.players), self.worlds.tolist())
        order = sorted(
            self.members, key=lambda player: (-np.nan_to_num(strengths.log_worth[player], nan=-math.inf), player)
        )
        rows = [self._row(player) for player in order if self.by_player[player]]
        curves = {row.name: self._curve(row.player) for row in rows} if self.mortal else {}
        return League(
            name, rows, strengths, self._differences([row.player for row in rows]), curves,
            self._alpha([row.player for row in rows]), self.growth,
        )  # fmt: skip

    def _row(self, player: int) -> Row:
        cells = [cell.result for cell in self.by_player[player]]
        growth = self.growth[:, player]
        strata = {name: growth[(self.worlds == world) & ~np.isnan(growth)] for world, name in enumerate(self.names)}
        known = [values for values in strata.values() if len(values)]
        lost = {cell.match_key: cell.result.forfeit for cell in self.by_player[player] if cell.result.forfeit}
        ticks = max(1, sum(cell.ticks for cell in cells))
        about = self.players[player]
        none = Interval(None, None, None, 0, statistics.LEVEL, "played nowhere to the end")
        return Row(
            player, about["name"], about["role"], about["kind"], about["about"], about["behind"],
            growth=statistics.iqm_interval(known, self.resamples) if known else none,
            mean=statistics.mean(np.concatenate(known), self.resamples) if known else none,
            by_world={name: statistics.mean(values, self.resamples) for name, values in strata.items() if len(values)},
            lives=len(cells), deaths=sum(cell.died for cell in cells),
            median_life=self._curve(player).median().value if self.mortal else None,
            forfeits=len(lost), why_forfeited=lost[min(lost)] if lost else "",
            trades=1000.0 * sum(cell.trades for cell in cells) / ticks,
            invested=float(np.mean([cell.invested for cell in cells])),
            drawdown=float(np.mean([cell.drawdown for cell in cells])),
            meetings=sum(player in two for two in self.met),
            points=sum(meeting.points(player) for two, meeting in self.met.items() if player in two),
        )  # fmt: skip

    def _curve(self, player: int) -> Curve:
        cells = [cell.result for cell in self.by_player[player]]
        durations = np.array([cell.rounds for cell in cells], dtype=np.float64)
        return kaplan_meier(durations, np.array([cell.died for cell in cells], dtype=np.bool_))

    def _differences(self, order: list[int]) -> list[Difference]:
        pairs = list(combinations(order, 2))
        if len(order) > ALL_PAIRS:
            marks = {player for player in order if self.players[player]["role"] == "baseline"} | {order[0]}
            pairs = [pair for pair in pairs if marks & set(pair)]
        found: list[Difference] = []
        gaps = []
        for one, other in pairs:
            both = ~np.isnan(self.growth[:, one]) & ~np.isnan(self.growth[:, other])
            gaps.append((one, other, self.growth[both, one], self.growth[both, other]))
        p_values = [ratings.sign_flip_p(mine - theirs) for _, _, mine, theirs in gaps]
        corrected = ratings.holm_corrected(p_values)
        for (one, other, mine, theirs), p_value, p_holm in zip(gaps, p_values, corrected, strict=True):
            found.append(
                Difference(
                    self.players[one]["name"], self.players[other]["name"],
                    statistics.paired_difference(mine, theirs, self.resamples), p_value, p_holm,
                    statistics.probability_of_improvement(mine, theirs, self.resamples),
                    statistics.sign_agreement(mine - theirs),
                )
            )  # fmt: skip
        return found

    def _alpha(self, order: list[int]) -> dict[str, float]:
        """Return alpha-Rank's shares: the payoff is the share of the common blocks in which the row grew more."""
        if not 2 <= len(order) <= ratings.MOST_STRATEGIES:
            return {}
        growth = self.growth[:, order]  # [blocks,k]
        both = ~np.isnan(growth[:, :, None]) & ~np.isnan(growth[:, None, :])
        wins = (growth[:, :, None] > growth[:, None, :]) + 0.5 * (growth[:, :, None] == growth[:, None, :])
        met = both.sum(axis=0)
        payoff = np.where(met > 0, (wins * both).sum(axis=0) / np.maximum(met, 1), 0.5)
        shares = ratings.alpha_rank(payoff)
        return {self.players[player]["name"]: float(share) for player, share in zip(order, shares, strict=True)}


def _score(scores: Sequence[tuple[float | None, int]]) -> float | None:
    """Return the growth of a player's seats together; None when it forfeited, or lived too short to have any."""
    known = [(growth, ticks) for growth, ticks in scores if growth is not None]
    ticks = sum(weight for _, weight in known)
    return sum(growth * weight for growth, weight in known) / ticks if ticks else None


class Live:
    """Standings while a tournament is played: ratings that each finished block moves."""

    def __init__(self, names: Sequence[str], expected: Callable[[str], int]) -> None:
        """`expected(block)`: how many players play alone in a block, which is ranked when the last has finished."""
        self._names, self._expected = names, expected
        self._ratings: dict[int, ratings.Rating] = {}
        self._waiting: dict[str, dict[int, float | None]] = defaultdict(dict)

    def take(self, key: str, scores: dict[int, float | None]) -> None:
        """Take note of one finished match; key: world/seed/mix/..."""
        world, seed, mix = key.split("/")[:3]
        if mix == "evolving":
            return
        if mix == "alone":
            block = f"{world}/{seed}"
            self._waiting[block] |= scores
            if len(self._waiting[block]) < self._expected(block):
                return
            scores = self._waiting.pop(block)
        ranking = ratings.ranked(scores, 0)
        if ranking is None:
            return
        order = [(player, rank) for rank, group in enumerate(ranking.groups) for player in group]
        before = [self._ratings.get(player, ratings.Rating()) for player, _ in order]
        after = ratings.rate(before, [rank for _, rank in order])
        self._ratings |= {player: rating for (player, _), rating in zip(order, after, strict=True)}

    def leaders(self, most: int = 3) -> str:
        """Return the first few in words."""
        best = sorted(self._ratings, key=lambda player: -self._ratings[player].ordinal)[:most]
        return ", ".join(f"{self._names[player]} {self._ratings[player].ordinal:.1f}" for player in best)
