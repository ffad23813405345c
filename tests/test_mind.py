"""The population of minds: births, deaths, inheritance, checkpoints, and independence of seats."""

from typing import Literal

import numpy as np
import pytest
import torch

from agents import genome
from agents.config import GenomeConfig, MindConfig
from agents.mind import DQN, EMPTY_MIND, Minds, kind_of
from agents.replay import CUT
from agents.scripted import STRATEGIES
from arena.errors import ConfigError, StoreError
from arena.rng import stream
from arena.spec import HOLD, N_ACTIONS, OBS_DIM

SEED = 11
CONFIG = MindConfig(hidden=(16, 24), batch=8, replay_capacity=64, learn_start=10)
FAST_DECAY = GenomeConfig(epsilon_decay_ticks=(5.0, 10.0, 20.0))


def population(seats: int = 5, config: MindConfig = CONFIG, learner: str = "fast", threads: int = 1) -> Minds:
    """Return empty seats."""
    path: Literal["fast", "reference"] = "fast" if learner == "fast" else "reference"
    return Minds(config, FAST_DECAY, seats, SEED, learner=path, threads=threads)


class World:
    """A stand-in for a market: what an agent meets is a function of its id and the tick."""

    def __init__(self, minds: Minds) -> None:
        """All seats are empty (id -1)."""
        self.minds = minds
        self.ids = np.full(minds.seats, -1, dtype=np.int64)
        self.tick = 0

    def found(self, seat: int, agent: int, kind: int = DQN) -> None:
        """Seat a founder."""
        self.minds.new_founder(seat, agent, kind)
        self.ids[seat] = agent

    def step(self, ticks: int = 1) -> list[dict[int, int]]:
        """Live some ticks; return the actions by agent id."""
        told = []
        seats = len(self.ids)
        for _ in range(ticks):
            rngs = [stream(1, "world", int(agent), self.tick) for agent in self.ids]
            obs = np.stack([rng.normal(size=OBS_DIM).astype(np.float32) for rng in rngs])
            mask = np.stack([rng.random(N_ACTIONS) < 0.6 for rng in rngs])
            mask[:, HOLD] = True
            living = self.ids >= 0
            regime = np.ones(seats, dtype=np.int8)
            actions = self.minds.act(obs, mask, self.ids, regime, self.tick, living)
            assert np.all(mask[np.arange(seats), actions])
            reward = np.array([rng.normal() for rng in rngs]) + 0.1 * actions
            done = np.array([rng.random() < 0.05 for rng in rngs])
            self.minds.remember(living, obs, mask, actions, reward, done)
            self.minds.learn(self.ids, self.tick, living)
            told.append({int(a): int(c) for a, c in zip(self.ids, actions, strict=True) if a >= 0})
            self.tick += 1
        return told


def seat_bytes(minds: Minds, seat: int) -> dict[str, bytes]:
    """Return everything that one seat holds, by name."""
    return {name: np.ascontiguousarray(value[seat]).tobytes() for name, value in minds.state_arrays().items()}


def differing(one: dict[str, bytes], two: dict[str, bytes]) -> set[str]:
    """Return the names whose bytes differ."""
    return {name for name in one if one[name] != two[name]}


def lived(agents: list[int], ticks: int = 40, config: MindConfig = CONFIG, threads: int = 1) -> World:
    """Return a world in which founders with these ids have lived for some ticks."""
    world = World(population(len(agents), config, threads=threads))
    for seat, agent in enumerate(agents):
        world.found(seat, agent)
    world.step(ticks)
    return world


@pytest.mark.parametrize("mode", ["founder", "darwinian", "baldwinian", "lamarckian"])
def test_a_newborn_shares_nothing_with_the_dead_agent_whose_seat_it_takes(mode: str) -> None:
    """Weights, target, moments, steps, replay, genes, vitals and clock are those of a newborn in a fresh seat."""
    world, other = lived([1, 2, 3]), lived([1, 2, 3])
    fresh = World(population(4))
    for seat in range(3):
        for name, value in fresh.minds.state_arrays().items():
            value[seat] = other.minds.state_arrays()[name][seat]
    fresh.tick = world.tick
    for place, seat in ((world, 2), (fresh, 3)):  # seat 2 had a life before, seat 3 never
        if mode == "founder":
            place.minds.new_founder(seat, 77)
        else:
            place.minds.new_heir(seat, 77, 0, mode)  # type: ignore[arg-type]
        place.ids[:] = -1
        place.ids[seat] = 77
    assert differing(seat_bytes(world.minds, 2), seat_bytes(fresh.minds, 3)) == set()
    assert world.step(20) == fresh.step(20), "the random stream depends on more than the id"
    assert differing(seat_bytes(world.minds, 2), seat_bytes(fresh.minds, 3)) == set()


def test_the_check_above_finds_a_mind_that_leaks() -> None:
    """Sabotage: leave one trace of the dead in any array of the seat and the comparison sees it."""
    world, fresh = lived([1, 2, 3]), World(population(3))
    world.minds.new_founder(2, 77)
    fresh.minds.new_founder(2, 77)
    clean = seat_bytes(fresh.minds, 2)
    assert differing(seat_bytes(world.minds, 2), clean) == set()
    for name, value in world.minds.state_arrays().items():
        raw = value[2:3].view(np.uint8).reshape(-1)
        raw[-1] ^= 1
        assert differing(seat_bytes(world.minds, 2), clean) == {name}
        raw[-1] ^= 1


def test_darwinian_heirs_get_the_genome_and_nothing_else() -> None:
    """Mutated genes, the fresh weights of their own id, empty replay, young clock."""
    minds = lived([1, 2]).minds
    genes = minds.genes[0].copy()
    minds.new_heir(1, 50, 0, "darwinian")
    fresh = population(2)
    fresh.new_founder(1, 50)
    assert np.array_equal(minds.genes[1], genome.mutate(genes, FAST_DECAY, SEED, 50))
    assert differing(seat_bytes(minds, 1), seat_bytes(fresh, 1)) == {"minds.genes"}


def test_baldwinian_heirs_get_the_parents_birth_weights() -> None:
    """Not what the parent learned since; no moments, no replay, young clock."""
    minds = lived([1, 2]).minds
    minds.new_heir(1, 50, 0, "baldwinian")
    brains = minds.brains
    for buffer in (brains.params, brains.target, brains.birth_params):
        assert torch.equal(buffer[1], brains.birth_params[0])
    assert not torch.equal(brains.params[1], brains.params[0])
    assert not brains.moment1[1].any() and not brains.moment2[1].any() and int(brains.steps[1]) == 0
    assert minds.replay.filled[1] == 0 and not minds.replay.obs[1].any()
    assert minds.age_ticks[1] == 0


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize(("share", "rows"), [(0.25, 16), (0.0, 0), (1.0, 40)])
def test_lamarckian_heirs_get_the_learned_weights_and_what_is_asked_for(moments: bool, share: float, rows: int) -> None:
    """Present weights; moments and steps if asked; the newest share of the replay's capacity; the parent's clock."""
    minds = lived([1, 2]).minds
    minds.new_heir(1, 50, 0, "lamarckian", 0.0, moments, share)
    brains = minds.brains
    for buffer in (brains.params, brains.target, brains.birth_params):
        assert torch.equal(buffer[1], brains.params[0])
    assert torch.equal(brains.moment1[1], brains.moment1[0]) == moments
    assert brains.moment2[1].any().item() == moments
    assert int(brains.steps[1]) == (int(brains.steps[0]) if moments else 0)
    assert minds.replay.filled[1] == rows
    assert np.array_equal(minds.replay.obs[1, :rows], minds.replay.obs[0, 40 - rows : 40])
    assert not minds.replay.obs[1, rows:].any()
    assert not rows or minds.replay.done[1, rows - 1] == CUT
    assert minds.age_ticks[1] == minds.age_ticks[0] == 40


def test_inherited_weights_are_mutated_by_child_id() -> None:
    """With weight_mutation, heirs of one parent differ from it and from each other, and the birth is remembered."""
    minds = lived([1, 2, 3]).minds
    minds.new_heir(1, 50, 0, "lamarckian", 0.1)
    minds.new_heir(2, 51, 0, "lamarckian", 0.1)
    params, birth = minds.brains.params, minds.brains.birth_params
    assert not torch.equal(params[1], params[0]) and not torch.equal(params[1], params[2])
    assert torch.equal(params[1:], birth[1:])
    change = (params[1] - params[0]).norm() / params[0].norm()
    assert 0.05 < float(change) < 0.2


def test_a_birth_touches_no_other_seat() -> None:
    """The parent included."""
    world = lived([1, 2, 3, 4])
    before = [seat_bytes(world.minds, seat) for seat in range(4)]
    world.minds.new_heir(2, 50, 0, "lamarckian", 0.1)
    for seat in (0, 1, 3):
        assert differing(before[seat], seat_bytes(world.minds, seat)) == set()


def test_scripted_minds_do_not_learn_and_breed_their_kind() -> None:
    """No weights, no replay, no updates; the child plays the same strategy."""
    world = World(population(3))
    world.found(0, 1, kind_of("random"))
    world.found(1, 2, kind_of("oracle"))
    world.step(30)
    world.minds.new_heir(2, 9, 1, "lamarckian")
    assert world.minds.kind.tolist() == [1, 5, 5]
    assert not world.minds.brains.params.any() and not world.minds.replay.filled.any()
    assert np.all(np.isnan(world.minds.end_round()["loss"]))


def test_a_checkpoint_continues_bit_for_bit() -> None:
    """Saved in mid-life and restored into fresh minds: the same actions, the same state, the same fingerprint."""
    world = lived([1, 2, 3, 4], 33)
    world.minds.new_heir(1, 60, 0, "lamarckian", 0.1)
    world.ids[1] = 60
    saved = {name: value.copy() for name, value in world.minds.state_arrays().items()}
    again = World(population(4))
    again.minds.restore(saved)
    again.ids[:], again.tick = world.ids, world.tick
    assert again.minds.fingerprint() == world.minds.fingerprint()
    assert world.step(40) == again.step(40)
    assert again.minds.fingerprint() == world.minds.fingerprint()
    for seat in range(4):
        assert differing(seat_bytes(world.minds, seat), seat_bytes(again.minds, seat)) == set()


def test_a_checkpoint_without_one_array_or_of_another_shape_is_refused() -> None:
    """Every array of the state, by name."""
    minds = lived([1, 2], 5).minds
    saved = {name: value.copy() for name, value in minds.state_arrays().items()}
    for name in saved:
        with pytest.raises(StoreError, match=name.split(".")[1]):
            minds.restore({key: value for key, value in saved.items() if key != name})
        with pytest.raises(StoreError, match=name.split(".")[1]):
            minds.restore(saved | {name: saved[name][:1]})


def test_the_fingerprint_sees_every_learned_array() -> None:
    """One changed number in any of five buffers."""
    minds = lived([1, 2], 15).minds
    known = {minds.fingerprint()}
    for name in ("params", "target", "moment1", "moment2", "steps"):
        getattr(minds.brains, name).reshape(-1)[3 if name != "steps" else 1] += 1
        known.add(minds.fingerprint())
    assert len(known) == 6


def test_seats_do_not_matter() -> None:
    """The same agents in other seats, with empty seats between: the same actions and the same bytes."""
    plain = World(population(4))
    for seat in range(4):
        plain.found(seat, seat + 1, kind_of("trend") if seat == 3 else DQN)
    mixed = World(population(7))
    places = [5, 0, 3, 2]
    for agent, seat in enumerate(places, start=1):
        mixed.found(seat, agent, kind_of("trend") if agent == 4 else DQN)
    assert plain.step(60) == mixed.step(60)
    for seat, place in enumerate(places):
        assert differing(seat_bytes(plain.minds, seat), seat_bytes(mixed.minds, place)) == set()


def test_the_number_of_threads_does_not_matter() -> None:
    """One worker or two: the same actions, the same bytes, vital signs included."""
    told = []
    for threads in (1, 2):
        world = lived(list(range(1, 12)), 30, threads=threads)
        signs = world.minds.end_round()
        told.append((world.step(5), world.minds.fingerprint(), {k: v.tobytes() for k, v in signs.items()}))
    assert told[0] == told[1]


def test_a_death_elsewhere_changes_nothing() -> None:
    """Agent 2 dies at tick 30; the others live on as in the world in which it did not."""
    one, two = lived([1, 2, 3], 30), lived([1, 2, 3], 30)
    two.minds.clear_seat(1)
    two.ids[1] = -1
    with_it, without = one.step(30), two.step(30)
    assert [{k: v for k, v in told.items() if k != 2} for told in with_it] == without
    assert not np.any(two.minds.state_arrays()["brains.params"][1])
    assert two.minds.kind[1] == EMPTY_MIND


@pytest.mark.parametrize(
    "changes",
    [{}, {"n_step": 3}, {"dueling": False, "double": False}, {"target": "hard", "hard_target_every": 5},
     {"target": "none", "mask_bellman": False}, {"updates_per_phase": 3}],
    ids=str,
)  # fmt: skip
def test_both_learners_live_the_same_life(changes: dict[str, object]) -> None:
    """Fast and reference agree to float32 rounding after 30 ticks of acting, remembering and learning."""
    fields = {"hidden": (16, 24), "batch": 8, "replay_capacity": 64, "learn_start": 10}
    config = MindConfig(**(fields | changes))  # type: ignore[arg-type]
    worlds = [World(population(3, config, learner)) for learner in ("fast", "reference")]
    for world in worlds:
        for seat in range(3):
            world.found(seat, seat + 1)
        world.step(30)
    fast, reference = (world.minds.brains for world in worlds)
    assert torch.allclose(fast.params, reference.params, atol=1e-5)
    assert torch.equal(fast.steps, reference.steps)
    phases = config.updates_per_phase
    assert fast.steps.tolist() == [21 * phases] * 3


def test_learning_starts_with_enough_experience_and_keeps_its_rhythm() -> None:
    """learn_start 10 and update_every 4: updates at ticks 12, 16, 20."""
    config = MindConfig(hidden=(8, 8), batch=4, replay_capacity=64, learn_start=10, update_every=4)
    world = World(population(2, config))
    world.found(0, 1)
    steps = []
    for _ in range(21):
        world.step()
        steps.append(int(world.minds.brains.steps[0]))
    assert np.flatnonzero(np.diff([0, *steps])).tolist() == [12, 16, 20]


def test_learn_counts_agent_updates() -> None:
    """Two of three seats are taken, two updates a phase."""
    config = MindConfig(hidden=(8, 8), batch=4, replay_capacity=64, learn_start=3, updates_per_phase=2)
    world = World(population(3, config))
    world.found(0, 1)
    world.found(2, 5)
    world.step(5)
    living = world.ids >= 0
    assert world.minds.learn(world.ids, 5, living) == 4
    assert world.minds.learn(world.ids, 5, np.zeros(3, bool)) == 0


def test_genes_rule_how_each_agent_learns_and_explores() -> None:
    """A learning rate of 0 stands still beside one that moves; epsilon follows the genes and the clock."""
    world = World(population(2))
    world.found(0, 1)
    world.found(1, 2)
    world.minds.genes[1, genome.LEARNING_RATE] = 0.0
    world.minds.genes[:, genome.EPSILON_DECAY_TICKS] = (10.0, 1e6)
    world.step(30)
    change = world.minds.end_round()["weight_change"]
    assert change[0] > 0 and change[1] == 0
    epsilon = world.minds.epsilon()
    assert epsilon[0] < 0.3 and epsilon[1] > 0.99


def test_the_dead_hold_and_the_living_act() -> None:
    """Seats that are not living get HOLD and grow no older."""
    world = World(population(3))
    for seat in range(3):
        world.found(seat, seat + 1)
    obs = np.zeros((3, OBS_DIM), dtype=np.float32)
    mask = np.ones((3, N_ACTIONS), dtype=bool)
    living = np.array([True, False, True])
    chosen = [world.minds.act(obs, mask, world.ids, np.zeros(3, np.int8), tick, living) for tick in range(30)]
    assert {int(actions[1]) for actions in chosen} == {HOLD}
    assert len({int(actions[0]) for actions in chosen}) > 1
    assert world.minds.age_ticks.tolist() == [30, 0, 30]


def test_vital_signs_of_a_round_are_told_and_begun_anew() -> None:
    """Names, ranges, NaN where there is nothing; a second call right after shows an empty round."""
    world = World(population(4))
    world.found(0, 1)
    world.found(1, 2, kind_of("hold"))
    world.found(2, 3)
    world.step(20)
    signs = world.minds.end_round()
    assert set(signs) == {
        "loss", "td_error", "grad_norm", "q_mean", "q_max", "entropy", "masked_share", "due", "updates", "failed",
        "weight_change", "target_gap", "replay_fill", "epsilon",
    }  # fmt: skip
    assert all(value.shape == (4,) for value in signs.values())
    assert signs["updates"].tolist() == [11, 0, 11, 0]
    for name in ("loss", "td_error", "grad_norm", "q_max", "weight_change", "target_gap", "entropy"):
        assert signs[name][0] > 0 and np.isnan(signs[name][3]), name
    assert 0 < signs["entropy"][0] <= 1 and 0 <= signs["masked_share"][0] <= 1
    assert signs["replay_fill"][0] == 20 / 64 and np.isnan(signs["replay_fill"][1])
    again = world.minds.end_round()
    assert again["updates"].tolist() == [0, 0, 0, 0] and np.all(np.isnan(again["loss"]))
    assert again["weight_change"][0] == signs["weight_change"][0]


def test_an_agent_that_cannot_learn_is_counted_and_left_alone() -> None:
    """Weights that are not finite: its updates are refused and counted; its neighbour learns on."""
    world = lived([1, 2], 20)
    world.minds.end_round()
    world.minds.brains.params[0, 0] = torch.nan
    world.step(5)
    signs = world.minds.end_round()
    assert signs["failed"].tolist() == [5, 0] and signs["updates"].tolist() == [0, 5]


def test_kinds_have_names() -> None:
    """dqn is 0, strategies follow, others are refused with the list of names."""
    assert [kind_of(name) for name in ("dqn", *STRATEGIES)] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ConfigError, match="'alpha' is none of dqn, random"):
        kind_of("alpha")


def test_an_n_step_beyond_the_replay_is_refused() -> None:
    """It could never learn."""
    with pytest.raises(ConfigError, match=r"mind\.n_step"):
        population(1, MindConfig(replay_capacity=64, n_step=64))
