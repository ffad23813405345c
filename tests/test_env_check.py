"""`check`: our environments pass every check, and each check fails where one rule is broken."""

import json
from pathlib import Path
from typing import Any

import pytest

from arena.checks.ours import OURS, episode_hash, records
from arena.checks.outcome import Outcome
from arena.checks.runner import CHECKS, check
from arena.checks.stock import STOCK
from arena.checks.target import Target, built_in
from arena.envs.parallel import LineageArena
from arena.errors import ConfigError
from arena.market.tape import read_tape
from tests.commands import call, tape_text
from tests.crowds import QUIET

HERE = "tests.wrong_envs"
SEED, STEPS = 3, 60


def outcome(name: str, target: Target | str) -> Outcome:
    """Return one check's verdict."""
    wanted = Target(f"{HERE}:{target}") if isinstance(target, str) else target
    found = {one.name: one for one in check(wanted, SEED, STEPS, only=(name,))}
    return found[name]


def our_own() -> list[Any]:
    """Return our environments; the quick ones are those with the most going on."""
    quick = ("parallel, births and deaths", "vector")
    return [
        pytest.param(target, id=target.title, marks=() if target.title in quick else pytest.mark.slow)
        for target in built_in()
    ]


@pytest.mark.parametrize("target", our_own())
def test_our_environments_pass(target: Target) -> None:
    """Stock tests with warnings as errors, and ours; nothing that matters is skipped."""
    outcomes = list(check(target, SEED, STEPS, only=[name for name in CHECKS if name != "processes"]))
    assert not [one for one in outcomes if one.verdict == "failed"]
    done = {one.name for one in outcomes if one.verdict == "passed"}
    assert {"determinism", "prefix", "look-ahead", "conservation"} <= done


def test_births_and_deaths_really_happen_in_them() -> None:
    """The contract is put to the test, not only asked for."""
    lively = next(target for target in built_in() if "births" in target.title)
    reason = outcome("contract", lively).reason
    assert int(reason.split()[0]) > 5
    assert int(reason.split()[3]) > 5


@pytest.mark.slow
def test_whole_episodes_are_equal_in_three_processes_and_two_hash_seeds() -> None:
    """And equal to this process's."""
    target = built_in()[1]
    reason = outcome("processes", target).reason
    assert reason.endswith(episode_hash(target, SEED, STEPS)[:12])


def test_random_from_the_second_step_on_is_caught() -> None:
    """Sabotage: PettingZoo's own seed test passes it, ours does not."""
    assert outcome("pettingzoo parallel_seed_test", "RandomLater").verdict == "passed"
    caught = outcome("determinism", "RandomLater")
    assert caught.verdict == "failed"
    assert "rewards differ from step 2 on" in caught.reason
    assert "reset(seed=...)" in caught.cure


@pytest.mark.parametrize(
    ("name", "part"),
    [("LeakInFeature", "observations"), ("LeakInFill", "observations"), ("LeakInReward", "rewards")],
)
def test_a_planted_look_ahead_is_caught(name: str, part: str) -> None:
    """Sabotage: one bar of the future in a feature, in a fill and in the reward."""
    caught = outcome("look-ahead", name)
    assert caught.verdict == "failed"
    assert part in caught.reason
    assert outcome("determinism", name).verdict == "passed", "a leak is deterministic: only the probe sees it"


def test_the_future_of_a_tape_can_be_changed(tmp_path: Path) -> None:
    """Recorded bars up to the step stay, later ones move, and the tape that was given is left alone."""
    file = tmp_path / "prices.csv"
    file.write_text(tape_text(128 + 40))
    tape = read_tape(file)
    closes = tape.close.copy()
    env = LineageArena(QUIET | {"market": {"source": "tape", "warmup_bars": 128}}, tape=tape)
    whole = records(env, SEED, 30)
    other = records(env, SEED, 30, began=lambda: env.change_future(12))
    assert whole[:13] == other[:13]
    assert whole[13] != other[13]
    assert (tape.close == closes).all()


@pytest.mark.parametrize(
    ("check_name", "name", "words"),
    [
        ("prefix", "WholeEpisodeScale", "max_cycles=31: observations differ from step 1"),
        ("conservation", "Mint", "cash of market 0"),
        ("permutation", "FirstServed", "listed backwards"),
        ("permutation", "Favourite", "in the place of agent_1"),
        ("contract", "Forgetful", "not in the rewards"),
        ("contract", "NumpyBools", "is a bool"),
        ("contract", "Lingering", "over but still in env.agents"),
        ("determinism", "Broken", "RuntimeError: the third step"),
        ("gymnasium check_env", "Cart", ""),
        ("determinism", "Cart", "observations differ from step 0"),
    ],
)
def test_each_check_can_fail(check_name: str, name: str, words: str) -> None:
    """Sabotage: one broken rule each, named with the place and a cure."""
    caught = outcome(check_name, name)
    assert caught.verdict == "failed"
    assert words in caught.reason
    assert caught.cure, caught


@pytest.mark.slow
def test_the_order_of_a_set_is_caught() -> None:
    """Sabotage: equal within one process, different under another hash seed."""
    assert outcome("determinism", "HashOrder").verdict == "passed"
    caught = outcome("processes", "HashOrder")
    assert caught.verdict == "failed"
    assert "two hash seeds" in caught.reason


def test_every_check_has_a_test() -> None:
    """All that the command runs are in the two tables."""
    assert set(CHECKS) == set(STOCK) | set(OURS)


@pytest.mark.parametrize(
    "name",
    ["nowhere.at:all", "arena.envs.parallel:nobody", "arena.envs.parallel:NAME", "NoSuch-v0", f"{HERE}:no_environment"],
)
def test_what_is_no_environment_is_named(name: str) -> None:
    """One line, exit code 2."""
    done = call("check", name)
    assert done.code == 2
    assert done.out == ""
    assert f"error: check {name}: " in done.err
    assert "\n  " not in done.err


def test_the_command_reports_and_exits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON with names, verdicts, reasons and cures; a user's environment that fails is exit code 3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import gymnasium\n\ndef fixed(length=5):\n    return gymnasium.make('CartPole-v1', max_episode_steps=length)\n"
    )
    done = call("check", "mine:fixed", "--kwargs", '{"length": 8}', "--steps", "20", "--json")
    assert done.code == 3
    report = json.loads(done.out)
    (environment,) = report["environments"]
    verdicts = {one["name"]: one["verdict"] for one in environment["checks"]}
    assert verdicts["determinism"] == verdicts["processes"] == verdicts["prefix"] == "passed"
    assert verdicts["gymnasium check_env"] == "failed"
    assert verdicts["look-ahead"] == verdicts["conservation"] == "skipped"
    text = call("check", f"{HERE}:Cart", "--steps", "5")
    assert text.code == 3
    assert "cure: " in text.out


@pytest.mark.parametrize("arguments", [["--kwargs", "{"], ["--kwargs", "[1]"], ["--steps", "1"], ["--seed", "-1"]])
def test_wrong_arguments_exit_2(arguments: list[str]) -> None:
    """In one line, before anything is made."""
    done = call("check", f"{HERE}:Cart", *arguments)
    assert done.code == 2
    assert done.out == ""


def test_keywords_that_do_not_fit_are_a_usage_error() -> None:
    """The factory's own complaint, in one line."""
    with pytest.raises(ConfigError, match="cannot make it"):
        list(check(Target("arena.envs.parallel:parallel_env", {"seats": 3}), SEED, STEPS))
