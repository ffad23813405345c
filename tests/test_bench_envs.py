"""`bench env`: a step of each environment, timed; nobody is born or dies meanwhile."""

import json

import pytest

from tests.commands import call
from tui import bench_envs


@pytest.fixture(autouse=True)
def small_populations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure a few agents."""
    for name, value in (("AGENTS", 8), ("SLOTS", 8), ("MARKETS", 2), ("SPARE", 2), ("TRADERS", 2)):
        monkeypatch.setattr(bench_envs, name, value)


def test_json_has_every_environment() -> None:
    """Rates follow from the median step."""
    done = call("bench", "env", "--seconds", "0.05", "--json")
    assert done.code == 0, done.err
    measured = json.loads(done.out)
    assert measured["ticks"] == "C" or measured["ticks"].startswith("numpy: ")
    found = {one["name"]: one for one in measured["environments"]}
    assert found["pettingzoo parallel"]["agents"] == 8
    assert found["gymnasium vector"]["agents"] == 16
    for one in found.values():
        assert one["least_us"] <= one["median_us"] <= one["p95_us"]
        assert one["agent_steps_per_s"] == pytest.approx(one["agents"] / one["median_us"] * 1e6)


def test_the_table_is_for_people() -> None:
    """Data on stdout, narration on stderr."""
    done = call("bench", "env", "--seconds", "0.05")
    assert done.code == 0
    assert "pettingzoo parallel" in done.out
    assert "agent-steps/s" in done.out
    assert "measured" in done.err
    assert "measured" not in done.out


def test_nobody_comes_or_goes() -> None:
    """A settled population under random actions keeps everybody alive."""
    from arena.envs.parallel import LineageArena

    env = LineageArena(bench_envs.settled(1, 8), max_cycles=10_000, max_births=None)
    env.reset(seed=1)
    names = list(env.agents)
    for row in bench_envs._draws(8).tolist() * 4:
        env.step(dict(zip(names, row, strict=True)))
    assert env.agents == names
