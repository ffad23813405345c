"""`bench`: it prints what it measured, nobody dies meanwhile, and its shares are shares."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from agents.replay import Replay
from arena.spec import OBS_DIM
from lineage import bench
from tests.commands import call

FAST = ("--seconds", "0.2", "--threads", "1")


@pytest.fixture(autouse=True)
def small_populations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure 16 and 4 seats instead of 1,024 and 64."""
    monkeypatch.setattr(bench, "POPULATIONS", ((2, 8), (1, 4)))


def measured(what: str) -> dict[str, Any]:
    """Return what `bench WHAT --json` prints."""
    done = call("bench", what, *FAST, "--json")
    assert done.code == 0, done.err
    figures: dict[str, Any] = json.loads(done.out)
    return figures


def test_json_holds_the_world_the_loop_and_their_ratios() -> None:
    """One object: both parts at both sizes, and every ratio between them."""
    figures = measured("all")
    assert figures["threads"] == 1
    assert [(speed["seats"], speed["markets"]) for speed in figures["world"]] == [(16, 2), (4, 1)]
    assert [(speed["seats"], speed["markets"]) for speed in figures["loop"]] == [(16, 2), (4, 1)]
    assert set(figures["ratios"]) == {
        "world_4_over_world_16", "loop_4_over_loop_16", "loop_16_over_world_16", "loop_4_over_world_4",
    }  # fmt: skip
    assert all(value > 0.0 for value in figures["ratios"].values())
    for speed in figures["world"]:
        assert speed["agent_steps_per_s"] > speed["agent_steps_per_s_with_observe"] > 0.0


def test_shares_of_the_loop_sum_to_one() -> None:
    """Every part of the time is somewhere, and the sums outside learner and minds follow from the parts."""
    for speed in measured("loop")["loop"]:
        shares = speed["shares"]
        assert tuple(shares) == bench.PARTS
        assert sum(shares.values()) == pytest.approx(1.0)
        assert all(-1e-9 <= share < 1.0 for share in shares.values())
        assert shares["other"] < 0.2
        assert speed["outside_learn"] == pytest.approx(1.0 - shares["learn"])
        assert speed["outside_minds"] == pytest.approx(1.0 - shares["act"] - shares["remember"] - shares["learn"])
        assert speed["storing"] == pytest.approx(shares["seal"] + shares["write"])


def test_everybody_learns_once_a_tick() -> None:
    """Nobody dies and nobody is idle: one update an agent and tick, which the rates agree on."""
    for speed in measured("loop")["loop"]:
        assert speed["updates_per_agent_step"] == 1.0
        assert speed["updates_per_s"] == pytest.approx(speed["agent_steps_per_s"])
        assert speed["us_per_agent_step"] == pytest.approx(1e6 / speed["agent_steps_per_s"])
        assert speed["rounds"] >= 1
        assert speed["bytes_per_round"] > 0


def test_the_population_lives_on_under_random_actions() -> None:
    """After many rounds of the world alone everybody still trades, unhampered by scars, and still can."""
    alone = bench.WorldAlone(1, 8)
    alone.play(0.3)
    bodies = alone._arena.bodies
    assert alone._arena.living().all()
    assert (bodies.damage == 0).all()
    _, mask = alone._arena.observe()
    assert mask[:, 1:].any(axis=1).all()


def test_one_part_alone_leaves_the_other_out() -> None:
    """`world` measures no learner and `loop` no world, and the ratios are those that remain."""
    figures = measured("world")
    assert figures["loop"] == []
    assert set(figures["ratios"]) == {"world_4_over_world_16"}


def test_table_names_every_part_on_stdout_and_narrates_on_stderr() -> None:
    """A person reads the same figures."""
    done = call("bench", *FAST)
    assert done.code == 0
    labels = {line.split("  ")[0] for line in (text.strip() for text in done.out.splitlines()) if line}
    assert set(bench.PARTS) <= labels
    assert "market + bodies + observe, agent-steps/s" in labels
    assert "outside the learner (all but learn)" in labels
    assert "outside the minds (all but act, remember, learn)" in labels
    assert "16 in 2" in done.out
    assert "seating" in done.err
    assert "seating" not in done.out


@pytest.mark.parametrize(
    "arguments",
    [["wrold"], ["--seconds", "0"], ["--seconds", "-1"], ["--seconds", "x"], ["--seconds", "1e9"], ["--threads", "0"],
     ["world", "loop"], ["--quiet"]],
)  # fmt: skip
def test_wrong_arguments_exit_2(arguments: list[str]) -> None:
    """Before anything is measured, in one line."""
    done = call("bench", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_a_filled_ring_repeats_its_rows() -> None:
    """Row n is row n modulo what was there, in every column."""
    replay = Replay.allocate(2, 64, OBS_DIM)
    draw = np.random.Generator(np.random.Philox(1))
    for _ in range(5):
        obs = draw.normal(size=(2, OBS_DIM)).astype(np.float32)
        replay.add(np.ones(2, bool), obs, np.ones(2, np.uint8), np.ones(2, np.int8), obs[:, 0], np.zeros(2, bool))
    rows, rewards = replay.obs[:, :5].copy(), replay.reward[:, :5].copy()
    bench.fill(replay)
    assert (replay.filled == 64).all()
    assert np.array_equal(replay.obs[:, 60:64], rows[:, :4])
    assert np.array_equal(replay.reward[:, 35:40], rewards)
    assert replay.check_valid() == (True, "")
    batch = replay.sample(np.full((2, 4), 0.5), 1, np.full(2, 0.9))
    assert torch.isfinite(batch.x).all()
