"""The table of a tournament against figures worked out by hand from results that were made up."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lineage.contest.matches import MatchResult, SeatResult
from lineage.contest.ratings import alpha_rank, ranked, sign_flip_p, strengths
from lineage.contest.report_findings import in_short
from lineage.contest.results import Results
from lineage.contest.statistics import Interval
from lineage.contest.tournament_evolving import Life
from lineage.contest.tournament_plan import Match, Plan, matches_of
from lineage.contest.tournament_table import Difference, League, Row, Table, table_of
from tests.tournaments import SHORT, plan

LOSER, QUITTER = "hold", "random"
"""Who dies in every second match, and who forfeits one of the two matches of the first block."""


def made_up(match: Match, made: Plan, rng: np.random.Generator) -> MatchResult:
    """Return a result: growth by chance, better for who comes first in the plan; unequal ticks for each seat."""
    seats = []
    for seat, player in enumerate(match.seating):
        name, quits = made.players[player].name, False
        if name == QUITTER:
            quits = match.key == "north/0/together"
        died = name == LOSER and match.seed % 2 == 1
        growth = None if quits else float(rng.normal(-0.5 * player, 1.0))
        seats.append(
            SeatResult(seat, player, growth, int(rng.integers(10, 21)), 2, died, 3, 0.5, 0, -0.1 * (seat + 1),
                       "raises ValueError" if quits else "")
        )  # fmt: skip
    return MatchResult(match.key, "done", tuple(seats))


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[MatchResult], Table]:
    """Return a plan, what was made up for all its matches, and the table of that."""
    worlds = [{"name": name, "set": SHORT} for name in ("north", "south")]
    made = plan(world=worlds, seeds="0:7", mixes=["alone", "together"], whole_life=True)
    rng = np.random.Generator(np.random.Philox(1))
    matches = matches_of(made)
    found = [made_up(match, made, rng) for match in matches]
    path = tmp_path_factory.mktemp("table") / "x.sqlite"
    with Results.create(path, made, [None, None]) as results:
        results.write({match.key: match for match in matches}, found)
        return made, found, table_of(results, 200)


def by_hand(made: Plan, found: Sequence[MatchResult], player: int) -> dict[tuple[int, int], float]:
    """Return growth by block: the mean over a player's seats, weighted by ticks; nothing where it forfeited."""
    known = {match.key: match for match in matches_of(made)}
    seats: dict[tuple[int, int], list[SeatResult]] = {}
    for result in found:
        match = known[result.key]
        mine = [seat for seat in result.seats if seat.player == player]
        seats.setdefault((match.ground, match.seed), []).extend(mine)
    return {
        block: sum((seat.growth or 0.0) * seat.ticks for seat in mine) / sum(seat.ticks for seat in mine)
        for block, mine in seats.items()
        if not any(seat.forfeit for seat in mine)
    }


def row_of(league: League, name: str) -> Row:
    """Return a player's row."""
    return next(row for row in league.rows if row.name == name)


def test_growth_is_the_mean_over_blocks_of_means_weighted_by_ticks(
    contest: tuple[Plan, list[MatchResult], Table],
) -> None:
    """Everybody's, over all worlds and in each; a block with a forfeit is undefined, and counted."""
    made, found, table = contest
    (league,) = table.leagues
    for player, member in enumerate(made.players):
        row, wanted = row_of(league, member.name), by_hand(made, found, player)
        assert row.mean.estimate == pytest.approx(np.mean(list(wanted.values())))
        for number, world in enumerate(("north", "south")):
            mine = [value for (ground, _), value in wanted.items() if ground == number]
            assert row.by_world[world].estimate == pytest.approx(np.mean(mine))
    quitter = row_of(league, QUITTER)
    assert (quitter.mean.n, quitter.forfeits, quitter.why_forfeited) == (13, 1, "raises ValueError")
    assert row_of(league, "noisy").mean.n == 14


def test_differences_are_paired_by_block_and_corrected_by_holm(
    contest: tuple[Plan, list[MatchResult], Table],
) -> None:
    """Each over the blocks that both have; corrected p-values by the textbook's stepping over all pairs."""
    made, found, table = contest
    (league,) = table.leagues
    names = {member.name: player for player, member in enumerate(made.players)}
    for item in league.differences:
        one, other = (by_hand(made, found, names[name]) for name in (item.one, item.other))
        common = sorted(set(one) & set(other))
        gaps = np.array([one[block] - other[block] for block in common])
        assert item.difference.n == len(common)
        assert item.difference.estimate == pytest.approx(gaps.mean())
        assert item.p_value == pytest.approx(sign_flip_p(gaps))
    raw = sorted((item.p_value or 0.0, index) for index, item in enumerate(league.differences))
    worst = 0.0
    for rank, (p_value, index) in enumerate(raw):
        worst = max(worst, min(1.0, p_value * (len(raw) - rank)))
        assert league.differences[index].p_holm == pytest.approx(worst)


def test_separated_needs_the_corrected_p_value() -> None:
    """A small p-value among many comparisons separates nobody."""
    nothing = Interval(0.0, None, None, 0)
    assert not Difference("a", "b", nothing, 0.001, 0.051, nothing, None).separated
    assert Difference("a", "b", nothing, 0.001, 0.049, nothing, None).separated
    assert not Difference("a", "b", nothing, None, None, nothing, None).separated


def test_deaths_forfeits_and_falls_are_counted(contest: tuple[Plan, list[MatchResult], Table]) -> None:
    """Lives are seats; the median life is where half have died; drawdowns are means over seats."""
    made, found, table = contest
    (league,) = table.leagues
    loser = row_of(league, LOSER)
    mine = [seat for result in found for seat in result.seats if made.players[seat.player].name == LOSER]
    assert (loser.lives, loser.deaths) == (len(mine), sum(seat.died for seat in mine))
    assert loser.drawdown == pytest.approx(np.mean([seat.drawdown for seat in mine]))
    assert row_of(league, "noisy").deaths == 0 and row_of(league, "noisy").median_life is None


def test_a_forfeit_ranks_last_in_its_block(contest: tuple[Plan, list[MatchResult], Table]) -> None:
    """One ranking a block and mix; strengths are those of the rankings written down by hand."""
    made, found, table = contest
    (league,) = table.leagues
    blocks, scores = sorted({(m.ground, m.seed) for m in matches_of(made)}), dict[tuple[int, str], dict[int, Any]]()
    known = {match.key: match for match in matches_of(made)}
    for result in found:
        match = known[result.key]
        where = scores.setdefault((blocks.index((match.ground, match.seed)), match.mix), {})
        for player in set(match.seating):
            mine = [seat for seat in result.seats if seat.player == player]
            total = sum(seat.ticks for seat in mine)
            where[player] = None if mine[0].forfeit else sum((s.growth or 0.0) * s.ticks for s in mine) / total
    rankings = [ranked(one, block) for (block, _), one in sorted(scores.items())]
    assert rankings[1] is not None and rankings[1].groups[-1] == (quitter_of(made),)
    worlds = [ground for ground, _ in blocks]
    wanted = strengths([ranking for ranking in rankings if ranking is not None], len(made.players), worlds)
    assert league.strengths.rankings == 14 * 2
    assert league.strengths.log_worth.tolist() == pytest.approx(wanted.log_worth.tolist())
    assert league.strengths.low.tolist() == pytest.approx(wanted.low.tolist())


def quitter_of(made: Plan) -> int:
    """Return the player who forfeits."""
    return next(player for player, member in enumerate(made.players) if member.name == QUITTER)


def test_alpha_rank_is_of_the_shares_of_common_blocks_won(contest: tuple[Plan, list[MatchResult], Table]) -> None:
    """The payoff of one against another: in how many of the blocks that both have it grew more."""
    made, found, table = contest
    (league,) = table.leagues
    names = [row.name for row in league.rows]
    growth = {member.name: by_hand(made, found, player) for player, member in enumerate(made.players)}
    payoff = np.full((len(names), len(names)), 0.5)
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            common = set(growth[one]) & set(growth[other])
            if i != j:
                payoff[i, j] = np.mean([growth[one][block] > growth[other][block] for block in common])
    assert [league.alpha[name] for name in names] == pytest.approx(alpha_rank(payoff).tolist())


def test_what_a_parent_gives_its_child_is_not_lost() -> None:
    """Of 150, 100 is paid for a child, and 60 are left: growth is that from 150 to 160; what dies is noted."""
    life = Life(1, endowment=100.0, per_round=10)
    life.note(150.0, 1.0, 0, died=False)
    life.note(60.0, 0.0, 1, died=False)
    assert life.log_growth == pytest.approx(np.log(160.0 / 150.0))
    assert (life.invested, life.rounds, life.ticks) == (0.5, 2, 10) and life.drawdown == pytest.approx(-0.6)
    life.note(30.0, 0.0, 1, died=True)
    assert life.log_growth == pytest.approx(np.log(160.0 / 150.0) + np.log(0.5)) and life.died
    assert life.growth == pytest.approx(1000.0 * life.log_growth / 20)


def test_the_report_says_in_short_what_the_table_holds(contest: tuple[Plan, list[MatchResult], Table]) -> None:
    """Who leads, from whom the best entrant differs for certain and from whom not, deaths and forfeits."""
    _, _, table = contest
    (league,) = table.leagues
    text = in_short(league)
    separated = [item for item in league.differences if item.separated and "noisy" in (item.one, item.other)]
    start = r"noisy leads in strength, first in \d+% of the resamples\. First among the entrants, noisy grows by [+-]\d"
    assert re.match(start, text)
    assert 0 < len(separated) < 6
    certain, _, alike = text.partition("it cannot be told apart from ")
    for item in league.differences:
        if "noisy" in (item.one, item.other):
            other = item.other if item.one == "noisy" else item.one
            assert other in (certain if item.separated else alike)
    deaths, lives = sum(row.deaths for row in league.rows), sum(row.lives for row in league.rows)
    assert f"{deaths} of {lives} lives ended in death. 1 match was forfeited." in text
