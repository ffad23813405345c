"""The solo examples run as a user runs them, and a library's learner beats chance and holding on unseen markets."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "examples"
TINY = {
    "solo_cleanrl_dqn": ["--total-timesteps", "2000"],
    "solo_sb3_dqn": ["--steps", "400"],
    "solo_maskable_ppo": ["--steps", "2048"],
}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that the examples share."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("solo_scores")


def test_scores_tell_policies_apart_and_repeat(scored: Any) -> None:
    """Cash scores 0; the same policy scores the same; a score is that of the single environment."""
    cash = scored.scores(lambda seen, masks: np.zeros(len(masks), dtype=int), 3, bars=30)
    assert cash.tolist() == [0.0] * 3
    held = scored.scores(scored.hold, 3, bars=30)
    assert np.array_equal(held, scored.scores(scored.hold, 3, bars=30)) and held.std() > 0.0
    env = scored.make_env(30)
    seen, info = env.reset(seed=scored.FIRST_TEST_SEED + 2)
    assert env.observation_space.contains(seen)
    for _ in range(30):
        _, _, _, _, info = env.step(int(scored.hold(seen, env.action_masks()[None])[0]))
    assert np.log(info["equity"] / 10_000.0) == pytest.approx(held[2], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TINY))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    """As a program of its own, with few steps and few markets."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *TINY[name], "--episodes", "6"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parent), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "better than hold by" in done.stdout and "95 % interval" in done.stdout


@pytest.mark.slow
def test_a_library_learner_beats_chance_and_holding(scored: Any) -> None:
    """MaskablePPO with the example's own settings; both 95 % intervals lie above zero."""
    found = import_module("solo_maskable_ppo").main([])
    assert found["random"].above_zero and found["hold"].above_zero
