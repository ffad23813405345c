"""Eight checks on a learner's vital signs; an alarm is raised once a life, after some ill rounds in a row.

    weights_move    updates happen when they are due, and the weights leave their birth values
    gradients_flow  no update is refused, and gradients are not zero
    loss_bounded    the mean loss is below the largest possible return
    q_bounded       so is the largest |Q|
    entropy         more than one action is chosen
    target_follows  the target network stays near the online one
    replay_fills    the ring grows until it is full
    beats_birth     the mind is not behind its own birth policy on a fixed probe, where one was made

A round that tells nothing about a sign (no update, no probe) neither lengthens nor ends an illness, so patience
counts readings. The limits and the patience were set by what healthy runs do: docs/decisions/0009.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

CHECKS: Final = (
    "weights_move",
    "gradients_flow",
    "loss_bounded",
    "q_bounded",
    "entropy",
    "target_follows",
    "replay_fills",
    "beats_birth",
)
PATIENCE: Final = np.array([3, 1, 3, 3, 50, 5, 3, 2])
"""Ill readings in a row before each alarm; whoever buys and holds chooses one action for many rounds."""

STANDSTILL: Final = 1e-6
"""weights_move: a smaller relative change since birth is none."""
COLLAPSE: Final = 1e-3
"""entropy: below this, in units of ln A, there is one action only."""
LARGEST_GAP: Final = 0.5
"""target_follows: distance of the target network, relative to the weights."""

BEHIND: Final = -0.5
"""beats_birth: log-growth per 1,000 ticks below the birth policy's; what healthy minds show scatters by .25."""


class Alarm(NamedTuple):
    """One check that a mind failed."""

    seat: int
    check: str
    value: float  # the vital sign that was out of bounds


@dataclass(slots=True)
class Checks:
    """How long each mind has been ill, and what was already said."""

    streak: np.ndarray  # [P,K] i32, ill rounds in a row
    raised: np.ndarray  # [P,K] bool
    fill: np.ndarray  # [P] f64, replay fill at the end of the last round

    @classmethod
    def allocate(cls, seats: int) -> "Checks":
        """Return `seats` healthy seats."""
        return cls(
            streak=np.zeros((seats, len(CHECKS)), dtype=np.int32),
            raised=np.zeros((seats, len(CHECKS)), dtype=bool),
            fill=np.zeros(seats),
        )

    def judge(self, signs: Mapping[str, np.ndarray], largest_return: np.ndarray) -> list[Alarm]:
        """Return the alarms of a round, by seat, and remember them.

        signs: what `Minds.end_round` returned, [P] each, NaN where there is nothing to judge, with
        `probe_gain` (log-growth per 1,000 ticks minus that of the birth policy) where a probe was made.
        largest_return [P]: reward clip / (1 - gamma), which no sum of discounted rewards exceeds.
        """
        unknown = np.full(len(self.fill), np.nan)
        fill, due, grad_norm = signs["replay_fill"], signs["due"] > 0, signs["grad_norm"]
        idle = signs["updates"] + signs["failed"] == 0
        gain = signs.get("probe_gain", unknown)
        rules = (  # (ill, the sign to show), in the order of CHECKS; a comparison with NaN is False
            (due & (idle | (signs["weight_change"] < STANDSTILL)), signs["weight_change"]),
            ((signs["failed"] > 0) | (grad_norm == 0.0), grad_norm),
            (signs["loss"] > largest_return, signs["loss"]),
            (signs["q_max"] > largest_return, signs["q_max"]),
            (signs["entropy"] < COLLAPSE, signs["entropy"]),
            (signs["target_gap"] > LARGEST_GAP, signs["target_gap"]),
            ((fill < 1.0) & (fill <= self.fill), fill),
            (gain < BEHIND, gain),
        )
        learner = ~np.isnan(fill)
        ill = np.stack([rule for rule, _ in rules], axis=1) & learner[:, None]  # [P,K]
        self.fill[...] = np.where(learner, fill, 0.0)
        values = np.stack([value for _, value in rules], axis=1)
        self.streak[...] = np.where(ill, self.streak + 1, np.where(np.isnan(values) & learner[:, None], self.streak, 0))
        fresh = (self.streak >= PATIENCE) & ~self.raised
        self.raised |= fresh
        return [Alarm(int(p), CHECKS[k], float(values[p, k])) for p, k in zip(*fresh.nonzero(), strict=True)]

    def clear_seat(self, seat: int) -> None:
        """Forget one seat."""
        self.streak[seat] = 0
        self.raised[seat] = False
        self.fill[seat] = 0.0
