"""No option of the learner is dead: whoever turns one gets another history, and nobody else's option moves it."""

import msgspec
import pytest

from agents.config import MindConfig
from tests.test_mind import differing, lived, seat_bytes

BASE = MindConfig(
    hidden=(12, 12), batch=8, replay_capacity=64, learn_start=12, update_every=2, grad_clip=0.5, huber_delta=0.5
)
TICKS = 100

HARD: dict[str, object] = {"target": "hard", "hard_target_every": 5}
SORTED: dict[str, object] = {"prioritised": True}

FLIPS: dict[str, tuple[dict[str, object], object]] = {
    "hidden": ({}, (12, 13)),
    "dueling": ({}, False),
    "double": ({}, False),
    "mask_bellman": ({}, False),
    "target": ({}, "none"),
    "hard_target_every": (HARD, 7),
    "batch": ({}, 9),
    "replay_capacity": ({}, 80),
    "learn_start": ({}, 20),
    "replay": ({}, False),
    "sense_scars": ({}, False),
    "update_every": ({}, 3),
    "updates_per_phase": ({}, 2),
    "n_step": ({}, 3),
    "prioritised": ({}, True),
    "priority_alpha": (SORTED, 0.9),
    "priority_beta": (SORTED, 0.9),
    "priority_beta_updates": (SORTED, 10),
    "priority_epsilon": (SORTED, 0.5),
    "huber_delta": ({}, 2.0),
    "grad_clip": ({}, 0.1),
    "adam_beta1": ({}, 0.5),
    "adam_beta2": ({}, 0.9),
    "adam_eps": ({}, 1e-2),
}
"""Option -> (what must be set for it to matter, another value than BASE's)."""

ELSEWHERE = {"probe_every"}
"""Options that no mind feels: tests/test_probe.py."""


def learned(config: MindConfig) -> dict[str, bytes]:
    """Return the weights that agent 1 ends with, and what else tells how it got there."""
    told = seat_bytes(lived([1, 2], TICKS, config).minds, 0)
    return {name: told[name] for name in ("brains.params", "brains.target", "brains.moment2")}


def with_(config: MindConfig, changes: dict[str, object]) -> MindConfig:
    """Return a configuration with some fields changed, checked."""
    return msgspec.convert(msgspec.to_builtins(config) | changes, MindConfig)


def test_every_option_is_tried() -> None:
    """A new option needs a line in FLIPS, or a reason in ELSEWHERE."""
    assert set(FLIPS) | ELSEWHERE == {field.name for field in msgspec.structs.fields(MindConfig)}


@pytest.mark.parametrize("option", FLIPS)
def test_turning_an_option_changes_the_learner(option: str) -> None:
    """Other weights after a hundred ticks; a value that only looks different would leave them as they are."""
    needed, value = FLIPS[option]
    base = with_(BASE, needed)
    flipped = with_(base, {option: value})
    assert getattr(flipped, option) != getattr(base, option)
    assert differing(learned(base), learned(flipped)), f"{option} is dead"


@pytest.mark.parametrize("option", ["hard_target_every", *(name for name in FLIPS if name.startswith("priority_"))])
def test_an_option_whose_switch_is_off_changes_nothing(option: str) -> None:
    """The parts of the plain learner do not know them, and the same configuration gives the same bytes."""
    assert differing(learned(BASE), learned(with_(BASE, {option: FLIPS[option][1]}))) == set()


def test_alpha_zero_is_uniform_in_what_is_drawn_but_not_in_how() -> None:
    """The ablation inside the switch: with alpha 0 all priorities are 1 and all weights too."""
    minds = lived([1, 2], TICKS, with_(BASE, SORTED | {"priority_alpha": 0.0})).minds
    assert minds.priorities is not None
    assert set(minds.priorities.leaf[0].tolist()) == {0.0, 1.0}
