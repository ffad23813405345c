"""Evaluating a recorded run: who is chosen, against whom, and what the command says about it."""

import csv
import io
import json
import math
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.brains import founder_weights
from arena.errors import ConfigError, DataError
from lineage import settings
from lineage.contest import champions, evaluate, prepare, statistics
from lineage.contest import entrants as people
from lineage.contest.evaluate import ALL, Trials
from lineage.contest.frozen import Conditions
from lineage.record.policies import load_policy, policies_of
from lineage.record.policy import Policy
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests import runs
from tests.commands import call, tape_text

SEEDS = ("--seeds", "0:6", "--ticks", "40", "--resamples", "200", "--min-rounds", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a finished lively run: an oracle's line and learners that retire early."""
    directory = tmp_path_factory.mktemp("evaluate") / "run"
    runs.play(directory, runs.lively())
    return directory


@pytest.fixture
def record(run: Path) -> Iterator[sqlite3.Connection]:
    """Open the run read-only."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        yield connection


def conditions(record: sqlite3.Connection, run: Path, ticks: int = 40) -> Conditions:
    """Return the run's own market, frozen."""
    known = prepare.recorded(record, run)
    return prepare.conditions_of(known, market=None, tape=None, skip_bad=False, ticks=ticks, whole_life=False)


def learners(record: sqlite3.Connection) -> list[Policy]:
    """Return a few fossils."""
    return policies_of(record, "fossils")[:3]


def test_growths_are_those_of_the_record(record: sqlite3.Connection) -> None:
    """By hand, round by round: ln of equity over equity before, a child's endowment added back, deaths included."""
    found = champions.growths(record)
    seen = 0
    rows = record.execute("SELECT agent_id FROM agent WHERE mind = 'dqn' ORDER BY agent_id").fetchall()
    for (agent_id,) in rows:
        life = record.execute(
            "SELECT round, equity FROM agent_round WHERE agent_id = ? AND status <> 1 ORDER BY round", (agent_id,)
        ).fetchall()
        gifts: dict[int, float] = {
            at: json.loads(text)["endowment_cents"] / 100.0
            for at, text in record.execute(
                "SELECT round, payload FROM event WHERE agent_id = ? AND kind = 'spawn'", (agent_id,)
            )
        }
        for (_, before), (at, now) in pairwise(life):
            assert (found.agent_id[seen], found.round[seen]) == (agent_id, at)
            assert found.growth[seen] == pytest.approx(math.log((now + gifts.get(at, 0.0)) / before))
            seen += 1
    assert seen == len(found.growth) > 50


def test_champions_have_the_highest_growth_above_the_others(record: sqlite3.Connection) -> None:
    """Medians by market and round, means by agent, enough rounds lived, best first, ties to the older."""
    lives = champions.growths(record)
    above: dict[int, list[float]] = {}
    for agent_id, at, market, growth in zip(*lives, strict=True):
        peers = lives.growth[(lives.round == at) & (lives.market == market)]
        above.setdefault(int(agent_id), []).append(float(growth - np.median(peers)))
    wanted = sorted(((-np.mean(x), who) for who, x in above.items() if len(x) >= 4))[:3]
    chosen = champions.select(record, 3, 4)
    assert [champion.agent_id for champion in chosen.champions] == [who for _, who in wanted]
    assert [champion.score for champion in chosen.champions] == pytest.approx([-score for score, _ in wanted])
    assert chosen.eligible == sum(len(x) >= 4 for x in above.values())
    assert chosen.born == record.execute("SELECT count(*) FROM agent").fetchone()[0] > chosen.traders > chosen.eligible


def test_a_market_that_lifts_everybody_makes_no_champion() -> None:
    """What all traders of a market and round got is taken off; markets are not compared with each other."""
    lives = champions.Growths(
        np.array([1, 1, 2, 2, 3, 3]), np.array([5, 6, 5, 6, 5, 6]), np.array([0, 0, 0, 0, 1, 1]),
        np.array([0.5, -0.4, 0.5, -0.4, 9.0, 9.0]),
    )  # fmt: skip
    assert champions.excesses(lives) == pytest.approx(np.zeros(6))


def test_the_untrained_self_has_the_weights_of_birth_and_the_same_body(record: sqlite3.Connection) -> None:
    """For a founder they are its birth weights, whatever happened since; the fossil's differ."""
    for policy in learners(record):
        trained, fresh = people.of_policy(policy), people.untrained(policy)
        assert trained.weights is not None and fresh.weights is not None and policy.layout == fresh.layout
        assert fresh.weights.tobytes() == founder_weights(policy.layout, runs.SEED, policy.agent_id).tobytes()
        assert (fresh.position_scale, fresh.stop_atr) == (trained.position_scale, trained.stop_atr)
        assert trained.weights.tobytes() != fresh.weights.tobytes()


def test_equal_policies_differ_by_exactly_nothing(record: sqlite3.Connection, run: Path) -> None:
    """A scripted agent against its own strategy with the same body: zero, one half, and the whole of the oracle."""
    genome = prepare.recorded(record, run).config.genome
    genes = {"position_scale": genome.position_scale[1], "stop_atr": genome.stop_atr[1]}
    (oracle,) = record.execute("SELECT agent_id FROM agent WHERE mind = 'oracle' LIMIT 1").fetchone()
    typical = replace(load_policy(record, oracle), genes=genes)
    found = evaluate.evaluate([typical], ["oracle"], range(6), conditions(record, run, 200), Trials(10), resamples=200)
    (difference,) = found.differences
    assert (difference.difference.estimate, difference.difference.low, difference.difference.high) == (0.0, 0.0, 0.0)
    assert difference.improvement.estimate is not None
    assert difference.sign_agreement is None
    assert found.oracle_share is not None
    assert (found.oracle_share.estimate, found.oracle_share.low) == pytest.approx((1.0, 1.0))


def test_the_mean_of_all_pairs_each_with_its_own_untrained_self(record: sqlite3.Connection, run: Path) -> None:
    """The row of all is the mean of the pairs; growth by market is there for every row."""
    policies = learners(record)
    found = evaluate.evaluate(
        policies, ["untrained", "flat"], range(8), conditions(record, run), Trials(9), resamples=200
    )
    by_hand = np.mean(
        [found.growth[policy.name] - found.growth[f"{policy.name} untrained"] for policy in policies], axis=0
    )
    rows = {(item.entrant, item.opponent): item for item in found.differences}
    assert rows[ALL, "untrained"].difference.estimate == pytest.approx(by_hand.mean())
    assert rows[ALL, "flat"].difference.estimate == pytest.approx(
        np.mean([found.growth[policy.name] for policy in policies])
    )
    assert len(rows) == 2 * (1 + len(policies))
    assert [standing.name for standing in found.standings] == [*(policy.name for policy in policies), "flat"]


def test_a_field_played_in_slices_is_the_same(
    record: sqlite3.Connection, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for two entrants at a time, the same results."""
    given: Any = (learners(record), ["untrained", "random"], range(6), conditions(record, run), Trials(9))
    whole = evaluate.evaluate(*given, resamples=200)
    monkeypatch.setattr(evaluate, "_MOST_NUMBERS", 500)
    steps: list[tuple[int, int]] = []
    sliced = evaluate.evaluate(*given, resamples=200, progress=lambda done, total: steps.append((done, total)))
    assert sliced.standings == whole.standings and sliced.differences == whole.differences
    assert steps[0] == (2, 8) and steps[-1] == (8, 8)


def test_a_policy_that_sees_otherwise_is_refused(record: sqlite3.Connection) -> None:
    """Another observation version cannot play here."""
    with pytest.raises(DataError, match="observation version 999"):
        people.of_policy(replace(learners(record)[0], obs_version=999))


def json_of(run: Path, *arguments: str) -> dict[str, Any]:
    """Return what `evaluate --json` prints."""
    done = call("evaluate", run, *SEEDS, "--json", *arguments)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_command_prints_what_it_found_and_how_to_find_it_again(run: Path) -> None:
    """The JSON holds every figure, counts who lies behind the choice, and its command gives the same bytes again."""
    found = json_of(run, "--champions", "2", "--against", "untrained,random,hold,trend,meanrev,oracle,flat")
    assert found["seeds"] == [0, 6] and found["ticks"] == 40
    assert len(found["selection"]["champions"]) == found["selection"]["entrants"] == 2
    assert found["selection"]["born"] > found["selection"]["traders"] > found["selection"]["eligible"] >= 2
    entrant = found["entrants"][0]
    assert set(entrant["figures"]) == set(evaluate.FIGURES)
    assert entrant["growth"]["n"] == 6 and entrant["growth"]["low"] <= entrant["growth"]["estimate"]
    assert {item["opponent"] for item in found["differences"]} == set(people.OPPONENTS)
    assert all(len(values) == 6 for values in found["growth_by_market"].values())
    flat = next(item for item in found["entrants"] if item["name"] == "flat")
    assert flat["figures"]["sharpe"] == {"value": None, "reason": "the returns do not vary"}
    words = shlex.split(found["command"])
    assert json.loads(call(*words[1:], "--json").out) == found


def test_the_table_and_the_csv_hold_the_same_figures(run: Path) -> None:
    """Names, growth, the count behind the choice, the command; one CSV row a figure."""
    table = call("evaluate", run, *SEEDS, "--champions", "2")
    rows = list(csv.DictReader(io.StringIO(call("evaluate", run, *SEEDS, "--champions", "2", "--csv").out)))
    growth = next(row for row in rows if row["table"] == "entrant" and row["measure"] == "log_growth")
    assert f"{float(growth['value']):+.3f}" in table.out and growth["entrant"] in table.out
    for words in ("held-out seeds 0:6", "agents ever born", "paired differences", "repeat", "share of the oracle"):
        assert words in table.out
    assert {row["opponent"] for row in rows if row["table"] == "difference"} == set(people.OPPONENTS[:-1])
    assert {row["measure"] for row in rows if row["table"] == "entrant"} >= set(evaluate.FIGURES)


@pytest.mark.parametrize("who", ["alive", "fossils"])
def test_groups_of_agents_are_those_of_the_run(run: Path, record: sqlite3.Connection, who: str) -> None:
    """The living at the end, or the dead."""
    reason = {"alive": "end", "fossils": "death"}[who]
    found = json_of(run, "--who", who, "--against", "flat")
    kept = found["selection"]["policies"].values()
    (count,) = record.execute("SELECT count(*) FROM policy WHERE reason = ?", (reason,)).fetchone()
    assert len(kept) == count > 0
    assert {item["reason"] for item in kept} == {reason}
    assert found["selection"]["eligible"] is None


def test_agents_are_named_by_id_or_by_clan(run: Path, record: sqlite3.Connection) -> None:
    """Scripted agents play too; they have no untrained self."""
    (oracle,) = record.execute("SELECT agent_id FROM agent WHERE mind = 'oracle' LIMIT 1").fetchone()
    policy = learners(record)[0]
    found = json_of(run, "--who", f"{oracle},{policy.name}", "--against", "untrained,flat")
    assert [item["entrant"] for item in found["differences"] if item["opponent"] == "untrained"] == [policy.name]
    alone = call("evaluate", run, *SEEDS, "--who", str(oracle), "--against", "untrained")
    assert (alone.code, alone.out) == (2, "")


def test_another_market_and_a_tape_can_be_played(run: Path, tmp_path: Path) -> None:
    """A scenario's market instead of the run's own; windows of a tape, with what they overlap said."""
    own, null = json_of(run, "--against", "hold"), json_of(run, "--against", "hold", "--market", "null")
    assert null["market"] == "null" and own["growth_by_market"] != null["growth_by_market"]
    (tmp_path / "prices.csv").write_text(tape_text(220))
    found = json_of(run, "--tape", str(tmp_path / "prices.csv"))
    assert "oracle" not in found["against"] and found["oracle_share"] is None
    assert found["windows_side_by_side"] == 2
    table = call("evaluate", run, *SEEDS, "--tape", tmp_path / "prices.csv")
    assert "6 overlap: the intervals are too narrow" in table.out


def test_a_tape_that_the_run_traded_is_played_behind_what_it_saw(tmp_path: Path) -> None:
    """Too few bars are left: refused; with more of them, windows begin where the run ended."""
    path = tmp_path / "prices.csv"
    path.write_text(tape_text(330))
    words = ("--set", "arena.seats=4", "--set", "market.warmup_bars=128", "--set", "arena.ticks_per_round=8")
    fast = ("--set", "life.founder_apprentice_rounds=0", "--set", "mind.hidden=[8,8]")
    done = call("run", "small", "--tape", path, *words, *fast, "--rounds", "6", "--out", tmp_path / "run", "--quiet")
    assert done.code == 0, done.err
    with closing(connect_reader(tmp_path / "run" / FILE_NAME)) as connection:
        known = prepare.recorded(connection, tmp_path / "run")
    given: Any = {"market": None, "tape": path, "skip_bad": False, "whole_life": False}
    assert prepare.conditions_of(known, ticks=80, **given).first_bar == 48
    with pytest.raises(DataError, match="282 of them unseen by the run"):
        prepare.conditions_of(known, ticks=160, **given)
    with pytest.raises(ConfigError, match="the run traded a tape"):
        prepare.conditions_of(known, ticks=80, **(given | {"tape": None}))


def test_whole_lives_can_be_asked_for(run: Path) -> None:
    """With living costs flat loses."""
    found = json_of(run, "--against", "flat", "--whole-life")
    flat = next(item for item in found["entrants"] if item["name"] == "flat")
    assert flat["growth"]["high"] < 0.0
    assert "deaths" in call("evaluate", run, *SEEDS, "--whole-life", "--against", "flat").out


def test_few_markets_give_no_interval_but_a_reason(run: Path) -> None:
    """Never an interval of zero width."""
    found = json_of(run, "--against", "hold", "--seeds", "3:4")
    assert found["entrants"][0]["growth"]["low"] is None
    assert "needs 6" in found["entrants"][0]["growth"]["reason"]
    assert "undefined: 1 market" in call("evaluate", run, *SEEDS, "--seeds", "3:4", "--against", "hold").out


@pytest.mark.parametrize(
    ("arguments", "code", "needles"),
    [
        (("--against", "trnd"), 2, ("trnd", "'trend'")),
        (("--against", ","), 2, ("names nobody",)),
        (("--seeds", "5:5"), 2, ("5:5", "empty")),
        (("--seeds", "9:3"), 2, ("9:3", "reversed")),
        (("--seeds", "0-32"), 2, ("A:B",)),
        (("--seeds", "-3:2"), 2, ("A:B",)),
        (("--seeds", "0:100000"), 2, ("at most 4096",)),
        (("--seeds", "0:4000", "--ticks", "1000000"), 2, ("ticks an entrant",)),
        (("--ticks", "0"), 2, ("--ticks",)),
        (("--market", "eazy"), 2, ("eazy", "'easy'")),
        (("--market", "easy", "--tape", "x.csv"), 2, ("drop --market or --tape",)),
        (("--skip-bad",), 2, ("--tape FILE",)),
        (("--tape", "nowhere.csv"), 3, ("nowhere.csv",)),
        (("--who", "999"), 2, ("999", "never born")),
        (("--who", "somebody"), 2, ("somebody",)),
        (("--who", "fossils,3"), 2, ("stands alone",)),
        (("--who", ""), 2, ("names nobody",)),
        (("--who", "nowhere.safetensors"), 3, ("nowhere.safetensors",)),
        (("--min-rounds", "5000"), 3, ("5000 rounds", "--min-rounds")),
        (("--json", "--csv"), 2, ("--csv",)),
    ],
)
def test_wrong_input_gets_one_line(run: Path, arguments: tuple[str, ...], code: int, needles: tuple[str, ...]) -> None:
    """The right exit code, nothing on stdout, the value and the cure."""
    done = call("evaluate", run, *SEEDS, *arguments)
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.count("\n") == 1
    assert all(needle in done.err for needle in needles), done.err


def test_oracles_on_tapes_and_agents_named_twice_are_refused(run: Path, tmp_path: Path) -> None:
    """A tape has no known drift; a policy counts once."""
    (tmp_path / "prices.csv").write_text(tape_text(300))
    taped = call("evaluate", run, *SEEDS, "--tape", tmp_path / "prices.csv", "--against", "oracle")
    assert taped.code == 2 and "no known drift" in taped.err
    twice = call("evaluate", run, *SEEDS, "--who", "1,#1")
    assert twice.code == 2 and "twice" in twice.err


def test_what_is_no_run_or_has_no_dead_is_refused(tmp_path: Path) -> None:
    """No database; a run without deaths; a run without rounds enough for a champion."""
    nowhere = call("evaluate", tmp_path)
    assert nowhere.code == 2 and "no run is recorded here" in nowhere.err
    runs.play(tmp_path / "calm", runs.lively("rounds=2", "life.max_age_rounds=0", "life.ruin_fraction=0"))
    fossils = call("evaluate", tmp_path / "calm", *SEEDS, "--who", "fossils")
    assert fossils.code == 3 and "no learner has died" in fossils.err
    best = call("evaluate", tmp_path / "calm", *SEEDS)
    assert best.code == 3 and "no learner traded real money for 4 rounds" in best.err
    export = call("policy", "export", tmp_path / "calm", "--champions", "2")
    assert export.code == 3 and "name agents instead" in export.err
    spec = tmp_path / "cup.toml"
    spec.write_text('[[entrant]]\nname = "best"\nrun = "calm"\n[[world]]\nname = "easy"\n')
    cup = call("tournament", "plan", spec)
    assert cup.code == 3 and "entrant 'best': champions: no learner" in cup.err and 'who = "3,17"' in cup.err
    for done in (export, cup):  # each names its own cure, not the flags of `evaluate`
        assert "--" not in done.err and done.err.count("\n") == 1


def test_evaluating_writes_nothing(run: Path) -> None:
    """Not a byte of the run changes."""
    before = runs.files_of(run)
    json_of(run, "--against", "flat")
    assert runs.files_of(run) == before


def test_every_command_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, on a tiny population and few markets; every figure in the JSON has its row in the tables."""
    text = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.csv").write_text(tape_text(400))
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    tiny = {f"LINEAGE_ARENA_{name}": value for name, value in SMALL.items()}
    for line in block.splitlines():
        words = shlex.split(line)[1:]
        fast = ["--seeds", "0:6", "--ticks", "40", "--min-rounds", "3"] if words[0] == "evaluate" else []
        done = call(*words, *fast, env=tiny)
        assert done.code == 0, f"{line}: {done.err}"
    assert all(f"`{name}`" in text for name in ("log_growth", *evaluate.FIGURES))


SMALL = {
    "ARENA_SEATS": "4", "ARENA_TICKS_PER_ROUND": "8", "MIND_HIDDEN": "[8,8]", "MIND_REPLAY_CAPACITY": "128",
    "MIND_LEARN_START": "32", "MARKET_WARMUP_BARS": "128", "LIFE_FOUNDER_APPRENTICE_ROUNDS": "0", "ROUNDS": "6",
}  # fmt: skip


@pytest.mark.slow
def test_policies_trained_on_the_null_market_do_not_beat_flat(tmp_path: Path) -> None:
    """The champions of a real run there: neither their mean nor anybody's interval at 99 % lies above zero."""
    config = settings.load("null", assignments=["rounds=120", "arena.seats=32"], environment={}).config
    runs.play(tmp_path / "run", config)
    with closing(connect_reader(tmp_path / "run" / FILE_NAME)) as record:
        chosen = prepare.choose(record, tmp_path / "run", "champions", min_rounds=20)
        frozen = conditions(record, tmp_path / "run", 1000)
    found = evaluate.evaluate(chosen.policies, ["flat"], range(32), frozen, chosen.trials)
    assert not found.differences[0].difference.above_zero
    names = [policy.name for policy in chosen.policies]
    assert not [name for name in names if statistics.mean(found.growth[name], level=0.99).above_zero]
