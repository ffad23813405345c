"""Survival, hazards and scars along lines, against independent computations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.ask.lives import Lives, read_lives
from lineage.ask.reading import open_run
from lineage.ask.scars import by_generation, correlation, heritability, line_of_scars
from lineage.ask.survival import (
    BIRTHMARK_BANDS,
    DAMAGE_BANDS,
    band_names,
    hazard_by_birthmark,
    hazard_by_damage,
    kaplan_meier,
    survival_by,
    survival_curve,
)
from tests.histories import write_history

ROUNDS = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run, long enough for lines of several generations."""
    directory = tmp_path_factory.mktemp("made-up")
    write_history(directory, rounds=ROUNDS, seed=11)
    return directory


@pytest.fixture(scope="module")
def lives(run: Path) -> Lives:
    """Everybody's life."""
    with open_run(run) as connection:
        return read_lives(connection)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_equals_scipy(data: list[tuple[int, bool]]) -> None:
    """Estimates and log-log intervals, with ties and censoring."""
    stats = pytest.importorskip("scipy.stats")
    durations = np.array([float(one) for one, _ in data])
    died = np.array([one for _, one in data])
    curve = kaplan_meier(durations, died)
    assert curve.lives == len(data)
    assert curve.censored == int((~died).sum())
    if not died.any():
        assert len(curve.time) == 0
        assert curve.median().value is None
        return
    theirs = stats.ecdf(stats.CensoredData(uncensored=durations[died], right=durations[~died])).sf
    place = np.searchsorted(theirs.quantiles, curve.time)
    assert np.allclose(curve.survival, theirs.probabilities[place], atol=1e-12)
    low, high = interval_of(theirs)
    inside = (curve.survival > 0.0) & (curve.survival < 1.0)
    assert np.allclose(curve.low[inside], low[place][inside], atol=1e-9)
    assert np.allclose(curve.high[inside], high[place][inside], atol=1e-9)
    assert np.isnan(curve.low[~inside]).all()


def interval_of(sf: object) -> tuple[np.ndarray, np.ndarray]:
    """Return scipy's log-log interval; it warns where the variance is undefined."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sf.confidence_interval(0.95, method="log-log")  # type: ignore[attr-defined]
    return found.low.probabilities, found.high.probabilities


def test_the_median_is_the_first_time_at_which_half_are_gone() -> None:
    """And a reason where more than half survive."""
    assert kaplan_meier(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4, dtype=bool)).median().value == 2.0
    curve = kaplan_meier(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, False, False]))
    assert curve.median() == (None, "more than half survive")
    assert kaplan_meier(np.zeros(0), np.zeros(0, dtype=bool)).median() == (None, "nobody has graduated")


def test_lives_are_what_the_events_say(run: Path, lives: Lives) -> None:
    """Graduation, own damage, scars, children, causes and equity, read once more row by row."""
    from lineage.ask.facts import facts

    tree = lives.tree
    with open_run(run) as connection:
        told = facts(connection, tree.ids.tolist(), ROUNDS - 1)
    for row, fact in enumerate(told):
        assert (fact.graduation_round if fact.graduation_round is not None else -1) == lives.graduation[row]
        assert fact.damage == lives.damage[row]
        assert (fact.scars, fact.offspring) == (lives.scars[row], lives.offspring[row])
        assert (fact.cause is None) == bool(tree.extant[row])
        assert fact.cause is None or lives.causes[lives.cause[row]] == fact.cause
        known = fact.equity is not None and (fact.death_round is not None or lives.graduated[row])
        assert not known or lives.equity[row] == pytest.approx(fact.equity)


def brute_hazard(lives: Lives) -> dict[str, list[int]]:
    """Return {band: [rounds at risk, deaths]} by walking through every round of every life."""
    names = band_names(DAMAGE_BANDS)
    found = {name: [0, 0] for name in names}
    tree = lives.tree
    for row in np.flatnonzero(lives.graduated).tolist():
        mine = lives.scar_row == row
        end = int(lives.end[row])
        for now in range(int(lives.graduation[row]) + 1, end + 1):
            damage = int(lives.birthmark[row] + lives.scar_damage[mine & (lives.scar_round < now)].sum())
            name = names[sum(damage >= low for low in DAMAGE_BANDS) - 1]
            found[name][0] += 1
            found[name][1] += int(now == end and not tree.extant[row])
    return found


def test_hazards_equal_counting_rounds(lives: Lives) -> None:
    """Damage as it was before each round; all deaths of graduates are counted once."""
    expected = brute_hazard(lives)
    for hazard in hazard_by_damage(lives):
        risk, deaths = expected[hazard.band]
        assert (hazard.rounds_at_risk, hazard.deaths) == (risk, deaths)
        assert hazard.rate == (deaths / risk if risk else None)
    dead = int((lives.graduated & ~lives.tree.extant).sum())
    assert dead > 5
    for found in (hazard_by_damage(lives), hazard_by_birthmark(lives)):
        assert sum(one.deaths for one in found) == dead
        assert sum(one.rounds_at_risk for one in found) == np.nansum(lives.trading_rounds)
    assert [one.band for one in hazard_by_birthmark(lives)] == band_names(BIRTHMARK_BANDS)


def test_poisson_intervals_are_close_to_exact() -> None:
    """Byar's approximation is within a few percent of the exact interval from three deaths on."""
    stats = pytest.importorskip("scipy.stats")
    from lineage.ask.survival import _rate

    for deaths in (3, 5, 10, 40, 200):
        rate, low, high = _rate(deaths, 100.0)
        assert rate == deaths / 100.0
        assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * deaths) / 200.0, rel=0.05)
        assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * deaths + 2) / 200.0, rel=0.02)
    assert _rate(0, 0.0) == (None, None, None)
    assert _rate(0, 10.0)[:2] == (0.0, 0.0)


def test_curves_by_band_cover_everybody(lives: Lives) -> None:
    """Each graduate is in one curve."""
    curves = survival_by(lives, lives.tree.depth, (0, 1, 2))
    assert sum(curve.lives for curve in curves.values()) == survival_curve(lives).lives == lives.graduated.sum()


def test_the_origins_of_a_birthmark_add_up_to_it(lives: Lives) -> None:
    """Every point that an agent was born with began as a scar of somebody on its line."""
    deep = 0
    for row in range(len(lives.tree)):
        line = line_of_scars(lives, row)
        assert line[-1].agent_id == lives.tree.ids[row]
        assert [one.depth for one in line] == list(range(int(lives.tree.depth[row]) + 1))
        assert sum(one.handed_down for one in line) == pytest.approx(float(lives.birthmark[row]))
        deep += lives.birthmark[row] > 0 and lives.tree.depth[row] > 1
    assert deep > 0


def test_generations_add_up(lives: Lives) -> None:
    """Inherited and own damage over all generations."""
    rows = by_generation(lives)
    assert sum(one.agents for one in rows) == len(lives.tree)
    assert sum(one.agents * one.own_damage for one in rows) == pytest.approx(float(lives.own_damage.sum()))
    assert sum(one.agents * one.birthmark for one in rows) == pytest.approx(float(lives.birthmark.sum()))
    assert rows[0].inherited_share == 0.0


def test_correlations_are_pearsons_and_their_interval_is_fishers() -> None:
    """Against numpy and scipy; siblings narrow nothing; undefined ones say why."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    x = rng.normal(size=60)
    y = 0.6 * x + rng.normal(size=60)
    found = correlation("", x, y, np.arange(60))
    theirs = stats.pearsonr(x, y)
    interval = theirs.confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx((theirs.statistic, interval.low, interval.high))
    fewer = correlation("", x, y, np.arange(60) // 3)
    assert fewer.parents == 20
    assert fewer.low is not None and found.low is not None and fewer.low < found.low
    assert correlation("", x[:2], y[:2], np.arange(2)).reason == "fewer than three pairs are known"
    assert correlation("", np.ones(9), y[:9], np.arange(9)).reason == "one side is the same for all"
    assert correlation("", np.append(x, np.nan), np.append(y, 1.0), np.arange(61)).pairs == 60


def test_heritability_names_what_it_compares(lives: Lives) -> None:
    """Three correlations, each with its pairs or its reason."""
    found = heritability(lives)
    assert [one.name.partition(",")[0] for one in found] == [
        "own damage a round", "growth a round", "birthmark and own damage a round",
    ]  # fmt: skip
    assert all((one.value is None) == (one.reason.startswith(("fewer", "one"))) for one in found)
