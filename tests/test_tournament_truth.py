"""Known truth: strength that is known is found with the certainty that is stated, equal strength is not told apart."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from lineage.contest import matches, ratings, statistics
from lineage.contest.batches import batches
from lineage.contest.tournament_plan import matches_of
from lineage.contest.tournament_table import Live, table_of
from tests.tournaments import SHORT, plan, played

NOISE = (0.0, 0.1, 0.3, 0.6, 0.9)
WORLD = [{"name": "easy", "scenario": "easy", "set": [*SHORT, "market.drift=0.004"]}]


@pytest.mark.slow
def test_oracles_with_more_noise_are_ranked_lower_with_certainty(tmp_path: Path) -> None:
    """Five noise levels in the right order; every neighbour separated after Holm's correction; intervals apart."""
    entrant = [{"name": f"noise {noise}", "script": "oracle", "noise": noise} for noise in NOISE]
    made = plan(entrant=entrant, world=WORLD, seeds="0:48", ticks=500)
    league = table_of(played(tmp_path / "x.sqlite", made)).leagues[0]
    names = [row.name for row in league.rows if row.name.startswith("noise")]
    assert names == [f"noise {noise}" for noise in NOISE]
    gaps = {(item.one, item.other): item for item in league.differences}
    for one, other in itertools.pairwise(names):
        item = gaps[one, other]
        print(one, other, item.difference, item.p_holm)
        assert item.separated and item.difference.above_zero
    s = league.strengths
    players = [index for index, player in enumerate(made.players) if player.name in names]
    assert all(s.low[a] > s.high[b] for a, b in itertools.pairwise(players))


@pytest.mark.slow
def test_two_equal_entrants_are_not_told_apart() -> None:
    """A hundred tournaments of 16 seeds between twins: at 95 % at most seven find a difference, by either test."""
    twins = [{"name": name, "script": "oracle", "noise": 0.5} for name in ("castor", "pollux")]
    made = plan(entrant=twins, world=WORLD, seeds="0:1600", ticks=100)
    chosen = [match for match in matches_of(made) if match.seating[0] < 2]
    results = {r.key: r for batch in batches(made, chosen, 1) for r in matches.play_batch(made, batch)}
    growth = np.array([[results[f"easy/{seed}/alone/{name}"].seats[0].growth for seed in range(1600)]
                       for name in ("castor", "pollux")], dtype=np.float64)  # fmt: skip
    assert (growth[0] != growth[1]).mean() > 0.9  # equal in law, not in luck
    gaps = (growth[0] - growth[1]).reshape(100, 16)
    by_signs = sum((ratings.sign_flip_p(gap) or 1.0) < 0.05 for gap in gaps)
    intervals = [statistics.mean(gap, 1000) for gap in gaps]
    by_interval = sum(found.above_zero or found.below_zero for found in intervals)
    print(f"{by_signs} of 100 by signs, {by_interval} by intervals")
    assert by_signs <= 7 and by_interval <= 7


def test_a_worse_oracle_is_ranked_lower(tmp_path: Path) -> None:
    """The same in small, on every test run: the careful one above the drunk one, growth and strength agree."""
    entrant = [{"name": "drunk", "script": "oracle", "noise": 0.9}, {"name": "sober", "script": "oracle"}]
    made = plan(entrant=entrant, world=WORLD, seeds="0:8", ticks=200)
    table = table_of(played(tmp_path / "x.sqlite", made), 200)
    league = table.leagues[0]
    names = [row.name for row in league.rows]
    assert names.index("sober") < names.index("drunk")
    growth = {row.name: row.growth.estimate or 0.0 for row in league.rows}
    assert growth["sober"] > growth["drunk"]
    assert league.strengths.low[1] > league.strengths.high[0]
    assert sum(league.alpha.values()) == pytest.approx(1.0)


def test_twins_have_luck_of_their_own() -> None:
    """Equal noise under two names stumbles at different moments; without noise they are one and the same."""
    twins = [{"name": name, "script": "oracle", "noise": 0.5} for name in ("castor", "pollux")]
    made = plan(entrant=[*twins, {"name": "clone", "script": "oracle"}], world=WORLD, seeds="0:1", ticks=60)
    (batch,) = batches(made, matches_of(made), 1)
    growth = {result.key.rpartition("/")[2]: result.seats[0].growth for result in matches.play_batch(made, batch)}
    assert growth["castor"] != growth["pollux"]
    assert growth["clone"] == growth["oracle"]


def test_equal_results_are_ties() -> None:
    """Two oracles without noise get the same growth in every block, the same strength, and no difference."""
    rankings = [ratings.ranked({0: 1.0 + seed, 1: 1.0 + seed, 2: 0.0}, seed) for seed in range(8)]
    found = ratings.strengths([r for r in rankings if r is not None], 3, [0] * 8, resamples=100)
    assert found.log_worth[0] == pytest.approx(found.log_worth[1])
    assert found.beats[0, 1] == pytest.approx(0.5)


def test_live_standings_follow_finished_blocks() -> None:
    """A block counts when its last player has finished; a shared match counts at once."""
    live = Live(["a", "b"], lambda block: 2)
    live.take("easy/0/alone/a", {0: 1.0})
    assert live.leaders() == ""
    live.take("easy/0/alone/b", {1: 0.0})
    assert live.leaders().startswith("a ")
    for seed in range(5):
        live.take(f"easy/{seed}/together", {0: 0.0, 1: 1.0})
    assert live.leaders().startswith("b ")
    live.take("easy/0/evolving/c", {2: 9.0})
    assert "c" not in live.leaders()
