"""Who takes part in a contest: frozen networks, scripted strategies, and nobody's trader, flat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import torch

from agents.config import GenomeConfig
from agents.layout import Layout
from agents.mind import kind_of
from agents.networks import Networks
from agents.policy import LEGAL_CHOICE, LEGAL_COUNT, mask_bits
from agents.scripted import RANDOM, STRATEGIES, decide
from arena.errors import ConfigError, DataError
from arena.rng import purpose_key, uniforms
from arena.spec import HOLD, N_ACTIONS, OBS_DIM, OBSERVATION_VERSION
from lineage.record.policy import Policy, padded, untrained_weights
from lineage.settings_text import nearest, shown

DQN: Final = "dqn"
FLAT: Final = "flat"
OUTSIDE: Final = "outside"
"""The mind of an entrant whose decisions are made elsewhere: a user's class."""
UNTRAINED: Final = "untrained"
OPPONENTS: Final = (UNTRAINED, *STRATEGIES, FLAT)
"""What a policy can be measured against, by name."""

_ROWS: Final = 16
"""Observations that one product takes. Always as many, padded, so that a decision's bits depend on nobody else."""


Decider = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(obs [N,D] f32, mask [N,A] bool) -> actions [N] i8; must not raise. It keeps the order of the seats."""


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """A frozen policy and the genes that its body feels."""

    name: str
    mind: str  # "dqn", a name in agents.scripted.STRATEGIES, "flat", which never trades, or "outside"
    position_scale: float
    stop_atr: float
    layout: Layout | None = None  # of a network
    weights: np.ndarray | None = field(default=None, repr=False)  # [n_params] f32, of a network
    noise: float = 0.0  # probability a tick of a random legal action instead
    decider: Decider | None = field(default=None, repr=False)  # of an outside mind


def of_policy(policy: Policy) -> Entrant:
    """Return a recorded policy as an entrant. Raises DataError when it sees the world otherwise than this build."""
    scale, stop = policy.genes["position_scale"], policy.genes["stop_atr"]
    if not policy.is_learner:
        return Entrant(policy.name, policy.mind, scale, stop)
    theirs = (policy.obs_version, policy.obs_dim, policy.n_actions)
    ours = (OBSERVATION_VERSION, OBS_DIM, N_ACTIONS)
    if theirs != ours:
        raise DataError(
            f"policy {policy.name}: made for observation version {theirs[0]} ({theirs[1]} columns, {theirs[2]} "
            f"actions), this build has {ours[0]} ({ours[1]}, {ours[2]}); play it with the build that made it"
        )
    return Entrant(policy.name, DQN, scale, stop, policy.layout, padded(policy))


def untrained(policy: Policy) -> Entrant:
    """Return a learner's untrained self: its genome, and the weights that it would have had as a founder.

    They follow from the run's seed and its id, whatever it inherited: for a founder or a darwinian heir they are its
    birth weights, for another heir the control of the same genome that inherited nothing.
    """
    layout = policy.layout
    row = np.zeros(layout.n_params, dtype=np.float32)
    row[: layout.n_weights] = untrained_weights(policy)
    trained = of_policy(policy)
    return Entrant(f"{policy.name} {UNTRAINED}", DQN, trained.position_scale, trained.stop_atr, layout, row)


def scripted(name: str, genome: GenomeConfig) -> Entrant:
    """Return a scripted strategy, or flat, with the genome's typical body. Raises ConfigError naming the nearest."""
    if name != FLAT:
        check_opponent(name)
        kind_of(name)
    return Entrant(name, name, genome.position_scale[1], genome.stop_atr[1])


def check_opponent(name: str) -> None:
    """Raise ConfigError, naming the nearest, unless `name` is one of OPPONENTS."""
    if name not in OPPONENTS:
        raise ConfigError(f"--against: no strategy {shown(name)}; {nearest(name, OPPONENTS)}")


class _Crew(NamedTuple):
    """The networks of one layout, a block of _ROWS seats each."""

    seats: np.ndarray  # [N] the seats that they decide for
    blocks: np.ndarray  # [K,_ROWS] seats of each block; the last of a policy is filled up with its first seat
    rows: np.ndarray  # [N] where in the blocks, flattened, each seat is
    networks: Networks  # one a block


class Pilots:
    """Decides for every seat of an arena, greedily and without learning."""

    def __init__(self, entrants: Sequence[Entrant], who: np.ndarray, keys: np.ndarray) -> None:
        """Put entrant `who` [P] into each seat; keys [P] i64 name the seats to the random strategy."""
        minds = np.array([entrant.mind for entrant in entrants])[who]  # [P]
        self._scripted = np.flatnonzero(np.isin(minds, STRATEGIES))
        self._strategy = np.array([STRATEGIES.index(minds[seat]) for seat in self._scripted], dtype=np.int8)
        self._random = self._strategy == RANDOM
        self._keys = keys[self._scripted[self._random]]
        self._act_key = purpose_key(0, "frozen act")
        self._outside = [
            (entrant.decider, np.flatnonzero(who == index))
            for index, entrant in enumerate(entrants)
            if entrant.decider is not None
        ]
        noise = np.array([entrant.noise for entrant in entrants])[who]  # [P]
        self._noisy = np.flatnonzero(noise > 0.0)
        self._noise = noise[self._noisy]
        # Two entrants with the same noise stumble at different moments: the name is part of the draw.
        names = np.array([purpose_key(0, f"noise of {entrant.name}") for entrant in entrants]).view(np.int64)[who]
        self._noise_keys = (keys ^ names)[self._noisy]
        self._noise_key = purpose_key(0, "frozen noise")
        layouts = dict.fromkeys(entrant.layout for entrant in entrants if entrant.layout is not None)
        self._crews = [crew for layout in layouts if (crew := _crew(entrants, who, layout)) is not None]

    def decide(self, obs: np.ndarray, mask: np.ndarray, regime: np.ndarray, tick: int) -> np.ndarray:
        """Return actions [P] i8 for obs [P,D] f32, mask [P,A] bool; regime [P] i8 is seen by oracles only."""
        actions = np.full(len(obs), HOLD, dtype=np.int8)
        for crew in self._crews:
            q = crew.networks.q_values(obs[crew.blocks]).reshape(-1, N_ACTIONS)[crew.rows]
            actions[crew.seats] = np.where(mask[crew.seats], q, -np.inf).argmax(axis=1)
        seats = self._scripted
        if len(seats):
            u = np.zeros((len(seats), 2))
            u[self._random] = uniforms(self._act_key, self._keys, tick, 2)
            actions[seats] = decide(self._strategy, obs[seats], mask[seats], regime[seats], u)
        for decider, mine in self._outside:
            if len(mine):
                actions[mine] = decider(obs[mine], mask[mine])
        if len(self._noisy):
            self._stumble(actions, mask, tick)
        return actions

    def _stumble(self, actions: np.ndarray, mask: np.ndarray, tick: int) -> None:
        """Put a random legal action [P] i8 in the place of what the noisy decided, now and then."""
        u = uniforms(self._noise_key, self._noise_keys, tick, 2)
        slips = u[:, 0] < self._noise
        seats, chance = self._noisy[slips], u[slips, 1]
        bits = mask_bits(mask[seats])
        actions[seats] = LEGAL_CHOICE[bits, (chance * LEGAL_COUNT[bits]).astype(np.int64)]


def _crew(entrants: Sequence[Entrant], who: np.ndarray, layout: Layout) -> _Crew | None:
    seats: list[np.ndarray] = []
    blocks: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    counts: list[int] = []
    for index, entrant in enumerate(entrants):
        mine = np.flatnonzero(who == index)
        if entrant.layout != layout or entrant.weights is None or not len(mine):
            continue
        count = -(-len(mine) // _ROWS)
        filled = np.full(count * _ROWS, mine[0])
        filled[: len(mine)] = mine
        rows.append(len(blocks) * _ROWS + np.arange(len(mine)))
        blocks += list(filled.reshape(count, _ROWS))
        weights += [entrant.weights] * count
        counts += [_ROWS] * (count - 1) + [len(mine) - (count - 1) * _ROWS]
        seats.append(mine)
    if not seats:
        return None
    stacked = torch.from_numpy(np.stack(weights))
    networks = Networks(layout, stacked, width=_ROWS, rows=np.array(counts))
    return _Crew(np.concatenate(seats), np.stack(blocks), np.concatenate(rows), networks)
