"""The population of minds: what the world asks to act, remember and learn.

Every decision is a function of the agent's id and what it has lived through, never of its seat.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from agents import brains as brain
from agents import genome
from agents.checks import Alarm, Checks
from agents.config import GenomeConfig, MindConfig
from agents.fused import LearnerName
from agents.learn import LearnStats, Rates
from agents.learner import Learner
from agents.networks import Networks, gaps
from agents.policy import Chances, epsilon_at, mask_bits
from agents.priority import Priorities
from agents.replay import CUT, Draws, Replay, Rows
from agents.scripted import STRATEGIES, decide
from agents.vitals import Vitals
from arena import arrays
from arena.errors import ConfigError, StoreError
from arena.rng import purpose_key, uniforms
from arena.spec import COLUMN_INDEX, N_ACTIONS, OBS_DIM

EMPTY_MIND, DQN = -1, 0
"""Values of `Minds.kind`; strategy s of `scripted.STRATEGIES` is s + 1."""

_SCAR_COLUMNS: Final = [COLUMN_INDEX["damage"], COLUMN_INDEX["fee_multiplier"]]

_OWN_ARRAYS: Final = ("kind", "genes", "age_ticks")
_PARTS: Final = ("replay", "vitals", "checks", "priorities")

Inheritance = Literal["darwinian", "baldwinian", "lamarckian"]


def kind_of(name: str) -> int:
    """Return the kind number of "dqn" or a scripted strategy. Raises ConfigError for another name."""
    if name == "dqn":
        return DQN
    if name not in STRATEGIES:
        raise ConfigError(f"mind: {name!r} is none of dqn, {', '.join(STRATEGIES)}; choose one of them")
    return STRATEGIES.index(name) + 1


class Minds:
    """The minds of all seats, with one lifetime."""

    def __init__(
        self,
        mind: MindConfig,
        genome_config: GenomeConfig,
        seats: int,
        seed: int,
        device: str = "cpu",
        learner: LearnerName = "auto",
        threads: int = 1,
    ) -> None:
        """Allocate `seats` empty seats; `device` is a torch device for the networks.

        learner: see `fused.resolve`; what was chosen is in `self.learner.name`. Each has its own last bits.
        `threads` workers share the learner's chunks; torch's own threads are better left at one, since waking
        them costs more than one decision of a small population.
        """
        genome.bounds(genome_config)
        if mind.n_step >= mind.replay_capacity:
            raise ConfigError(
                f"mind.n_step: {mind.n_step} must be below mind.replay_capacity {mind.replay_capacity}; lower it"
            )
        self.config = mind
        self.genome_config = genome_config
        self.seats = seats
        self.seed = seed
        self.device = device
        self.kind = np.full(seats, EMPTY_MIND, dtype=np.int8)  # [P]
        self.genes = np.zeros((seats, genome.N_GENES))  # [P,G]
        self.age_ticks = np.zeros(seats, dtype=np.int64)  # [P] the clock of exploration
        self.brains = brain.allocate(seats, OBS_DIM, N_ACTIONS, mind, device)
        self.replay = Replay.allocate(seats, mind.replay_capacity, OBS_DIM)
        self.priorities = Priorities.allocate(seats, mind.replay_capacity) if mind.prioritised else None
        self.vitals = Vitals.allocate(seats, N_ACTIONS)
        self.checks = Checks.allocate(seats)
        self._start = max(min(mind.learn_start, mind.replay_capacity), mind.n_step + 1)
        self._act_key = purpose_key(seed, "act")
        self._replay_key = purpose_key(seed, "replay")
        self.learner = Learner(learner, self.brains, self.replay, mind, threads)
        self._networks = Networks(self.brains.layout, self.brains.params, self.learner.name)

    def kind_name(self, seat: int) -> str:
        """Return "dqn" or the name of the scripted strategy in a seat: the inverse of `kind_of`."""
        kind = int(self.kind[seat])
        return "dqn" if kind == DQN else STRATEGIES[kind - 1]

    def genes_of(self, seat: int) -> dict[str, float]:
        """Return the genome of a seat by name."""
        return dict(zip(genome.GENES, self.genes[seat].tolist(), strict=True))

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Return Q [P,A] f32 for obs [P,D] f32: what seat p's network makes of row p when it decides."""
        return self._networks.q_values(self._seen(obs)[:, None])[:, 0]

    def epsilon(self) -> np.ndarray:
        """Return the exploration rate of each seat's mind [P] f64; 0 for empty and scripted seats."""
        final = self.genes[:, genome.EPSILON_FINAL]
        decay = np.maximum(self.genes[:, genome.EPSILON_DECAY_TICKS], 1.0)
        return np.where(self.kind == DQN, epsilon_at(self.age_ticks, final, decay), 0.0)

    def act(
        self,
        obs: np.ndarray,
        mask: np.ndarray,
        agent_id: np.ndarray,
        regime: np.ndarray,
        tick: int,
        living: np.ndarray,
    ) -> np.ndarray:
        """Return actions [P] i8 for obs [P,D] f32, mask [P,A] bool; HOLD (0) where living [P] is False.

        agent_id [P] i64; regime [P] i8 is seen by oracles only; tick is the run's tick number.
        """
        chances = Chances(self._act_key, agent_id, tick)
        learners = living & (self.kind == DQN)
        action, forbidden = self._networks.decide(self._seen(obs), mask_bits(mask), self.epsilon(), chances, learners)
        scripted = np.flatnonzero(living & (self.kind > DQN))
        if len(scripted):
            u = uniforms(self._act_key, agent_id[scripted], tick, 2)
            action[scripted] = decide(self.kind[scripted] - 1, obs[scripted], mask[scripted], regime[scripted], u)
        seats = np.flatnonzero(living)
        self.vitals.acted(seats, action[seats], forbidden[seats])
        self.age_ticks += living
        return action

    def remember(
        self,
        living: np.ndarray,
        obs: np.ndarray,
        mask: np.ndarray,
        actions: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
    ) -> None:
        """Store (obs_t, mask_t, a_t, r_t+1, done_t+1) of the living learners; all [P,...].

        obs and mask are what `act` saw in this tick, reward [P] and done [P] bool what came of it.
        """
        learners = living & (self.kind == DQN)
        self.replay.add(learners, self._seen(obs), mask_bits(mask), actions, reward, done)
        if self.priorities is not None:
            self.priorities.added(learners)

    def _seen(self, obs: np.ndarray) -> np.ndarray:
        """Return obs [P,D] as the networks see it."""
        if not self.config.sense_scars:
            obs = obs.copy()
            obs[:, _SCAR_COLUMNS] = 0.0
        return obs

    def learn(self, agent_id: np.ndarray, tick: int, living: np.ndarray) -> int:
        """Update every living learner with enough experience; return the number of agent updates."""
        config = self.config
        if tick % config.update_every:
            return 0
        ready = living & (self.kind == DQN) & (self.replay.filled >= self._start)  # [P]
        seats = np.flatnonzero(ready)
        if not len(seats):
            return 0
        rates = Rates(
            self.genes[:, genome.LEARNING_RATE].astype(np.float32), self.genes[:, genome.TAU].astype(np.float32)
        )
        size = config.batch
        ids = agent_id[seats]
        gamma = self.genes[seats, genome.GAMMA]
        self.vitals.due += config.updates_per_phase * ready
        total = 0
        for phase in range(config.updates_per_phase):
            draws = Draws(seats, ids, self._replay_key, tick, phase * size)
            if not config.replay:
                stats = self._update_by_newest(seats, gamma, rates, ready)
            elif self.priorities is None:
                stats = self.learner.uniformly(draws, gamma, rates, ready)
            else:
                stats = self.learner.by_priority(self.priorities, draws, gamma, rates, ready)
            self.vitals.learned(stats)
            total += int(stats.updated.sum())
        return total

    def _update_by_newest(self, seats: np.ndarray, gamma: np.ndarray, rates: Rates, ready: np.ndarray) -> LearnStats:
        """Learn from the newest whole transition of each of `seats` [N], as if there were no memory."""
        newest = (self.replay.write[seats] - 1 - self.config.n_step) % self.replay.capacity
        weight = (self.replay.done[seats, newest] != CUT).astype(np.float32)
        one = (1, self.config.batch)  # the same one in every place of the batch: the mean is that of one
        rows = Rows(seats, np.tile(newest[:, None], one), np.tile(weight[:, None], one))
        return self.learner.from_rows(rows, gamma, rates, ready)

    def end_round(self) -> dict[str, np.ndarray]:
        """Return the vital signs of the round, [P] each (see `Vitals.summary`), and begin the next.

        Further: weight_change, |weights - birth weights| / |birth weights|; target_gap, |weights - target|
        / |weights|; replay_fill, share of the ring in use; epsilon. NaN for seats without a network.
        """
        signs = self.vitals.summary()
        learner, name = self.kind == DQN, self.learner.name
        signs["weight_change"] = np.where(learner, gaps(self.brains.params, self.brains.birth_params, name), np.nan)
        signs["target_gap"] = np.where(learner, gaps(self.brains.target, self.brains.params, name), np.nan)
        signs["replay_fill"] = np.where(learner, self.replay.filled / self.replay.capacity, np.nan)
        signs["epsilon"] = np.where(learner, self.epsilon(), np.nan)
        self.vitals.reset()
        return signs

    def alarms(self, signs: Mapping[str, np.ndarray], reward_clip: float = 5.0) -> list[Alarm]:
        """Return the alarms of the round whose `signs` `end_round` returned, by seat; each once a life.

        reward_clip bounds the reward of a tick. `signs` may hold `probe_gain` [P] besides (see `Checks.judge`).
        """
        gamma = self.genes[:, genome.GAMMA]
        return self.checks.judge(signs, reward_clip / np.maximum(1.0 - gamma, 1e-6))

    def new_founder(self, seat: int, agent_id: int, kind: int = DQN) -> None:
        """Seat a founder: genome around the typical values, fresh weights if it learns."""
        self.clear_seat(seat)
        self.kind[seat] = kind
        self.genes[seat] = genome.founder_genes(self.genome_config, self.seed, agent_id)
        if kind == DQN:
            brain.init_founder(self.brains, seat, self.seed, agent_id)

    def new_heir(
        self,
        seat: int,
        agent_id: int,
        parent_seat: int,
        mode: Inheritance,
        weight_mutation: float = 0.0,
        inherit_moments: bool = True,
        inherit_replay: float = 0.25,
    ) -> None:
        """Seat a child: a mutated genome, and by `mode` what the parent's mind leaves it.

        darwinian: fresh weights. baldwinian: the parent's birth weights. lamarckian: its present weights
        and its clock of exploration; with inherit_moments also Adam's moments and step count, and the
        newest `inherit_replay` x capacity rows of its replay. Inherited weights get the noise of
        `brains.mutated_weights`; the target network starts as a copy of the child's own weights.
        """
        self.clear_seat(seat)
        self.kind[seat] = self.kind[parent_seat]
        self.genes[seat] = genome.mutate(self.genes[parent_seat], self.genome_config, self.seed, agent_id)
        if self.kind[seat] != DQN:
            return
        if mode == "darwinian":
            brain.init_founder(self.brains, seat, self.seed, agent_id)
            return
        source = self.brains.params if mode == "lamarckian" else self.brains.birth_params
        weights = source[parent_seat].cpu().numpy()
        child = brain.mutated_weights(self.brains.layout, weights, weight_mutation, self.seed, agent_id)
        brain.be_born(self.brains, seat, child)
        if mode == "lamarckian":
            self.age_ticks[seat] = self.age_ticks[parent_seat]
            if inherit_moments:
                brain.copy_optimiser(self.brains, parent_seat, seat)
            copied = self.replay.copy_newest(parent_seat, seat, int(inherit_replay * self.replay.capacity))
            if self.priorities is not None and copied:
                self.priorities.inherit(self.replay, parent_seat, seat, copied, self.config.n_step)

    def clear_seat(self, seat: int) -> None:
        """Empty one seat; nothing of the former occupant stays."""
        self.kind[seat] = EMPTY_MIND
        self.genes[seat] = 0.0
        self.age_ticks[seat] = 0
        brain.clear_seat(self.brains, seat)
        self.replay.clear_seat(seat)
        if self.priorities is not None:
            self.priorities.clear_seat(seat)
        self.vitals.clear_seat(seat)
        self.checks.clear_seat(seat)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return everything that a checkpoint needs, by name; on a CPU views, not copies."""
        state: dict[str, np.ndarray] = {f"minds.{name}": getattr(self, name) for name in _OWN_ARRAYS}
        state |= {f"brains.{name}": value for name, value in self.brains.arrays().items()}
        for name in _PARTS:
            if (part := getattr(self, name)) is not None:
                state |= arrays.dump(name, part)
        return state

    def restore(self, saved: Mapping[str, np.ndarray]) -> None:
        """Copy the arrays of `state_arrays` back. Raises StoreError when one is missing, misshapen or impossible."""
        for name in _OWN_ARRAYS:
            target: np.ndarray = getattr(self, name)
            value = saved.get(f"minds.{name}")
            if value is None or value.shape != target.shape or value.dtype != target.dtype:
                raise StoreError(f"checkpoint: minds.{name} is missing or misshapen; the file is from another build")
            target[...] = value
        prefix = "brains."
        self.brains.restore({k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)})
        for name in _PARTS:
            if (part := getattr(self, name)) is not None:
                arrays.restore(name, part, saved)
        self._check_places()
        if self.priorities is not None:
            self.priorities.rebuild()

    def _check_places(self) -> None:
        """Raise StoreError for numbers that would lead the kernel, which checks none, out of its arrays."""
        replay, capacity = self.replay, self.replay.capacity
        ranges: dict[str, tuple[np.ndarray, float]] = {
            "replay.action": (replay.action, N_ACTIONS - 1), "replay.write": (replay.write, capacity - 1),
            "replay.filled": (replay.filled, capacity), "brains.steps": (self.brains.steps.cpu().numpy(), 2**62),
        }  # fmt: skip
        if self.priorities is not None:
            leaf = self.priorities.leaf
            ranges |= {
                "priorities.waiting": (self.priorities.waiting, 2**62),
                "priorities.leaf": (leaf[:, :capacity], float(np.finfo(np.float64).max)),
                "priorities.leaf past the ring": (leaf[:, capacity:], 0),
            }
        for name, (values, top) in ranges.items():
            if not np.all((values >= 0) & (values <= top)):
                raise StoreError(f"checkpoint: {name} is not all in 0..{top}; remove the file, an older one serves")

    def fingerprint(self) -> str:
        """Return the SHA-256 hex of weights, targets, moments and step counts."""
        state = self.brains.arrays()
        return arrays.fingerprint({name: state[name] for name in ("params", "target", "moment1", "moment2", "steps")})

    def weights_sha256(self, seat: int) -> str:
        """Return the SHA-256 hex of one seat's online weights, little-endian float32."""
        return brain.weights_sha256(self.brains, seat)
