"""Newborns: what everybody was born with, derived or kept, and whether later generations are born better."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from arena.errors import DataError
from lineage.contest import newborns
from lineage.contest.newborns import bands, compare_generations, newborn_policies
from lineage.contest.prepare import conditions_of, recorded
from lineage.record.policies import Policy, birth_policies
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests.commands import call
from tests.runs import lively, play

LEARNERS_BREED = (
    "population.oracle=0", "life.spawn_min_trades=1", "life.spawn_wealth=1.05", "market.drift=0.02",
    "lineage.weight_mutation=0.1",
)  # fmt: skip


def run_of(directory: Path, *assignments: str) -> Path:
    """Play a lively run of learners only."""
    play(directory, lively(*LEARNERS_BREED, *assignments))
    return directory


def asked(directory: Path) -> list[Policy]:
    """Return the newborns of a run."""
    with closing(connect_reader(directory / FILE_NAME)) as reader:
        return newborn_policies(reader)


@pytest.fixture(scope="module")
def lamarckian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose heirs inherit what was learned, with their births kept."""
    return run_of(tmp_path_factory.mktemp("newborns") / "run", "record.birth_policies=true")


@pytest.mark.parametrize("mode", ["darwinian", "baldwinian"])
def test_derived_births_are_the_kept_ones(tmp_path: Path, mode: str) -> None:
    """Where nothing learned is inherited, seed and parentage give every newborn's weights, bit for bit."""
    kept = run_of(tmp_path / "kept", f"lineage.inheritance={mode}", "record.birth_policies=true")
    bare = run_of(tmp_path / "bare", f"lineage.inheritance={mode}")
    with closing(connect_reader(kept / FILE_NAME)) as reader:
        told = birth_policies(reader)
        (heirs,) = reader.execute("SELECT count(*) FROM agent WHERE parent_id IS NOT NULL").fetchone()
    derived = asked(bare)
    assert heirs > 0
    assert [policy.agent_id for policy in derived] == [policy.agent_id for policy in told]
    for one, other in zip(derived, told, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert (one.genes, one.round) == (other.genes, other.round)  # names follow from the genesis, and so differ


def test_learned_births_are_not_made_up(tmp_path: Path) -> None:
    """Under lamarckian, without kept births, the answer is the switch that keeps them."""
    directory = run_of(tmp_path / "run")
    with pytest.raises(DataError, match="birth_policies=true"):
        asked(directory)
    done = call("newborns", directory)
    assert (done.code, done.out) == (3, "")
    assert done.err.count("\n") == 1


def test_wrong_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a build that draws other fresh weights does not pass them off as those of the run."""
    directory = run_of(tmp_path / "run", "lineage.inheritance=darwinian")
    monkeypatch.setattr(newborns, "founder_weights", lambda layout, seed, agent: np.ones(layout.n_params))
    with pytest.raises(DataError, match="not those it was born"):
        asked(directory)


def test_generations_are_compared_on_the_same_markets(lamarckian: Path) -> None:
    """Founders are their untrained selves exactly; the same question gives the same answer."""
    with closing(connect_reader(lamarckian / FILE_NAME)) as reader:
        conditions = conditions_of(
            recorded(reader, lamarckian), market=None, tape=None, skip_bad=False, ticks=40, whole_life=False
        )
        first, *later = compare_generations(reader, range(6), conditions, 3, 200)
        again, *_ = compare_generations(reader, range(6), conditions, 3, 200)
    assert first == again
    assert later
    assert (first.first, first.last) == (0, 0)
    assert first.played == 3
    assert (first.inherited.low, first.inherited.estimate, first.inherited.high) == (0.0, 0.0, 0.0)
    assert (first.above_founders.estimate, first.sign_agreement) == (0.0, None)
    assert any(item.inherited.estimate != 0.0 for item in later)


def test_the_command_prints_a_row_a_band(lamarckian: Path) -> None:
    """As a table and as JSON."""
    base = ("newborns", lamarckian, "--seeds", "0:6", "--ticks", "40", "--per-generation", "2")
    table = call(*base)
    assert table.code == 0, table.err
    rows = json.loads(call(*base, "--json").out)
    assert len(table.out.splitlines()) == 2 + len(rows)
    assert rows[0]["first"] == 0
    assert call("newborns", lamarckian, "--seeds", "3:3").code == 2
    assert call("newborns", lamarckian, "--market", "esay").code == 2


def test_bands_double() -> None:
    """0, 1, 2, 3 to 4, 5 to 8; the last ends with the deepest."""
    assert bands(0) == [(0, 0)]
    assert bands(7) == [(0, 0), (1, 1), (2, 2), (3, 4), (5, 7)]
    assert bands(16)[-1] == (9, 16)
