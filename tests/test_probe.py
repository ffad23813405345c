"""The probe: the same market for everybody, nothing of it reaches the run, and it tells better from worse."""

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents import genome
from agents.mind import DQN
from arena import spec
from lineage import probe
from lineage.probe import Probe, due
from lineage.world import World
from tests.worlds import play, same, tiny_config, tiny_world

COSTLY = "body.fee_bps=50"


def always(world: World, seat: int, order: list[int]) -> None:
    """Give a seat a policy that takes the first legal action of `order` whatever it sees."""
    layout = world.minds.brains.layout
    row = np.zeros(layout.n_params, dtype=np.float32)
    bias = brain.views(layout, torch.from_numpy(row)[None]).b3[0, :, 0]
    for rank, action in enumerate(order):
        bias[action] = 10.0 * (len(order) - rank)
    world.minds.brains.params[seat] = torch.from_numpy(row)


HOLD_CASH = [spec.HOLD]
BUY_AND_HOLD = [spec.BUY_LARGE, spec.HOLD]
CHURN = [spec.BUY_LARGE, spec.SELL_ALL]


def gains(world: World, seats: list[int] | None = None) -> np.ndarray:
    """Return the gains of some seats, all by default, from a fresh probe."""
    judged = np.isin(np.arange(world.arena.population), range(world.arena.population) if seats is None else seats)
    return Probe(world.config).gains(world.minds, world.bodies.agent_id, judged)


def test_a_policy_that_did_not_change_has_gained_nothing() -> None:
    """Exactly 0 for whoever is as born; NaN for those who are not asked."""
    world = tiny_world()
    told = gains(world, [1, 4])
    assert told[[1, 4]].tolist() == [0.0, 0.0]
    assert np.isnan(np.delete(told, [1, 4])).all()


def test_growth_is_what_the_account_makes_of_known_policies() -> None:
    """Never trading makes 0; a round trip every second tick loses fees and impact, and more where fees are higher."""
    lost = []
    for fee in (0, 50):
        world = tiny_world(f"body.fee_bps={fee}", "market.impact_bps=4")
        always(world, 0, HOLD_CASH)
        always(world, 1, CHURN)
        weights, genes = world.minds.brains.params[:2], world.minds.genes[:2].copy()
        genes[:, genome.POSITION_SCALE], genes[:, genome.STOP_ATR] = 10.0, 30.0  # full size, a stop far away
        flat, churn = Probe(world.config).growth(world.minds, weights, genes)
        assert flat == 0.0
        lost.append(churn)
    # 40 ticks are 20 round trips of .9 of the equity: 40 fills of 50 bp on .9, a thousand ticks 1,000 such fills
    assert lost[0] - lost[1] == pytest.approx(1000 * 0.9 * 0.0050, rel=0.05)


def test_the_market_is_that_of_the_scenario() -> None:
    """Buying and holding gains in a rising drift of the same path and is another in another scenario."""
    grown = {}
    for drift in (0.0, 0.01):
        world = tiny_world(f"market.drift={drift}", "market.drift_stay=1.0", "market.impact_bps=0")
        always(world, 0, BUY_AND_HOLD)
        grown[drift] = float(gains(world, [0])[0])
    assert grown[0.0] != grown[0.01]


def test_nobody_notices_who_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, all together, in other seats, in chunks of three: the same bits. So a resumed run agrees."""
    world = tiny_world()
    play(world, 6)
    together = gains(world)
    alone = np.array([gains(world, [seat])[seat] for seat in range(8)])
    assert same(together, alone)
    assert len(set(together.tolist())) == 8, "nobody learned: the test is empty"
    monkeypatch.setattr(probe, "_CHUNK", 3)
    assert same(together, gains(world))


def test_a_birth_policy_plays_once_a_life() -> None:
    """What it made is remembered by id and forgotten with the dead; the figures are the same."""
    world = tiny_world()
    play(world, 3)
    one = Probe(world.config)
    judged = np.ones(8, bool)
    first = one.gains(world.minds, world.bodies.agent_id, judged)
    assert len(one._at_birth) == 8
    again = one.gains(world.minds, world.bodies.agent_id, judged)
    assert same(first, again)
    one.gains(world.minds, world.bodies.agent_id, np.arange(8) < 2)
    assert len(one._at_birth) == 2


def test_scripts_are_not_asked() -> None:
    """Only learners have a birth policy."""
    world = tiny_world("population.trend=2")
    told = gains(world)
    assert np.isnan(told[world.minds.kind != DQN]).all() and np.isfinite(told[world.minds.kind == DQN]).all()


def test_a_probe_leaves_the_run_as_it_is() -> None:
    """With probes or without: the same bodies, minds and prices; only the column and the checks know of it."""
    asked, not_asked = tiny_world("mind.probe_every=2"), tiny_world("mind.probe_every=0")
    for one, other in zip(play(asked, 8), play(not_asked, 8), strict=True):
        probed = ~np.isnan(one.agents["probe_gain"])
        old_enough = one.agents["age_rounds"] >= 2
        assert np.array_equal(probed, old_enough & (one.agents["status"] < 3) & ((one.round + 1) % 2 == 0))
        assert np.isnan(other.agents["probe_gain"]).all()
        for name in set(one.agents) - {"probe_gain"}:
            assert same(one.agents[name], other.agents[name]), name
    states = asked.state_arrays(), not_asked.state_arrays()
    assert all(same(states[0][name], states[1][name]) for name in states[0] if not name.startswith("checks."))


def test_a_restored_world_is_probed_alike() -> None:
    """The probe is no part of a checkpoint."""
    first = tiny_world("mind.probe_every=4")
    play(first, 5)
    second = World(tiny_config("mind.probe_every=4"), 1)
    second.restore({name: value.copy() for name, value in first.state_arrays().items()}, first.family)
    for one, other in zip(play(first, 3), play(second, 3), strict=True):
        assert same(one.agents["probe_gain"], other.agents["probe_gain"])
        assert one.events == other.events


def test_a_tape_is_replaced_by_a_synthetic_market() -> None:
    """The probe must not show anybody the tape's future."""
    config = tiny_config()
    world = World(config, 1)
    tape = type(config.market)(source="tape", tape_name="x.csv")
    other = Probe(type(config)(market=tape, mind=config.mind, arena=config.arena))
    assert np.isfinite(other.growth(world.minds, world.minds.brains.params[:1], world.minds.genes[:1])).all()


@pytest.mark.parametrize(
    ("every", "rounds"), [(0, []), (1, [0, 1, 2, 3, 4, 5]), (3, [2, 5]), (50, [])], ids=["never", "always", "3", "50"]
)
def test_probes_are_due_at_the_end_of_every_so_many_rounds(every: int, rounds: list[int]) -> None:
    """The first after so many rounds."""
    assert [index for index in range(6) if due(every, index)] == rounds


def test_a_mind_that_got_worse_is_found_and_one_that_got_better_is_not() -> None:
    """Sabotage: of two minds that stopped trading and two that churn, the churners have lost, also to the alarm."""
    world = tiny_world("mind.probe_every=1", COSTLY, "mind.learn_start=255")
    for seat, order in enumerate((HOLD_CASH, HOLD_CASH, CHURN, CHURN)):
        always(world, seat, order)
    world.minds.brains.birth_params[:4] = world.minds.brains.params[0]  # born without a wish to trade
    told = gains(world)
    assert np.all(told[2:4] < -1.0) and told[:2].tolist() == [0.0, 0.0]
    alarms = [event for record in play(world, 3) for event in record.events if event.kind == "alarm"]
    behind = {event.agent_id for event in alarms if event.payload["check"] == "beats_birth"}
    assert behind == {3, 4}
