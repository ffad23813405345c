"""Sweeps: paired by seed, resumed run by run, and effects that are there are found while none that is not."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from agents.genome import GENES
from arena.errors import ConfigError
from lineage.config import RunConfig, to_plain
from lineage.contest import sweep
from lineage.contest.genes import gene_courses
from lineage.contest.outcomes import MEASURES, excess_growth, outcome
from lineage.contest.statistics import mean
from lineage.contest.sweep_plan import Plan, claim, make_plan
from lineage.contest.sweep_report import Report, report_on
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from lineage.record.verify import verify
from tests.commands import call
from tests.runs import LIVELY, ROOT, SEED, files_of, lively, play

SHORT = (*LIVELY, "rounds=10", "arena.ticks_per_round=4")
SAME = "record.checkpoints_kept=2,3"


def plan_of(*vary: str, seeds: range = range(6), sets: tuple[str, ...] = SHORT) -> Plan:
    """Return the plan of a sweep over short lively runs."""
    return make_plan("small", vary, seeds, None, None, sets)


def played(plan: Plan, root: Path, stop_after: int | None = None, jobs: int = 1) -> list[sweep.Done]:
    """Play a sweep; stop_after: rounds of all runs together after which somebody presses Ctrl-C."""
    asked = iter(range(10**9))
    return sweep.run_sweep(
        plan, root, jobs, lambda: stop_after is not None and next(asked) >= stop_after, lambda done: None
    )


def effect(report: Report, measure: str) -> tuple[float | None, float | None, float | None]:
    """Return (low, estimate, high) of the first pair's effect on a measure."""
    found = next(item.difference for item in report.effects if item.measure == measure)
    return found.low, found.estimate, found.high


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, Report]:
    """A finished sweep whose two variants differ in nothing that matters."""
    root = tmp_path_factory.mktemp("sweep") / "twins"
    plan = plan_of(SAME)
    claim(root, plan)
    return plan, root, report_on(plan, root, played(plan, root), 500)


def test_identical_variants_have_an_effect_of_exactly_zero(twins: tuple[Plan, Path, Report]) -> None:
    """Every measure, on every seed; no gene differs either."""
    _, _, report = twins
    assert len(report.effects) == len(MEASURES)
    for item in report.effects:
        found = item.difference
        assert {found.low, found.estimate, found.high} <= {0.0, None}, item
        assert found.low == 0.0 or found.n < 6
        assert item.sign_agreement is None
    assert effect(report, "heirs") == (0.0, 0.0, 0.0)
    half = len(report.genes) // 2
    assert [item.end for item in report.genes[:half]] == [item.end for item in report.genes[half:]]


def test_a_planted_difference_is_found_with_its_sign(tmp_path: Path) -> None:
    """A life that costs nothing against one that nobody can pay: more deaths, surely."""
    cost = ("life.ruin_fraction=0.5", "life.spawn_wealth=2.5", "life.max_age_rounds=0", "body.wealth_cost_bps=0")
    plan = plan_of("body.living_cost_bps=0,2000", sets=(*SHORT, *cost))
    report = report_on(plan, tmp_path, played(plan, tmp_path), 500)
    low, estimate, _ = effect(report, "deaths")
    assert low is not None
    assert estimate is not None
    assert 0.0 < low <= estimate
    agreement = next(item.sign_agreement for item in report.effects if item.measure == "deaths")
    assert agreement == 1.0
    _, _, high = effect(report, "survivors")
    assert high is not None
    assert high < 0.0


def test_finished_runs_are_recognised_and_seeds_may_be_added(
    twins: tuple[Plan, Path, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is played twice; the same sweep with a further seed plays that one only."""
    plan, root, _ = twins
    begun: list[int] = []
    original = sweep.play

    def counting(config: RunConfig, seed: int, *rest: object) -> sweep.Status:
        begun.append(seed)
        return original(config, seed, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "play", counting)
    assert {done.status for done in played(plan, root)} == {"finished"}
    assert begun == []
    more = plan_of(SAME, seeds=range(7))
    claim(root, more)
    played(more, root)
    assert begun == [6, 6]


def test_an_interrupted_sweep_goes_on_to_the_same_end(twins: tuple[Plan, Path, Report], tmp_path: Path) -> None:
    """Stopped in the middle of the third run, then resumed: every head is that of the sweep that never stopped."""
    plan, root, _ = twins
    plan = Plan(plan.variants, range(2))
    first = played(plan, tmp_path, stop_after=27)
    assert [done.status for done in first] == ["finished", "finished", "interrupted", "interrupted"]
    assert {done.status for done in played(plan, tmp_path)} == {"finished"}
    for task in plan.tasks:
        ours, theirs = (verify(task.directory(where)) for where in (tmp_path, root))
        assert ours.ok
        assert ours.head == theirs.head


def test_what_a_killed_start_left_behind_is_swept_up(tmp_path: Path) -> None:
    """A run directory without a history is no obstacle; anything else in it is."""
    plan = Plan(plan_of(SAME).variants[:1], range(1))
    directory = plan.tasks[0].directory(tmp_path)
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text("half")
    (directory / f"{FILE_NAME}.partial").write_bytes(b"SQLite")
    assert played(plan, tmp_path)[0].status == "finished"
    other = Plan(plan.variants, range(1, 2))
    (other.tasks[0].directory(tmp_path)).mkdir(parents=True)
    (other.tasks[0].directory(tmp_path) / "thesis.txt").write_text("mine")
    (done,) = played(other, tmp_path)
    assert (done.status, done.exit_code) == ("failed", 2)
    assert (other.tasks[0].directory(tmp_path) / "thesis.txt").read_text() == "mine"


def test_one_failing_run_does_not_lose_the_others(tmp_path: Path) -> None:
    """A foreign run, and a damaged one, in the places of two: named, left alone, and the rest is reported."""
    plan = plan_of(SAME, seeds=range(2))
    foreign, damaged = plan.tasks[0].directory(tmp_path), plan.tasks[3].directory(tmp_path)
    play(foreign, lively("rounds=2"), SEED)
    damaged.mkdir(parents=True)
    (damaged / FILE_NAME).write_bytes(b"not a database" * 100)
    before = files_of(foreign)
    done = played(plan, tmp_path)
    assert [item.status for item in done] == ["failed", "finished", "finished", "failed"]
    assert "holds another run" in done[0].reason
    assert "not an SQLite database" in done[3].reason
    assert files_of(foreign) == before
    report = report_on(plan, tmp_path, done, 200)
    assert sum(item.dropped for item in report.effects if item.measure == "deaths") == 2


def test_a_directory_of_another_sweep_is_refused(twins: tuple[Plan, Path, Report], tmp_path: Path) -> None:
    """Other values, another configuration around them, a stranger's directory, a damaged plan: exit 2."""
    _, root, _ = twins
    before = sorted(str(path) for path in root.rglob("*"))
    for plan, words in (
        (plan_of("record.checkpoints_kept=2,4"), "holds another sweep"),
        (plan_of(SAME, sets=(*SHORT, "body.fee_bps=3")), "another configuration around them"),
    ):
        with pytest.raises(ConfigError, match=words):
            claim(root, plan)
    assert sorted(str(path) for path in root.rglob("*")) == before
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is not empty and holds no sweep"):
        claim(tmp_path, plan_of(SAME))
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        claim(tmp_path, plan_of(SAME))


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no key": ((), "no key"),
    "no equals sign": (("--vary", "body.fee_bps"), "not of the form"),
    "no value": (("--vary", "body.fee_bps="), "not of the form"),
    "a single value": (("--vary", "body.fee_bps=3"), "a single value compares nothing"),
    "the same value twice": (("--vary", "body.fee_bps=3,3"), "stands twice"),
    "an unknown key": (("--vary", "body.fee_bsp=3,4"), "did you mean 'body.fee_bps'"),
    "an unknown value": (("--vary", "lineage.inheritance=darwinian,lamarkian"), "lamarckian"),
    "a value out of range": (("--vary", "body.fee_bps=3,-1"), "--vary body.fee_bps"),
    "an empty value": (("--vary", "body.fee_bps=3,,4"), "--vary body.fee_bps"),
    "a section": (("--vary", "body=1,2"), "is a section"),
    "a key twice": (("--vary", "body.fee_bps=1,2", "--vary", "body.fee_bps=3,4"), "given twice"),
    "rounds": (("--vary", "rounds=10,20"), "paired"),
    "no seeds": (("--vary", SAME, "--seeds", "3:3"), "empty"),
    "seeds the wrong way": (("--vary", SAME, "--seeds", "3:1"), "reversed"),
    "seeds that are none": (("--vary", SAME, "--seeds", "x"), "A:B"),
    "no rounds": (("--vary", SAME, "--rounds", "0"), "--rounds"),
    "no jobs": (("--vary", SAME, "--jobs", "0"), "--jobs"),
    "too many runs": (("--vary", SAME, "--seeds", "0:4096", "--vary", "body.fee_bps=1,2,3"), "more than"),
    "two formats": (("--vary", SAME, "--json", "--csv"), "choose one of them"),
    "an unknown scenario": (("--vary", SAME, "--set", "scenario=smal"), "small"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_questions_get_one_line_and_write_nothing(tmp_path: Path, name: str) -> None:
    """Exit 2, one line that names the nearest or the rule, no directory."""
    arguments, words = BAD[name]
    seeds = () if "--seeds" in arguments else ("--seeds", "0:2")
    done = call("sweep", *arguments, *seeds, "--out", tmp_path / "out")
    assert (done.code, done.out) == (2, ""), done
    assert words in done.err, done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_combinations_and_lists_are_understood() -> None:
    """Two keys make every combination; a list's comma separates nothing."""
    plan = plan_of("mind.hidden=[8,8],[16,16]", "body.fee_bps=3,10", seeds=range(2))
    assert [variant.config.mind.hidden for variant in plan.variants] == [(8, 8), (8, 8), (16, 16), (16, 16)]
    assert [variant.config.body.fee_bps for variant in plan.variants] == [3, 10, 3, 10]
    assert len({variant.name for variant in plan.variants}) == 4
    assert all(set(variant.name) <= set(f"{variant.name}".replace("/", "")) for variant in plan.variants)
    assert len(plan.tasks) == 8


def test_the_command_prints_a_table_json_and_csv(twins: tuple[Plan, Path, Report]) -> None:
    """All from finished runs, within a second or two."""
    _, root, _ = twins
    sets = [part for text in SHORT for part in ("--set", text)]
    base: tuple[str | Path, ...] = ("sweep", "small", "--vary", SAME, "--seeds", "0:6", "--out", root, *sets)
    table = call(*base)
    assert table.code == 0, table.err
    assert "checkpoints_kept=3 less checkpoints_kept=2" in table.out
    assert "genes under checkpoints_kept=2" in table.out
    found = json.loads(call(*base, "--json").out)
    assert len(found["runs"]) == 12
    assert {item["estimate"] for item in found["effects"]} <= {0.0, None}
    assert json.loads((root / "results.json").read_text()) == found
    rows = call(*base, "--csv").out.splitlines()
    assert len(rows) == 13
    assert rows[0].startswith("variant,seed,status,reason,survivors")


def test_outcomes_follow_from_the_rows(twins: tuple[Plan, Path, Report]) -> None:
    """Counted again by hand from the tables of one run."""
    plan, root, _ = twins
    with closing(connect_reader(plan.tasks[0].directory(root) / FILE_NAME)) as reader:
        found = outcome(reader)
        events = reader.execute("SELECT agent_id, kind, round FROM event").fetchall()
        assert found["deaths"] == sum(kind == "death" for _, kind, _ in events)
        assert found["survivors"] == sum(kind == "censored" for _, kind, _ in events)
        assert found["heirs"] == sum(kind == "spawn" for _, kind, _ in events)
        equity = {(agent, at): value for agent, at, value in
                  reader.execute("SELECT agent_id, round, equity FROM agent_round WHERE status IN (2, 3)")}  # fmt: skip
        gifts = {(agent, at) for agent, kind, at in events if kind == "spawn"}
        close = dict(reader.execute("SELECT round, close FROM market_round").fetchall())
        learners = {row[0] for row in reader.execute("SELECT agent_id FROM agent WHERE mind = 'dqn'")}
        growth = [
            np.log((value + 10_000.0 * ((agent, at) in gifts)) / equity[agent, at - 1] * close[at - 1] / close[at])
            for (agent, at), value in equity.items()
            if agent in learners and (agent, at - 1) in equity and value
        ]
        assert len(growth) == len(excess_growth(reader).growth) > 10
        assert found["growth"] == pytest.approx(np.mean(growth), abs=1e-12)


def history(choose: str, seed: int, births: int = 120) -> sqlite3.Connection:
    """Return an in-memory history of 20 seats: each birth's parent is drawn at random, or is the one with most tau."""
    rng = np.random.Generator(np.random.Philox(seed))
    connection = sqlite3.connect(":memory:")
    for statement in (
        "CREATE TABLE run (config_json TEXT)",
        "CREATE TABLE round (round INTEGER)",
        "CREATE TABLE agent (agent_id INTEGER, parent_id INTEGER, birth_round INTEGER, mind TEXT)",
        "CREATE TABLE event (agent_id INTEGER, kind TEXT, round INTEGER)",
        "CREATE TABLE gene (agent_id INTEGER, name TEXT, value REAL)",
    ):
        connection.execute(statement)
    connection.execute("INSERT INTO run VALUES (?)", (json.dumps(to_plain(RunConfig())),))
    connection.executemany("INSERT INTO round VALUES (?)", [(at,) for at in range(births + 1)])
    tau: dict[int, float] = {}
    living: list[int] = []
    for agent in range(1, 21 + births):
        at = max(0, agent - 20)
        parent = 0
        if at:
            dead = living.pop(int(rng.integers(len(living))))
            connection.execute("INSERT INTO event VALUES (?, 'death', ?)", (dead, at))
            best = max(living, key=lambda who: tau[who])
            parent = best if choose == "fittest" else living[int(rng.integers(len(living)))]
        tau[agent] = float(np.exp(np.log(tau.get(parent, 5e-3)) + 0.1 * rng.standard_normal()))
        living.append(agent)
        connection.execute("INSERT INTO agent VALUES (?, ?, ?, 'dqn')", (agent, parent or None, at))
        connection.execute("INSERT INTO event VALUES (?, 'graduation', ?)", (agent, at))
        genes = [(agent, name, tau[agent] if name == "tau" else getattr(RunConfig().genome, name)[1]) for name in GENES]
        connection.executemany("INSERT INTO gene VALUES (?, ?, ?)", genes)
    return connection


def test_genes_move_where_selection_pulls_and_not_without_it() -> None:
    """A planted winner leaves the null band; under random parents p-values are as they should be; constants stay."""
    with closing(history("fittest", 1)) as connection:
        courses = {course.gene: course for course in gene_courses(connection)}
    tau = courses["tau"]
    assert tau.births == 120
    assert tau.p_value is not None
    assert tau.p_value < 0.01
    assert tau.excess is not None
    assert tau.excess > 0.0
    assert tau.differential is not None
    assert tau.differential > 0.0
    assert tau.observed[-1] > tau.null_high[-1]
    gamma = courses["gamma"]
    assert gamma.excess == pytest.approx(0.0, abs=1e-12)
    assert gamma.observed == pytest.approx(np.full(len(gamma.rounds), 0.92), abs=1e-12)
    found = []
    for seed in range(2, 42):
        with closing(history("anybody", seed, 40)) as connection:
            found.append(next(course.p_value for course in gene_courses(connection) if course.gene == "tau"))
    values = np.array(found, dtype=float)
    assert (values < 0.05).sum() <= 6
    assert abs(values.mean() - 0.5) < 0.15
    assert mean(values).n == 40


@pytest.mark.slow
def test_two_jobs_give_what_one_gives(twins: tuple[Plan, Path, Report], tmp_path: Path) -> None:
    """Processes side by side: the same heads."""
    plan, root, _ = twins
    plan = Plan(plan.variants, range(2))
    assert {done.status for done in played(plan, tmp_path, jobs=2)} == {"finished"}
    for task in plan.tasks:
        assert verify(task.directory(tmp_path)).head == verify(task.directory(root)).head


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_a_directory_to_go_on_with(tmp_path: Path, jobs: str) -> None:
    """SIGINT to the command alone: exit 130 within seconds, every run verifies, the same command finishes."""
    sets = [part for text in (*LIVELY, "rounds=2000") for part in ("--set", text)]
    command = [sys.executable, "-m", "tui.cli", "sweep", "small", "--vary", SAME, "--seeds", "0:2", "--jobs", jobs,
               "--out", str(tmp_path / "out"), *sets]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob(FILE_NAME)) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2.0)
    running.send_signal(signal.SIGINT)
    _, narration = running.communicate(timeout=60)
    assert running.returncode == 130, narration
    assert "the same command goes on" in narration
    assert "Traceback" not in narration
    found = [path.parent for path in tmp_path.rglob(FILE_NAME)]
    assert len(found) == int(jobs)
    for directory in found:
        assert verify(directory).ok
