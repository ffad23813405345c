"""A round of the world: who is born, who dies, what is recorded, and what Mesa sees of it."""

import gc
import weakref

import mesa
import numpy as np
import pytest

from arena.body.state import APPRENTICE, TRADING
from arena.errors import StaleAgentError
from lineage.world import World
from tests.worlds import bless, play, same, tiny_config, tiny_world


def test_founders_take_the_seats_and_their_endowments_wait_in_trust() -> None:
    """Every founder starts on paper with its real money in trust."""
    world = tiny_world("life.founders_fraction=0.75")
    assert world.census() == {"trading": 0, "apprentices": 6, "estates": 0, "empty": 2}
    assert world.bodies.trust.tolist() == [10_000.0] * 6 + [0.0] * 2


def test_apprentices_graduate_after_their_rounds() -> None:
    """Three rounds on paper, then real trading and a graduation event for everybody."""
    world = tiny_world()
    records = play(world, 3)
    graduates = [event for record in records for event in record.events if event.kind == "graduation"]
    assert len(graduates) == 8
    assert (world.bodies.status[world.arena.living()] == TRADING).all()


def test_fit_parent_has_a_child_that_carries_its_mark() -> None:
    """A birth is paid by the parent, recorded on both sides, and the child inherits a quarter of the damage."""
    world = tiny_world("life.founders_fraction=0.75", "scars.heritability=0.25", "body.living_cost_bps=0")
    play(world, 3)
    bless(world, 0)
    world.bodies.damage[0] = 17
    cash = float(world.bodies.cash[0])
    record = play(world, 1)[0]
    spawns = [event for event in record.events if event.kind == "spawn"]
    births = [birth for birth in record.births if birth.parent_id == 1]
    assert [event.payload["child"] for event in spawns] == [birth.agent_id for birth in births] == [7]
    assert births[0].birthmark == int(0.25 * world.bodies.damage[0])
    assert world.bodies.damage[births[0].seat] == births[0].birthmark
    assert world.bodies.status[births[0].seat] == APPRENTICE
    assert world.bodies.cash[0] < cash
    assert world.family[7].depth == 1


def test_scripted_strategies_sit_where_the_population_says() -> None:
    """Named strategies take the first seats of each market and trade real money at once."""
    world = tiny_world("population.trend=2", "population.hold=1", "arena.markets=2")
    kinds = [view.mind for view in world.agents]
    assert kinds.count("trend") == 4
    assert kinds.count("hold") == 2
    assert kinds.count("dqn") == 10
    play(world, 2)
    assert (world.bodies.closed_trades + (world.bodies.shares > 0))[:3].sum() > 0


def test_estate_pays_for_immigrants_and_nobody_else_does() -> None:
    """Without money in the estate nobody comes; with it a stranger takes a free seat, recorded with its payer."""
    world = tiny_world("life.founders_fraction=0.5", "life.immigration_per_round=1.0")
    assert not [event for event in play(world, 1)[0].events if event.kind == "immigration"]
    world.accounts.estate[0] += 10_000.0
    world.accounts.house_cash[0] -= 10_000.0
    record = play(world, 1)[0]
    arrivals = [event for event in record.events if event.kind == "immigration"]
    assert [event.payload["payer"] for event in arrivals] == ["estate"]
    assert record.births[-1].inheritance == "immigrant"


def test_patron_pays_only_where_the_scenario_allows_it() -> None:
    """With a patron, immigrants come although the estate is empty, and every injection is booked."""
    world = tiny_world("life.founders_fraction=0.5", "life.immigration_per_round=1.0", "life.patron=true")
    record = play(world, 1)[0]
    payers = [event.payload["payer"] for event in record.events if event.kind == "immigration"]
    assert payers == ["patron"]
    assert world.accounts.patron[0] == 10_000.0
    assert record.markets["flow_patron"][0] == 10_000.0


def test_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    """Bodies and minds after some rounds are byte-identical for one seed only."""
    one, two, other = tiny_world(seed=5), tiny_world(seed=5), tiny_world(seed=6)
    for world in (one, two, other):
        play(world, 4)
    assert all(same(value, two.state_arrays()[name]) for name, value in one.state_arrays().items())
    assert not same(one.bodies.equity, other.bodies.equity)


def test_state_restored_into_a_new_world_goes_on_identically() -> None:
    """A checkpoint taken between two rounds loses nothing."""
    first = tiny_world()
    play(first, 5)
    saved = {name: value.copy() for name, value in first.state_arrays().items()}
    second = tiny_world()
    second.restore(saved, first.family)
    record, again = play(first, 1)[0], second.play_round()
    assert record.events == again.events
    assert all(same(record.agents[name], again.agents[name]) for name in record.agents)
    assert all(same(value, second.state_arrays()[name]) for name, value in first.state_arrays().items())


def test_one_market_alone_equals_the_same_market_among_eight() -> None:
    """With scripted agents a market does not know whether it has neighbours: bars and accounts are bit-identical."""
    scripted = ("population.random=3", "population.trend=3", "population.meanrev=2", "life.immigration_per_round=0")
    alone = tiny_world(*scripted, "arena.markets=1")
    among = tiny_world(*scripted, "arena.markets=8")
    # Random strategies draw by agent id, and ids are handed out market by market: market 0 holds the same ids.
    for record, other in zip(play(alone, 10), play(among, 10), strict=True):
        for name in ("open", "high", "low", "close", "volume", "vwap"):
            assert same(record.bars[name][:, 0], np.ascontiguousarray(other.bars[name][:, 0]))
        for name, value in record.markets.items():
            assert same(value, other.markets[name][:1].astype(value.dtype)), name
    assert same(alone.bodies.cash, among.bodies.cash[:8])


def test_views_read_the_living_and_refuse_to_speak_for_the_dead() -> None:
    """A view follows its agent; once the agent is dead every property raises."""
    world = tiny_world()
    play(world, 3)
    view = next(iter(world.agents.select(lambda agent: agent.unique_id == 3)))
    assert view.equity == world.bodies.equity[2]
    assert view.generation == 0
    assert set(view.genes) >= {"gamma", "learning_rate"}
    world.bodies.damage[2] = 100
    play(world, 1)
    assert view not in world.agents
    with pytest.raises(StaleAgentError, match="agent 3 is dead"):
        _ = view.equity


def test_view_stays_stale_when_a_newborn_takes_the_seat() -> None:
    """The next agent in the seat is somebody else."""
    world = tiny_world("life.immigration_per_round=5")
    play(world, 3)
    view = next(iter(world.agents.select(lambda agent: agent.unique_id == 1)))
    world.bodies.damage[0] = 100
    world.accounts.estate[0] += 50_000.0
    world.accounts.house_cash[0] -= 50_000.0
    play(world, 3)
    assert world.bodies.agent_id[0] > 8
    with pytest.raises(StaleAgentError):
        _ = view.cash


def test_mesa_steps_collects_and_counts() -> None:
    """step() is a round; the data collector has a row of model reporters for each."""
    world = tiny_world()
    world.step()
    world.step()
    frame = world.datacollector.get_model_vars_dataframe()
    assert world.steps == 2
    assert frame["alive"].tolist() == [8, 8]
    assert len(world.agents) == 8


def test_world_runs_under_mesa_batch_run() -> None:
    """Mesa's own batch runner plays worlds for several seeds and returns their reporters."""
    rows = mesa.batch_run(
        World, {"config": [tiny_config()], "seed": [1, 2]}, number_processes=1, max_steps=2, display_progress=False
    )
    assert {row["seed"] for row in rows} == {1, 2}
    assert all(row["born"] == 8 for row in rows)


def test_a_world_is_freed_after_use() -> None:
    """Mesa 3.3 keeps models alive through class-level ids; our views do not go there."""
    world = tiny_world()
    play(world, 1)
    trace = weakref.ref(world)
    del world
    gc.collect()
    assert trace() is None


def test_lineage5_preset_plays() -> None:
    """The other reward is a switch away and gives other minds."""
    default, preset = tiny_world(), tiny_world("reward.preset=lineage5")
    play(default, 4)
    play(preset, 4)
    assert not same(default.state_arrays()["brains.params"], preset.state_arrays()["brains.params"])


@pytest.mark.parametrize("mode", ["darwinian", "baldwinian", "lamarckian"])
def test_each_inheritance_mode_breeds(mode: str) -> None:
    """A child is born under every mode and its birth names it."""
    world = tiny_world("life.founders_fraction=0.75", f"lineage.inheritance={mode}")
    play(world, 4)
    bless(world, 1)
    births = [birth for birth in play(world, 1)[0].births if birth.parent_id == 2]
    assert [birth.inheritance for birth in births] == [mode]
    parent, child = (world.state_arrays()["brains.params"][seat] for seat in (1, births[0].seat))
    assert same(parent, child) == (mode == "lamarckian")


def test_poisoned_learner_raises_an_alarm_and_harms_nobody_else() -> None:
    """Weights that are not finite stop that agent's learning, with an event; the run and the others go on."""
    world, healthy = tiny_world(), tiny_world()
    for each in (world, healthy):
        play(each, 4)
    world.state_arrays()["brains.params"][2] = np.nan
    record = play(world, 1)[0]
    play(healthy, 1)
    alarms = [(event.agent_id, event.payload["check"]) for event in record.events if event.kind == "alarm"]
    assert (3, "gradients_flow") in alarms
    assert {agent for agent, _ in alarms} == {3}
    others = np.arange(8) != 2
    assert same(world.minds.brains.steps.numpy()[others], healthy.minds.brains.steps.numpy()[others])


def test_a_parent_rests_between_two_births() -> None:
    """However fit it is, its next child comes `spawn_cooldown_rounds` later, and not a round earlier."""
    world = tiny_world("life.founders_fraction=0.5", "life.spawn_cooldown_rounds=3", "body.living_cost_bps=0",
                       "rounds=20")  # fmt: skip
    play(world, 3)
    bless(world, 0)
    records = play(world, 4)
    born = [record.round for record in records for birth in record.births if birth.parent_id == 1]
    assert born == [3, 6]
