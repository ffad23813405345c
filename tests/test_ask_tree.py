"""Trees of a run at any round, of anybody's arrays, and the walks on them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.errors import ConfigError, DataError, StoreError
from lineage.ask.kinship import ancestors, descendants, line_of, mrca, mrca_id, mrca_of
from lineage.ask.reading import check_round, open_run, resolve
from lineage.ask.tree import Tree, read_tree, tree_from_arrays
from tests.forests import chain, parents_of, random_forest
from tests.histories import write_history

ROUNDS = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with births and deaths."""
    directory = tmp_path_factory.mktemp("made-up")
    write_history(directory, rounds=ROUNDS)
    return directory


def test_a_run_is_read_as_it_was_recorded(run: Path) -> None:
    """Founder, depth and jump pointer come out as the writer computed them, without being read."""
    with open_run(run) as connection:
        tree = read_tree(connection)
        rows = connection.execute("SELECT agent_id, founder_id, depth, jump_id, clan FROM agent ORDER BY 1").fetchall()
    ids = tree.ids
    for row, told in enumerate(rows):
        found = (ids[row], ids[tree.founder[row]], tree.depth[row], ids[tree.jump[row]], tree.name(row))
        assert found == told
    assert len(tree) == len(rows)
    assert tree.depth.max() >= 1
    assert 0 < tree.extant.sum() < len(tree)


def test_the_tree_at_a_round_knows_nothing_later(run: Path) -> None:
    """At every round: exactly those born by then, dead exactly if they had died by then; in rounds and in ticks."""
    with open_run(run) as connection:
        born = connection.execute("SELECT agent_id, birth_round, birth_tick FROM agent ORDER BY 1").fetchall()
        deaths = connection.execute("SELECT agent_id, round, tick FROM event WHERE kind = 'death'").fetchall()
        died = {agent: (when, tick) for agent, when, tick in deaths}
        for at in range(ROUNDS):
            for unit, place in (("round", 0), ("tick", 1)):
                tree = read_tree(connection, at, unit)  # type: ignore[arg-type]
                expected = [row for row in born if row[1] <= at]
                assert tree.ids.tolist() == [row[0] for row in expected]
                assert tree.origin_time.tolist() == [row[1 + place] for row in expected]
                for agent, end in zip(tree.ids.tolist(), tree.destruction_time.tolist(), strict=True):
                    known = died.get(agent, (ROUNDS, 0))
                    assert (end == known[place]) if known[0] <= at else np.isnan(end)


def test_rounds_that_are_not_there_are_named(run: Path) -> None:
    """Before the first, after the last, and in a run without a round."""
    with open_run(run) as connection:
        assert check_round(connection, None) == ROUNDS - 1
        for wrong in (-1, ROUNDS, 10**12):
            with pytest.raises(ConfigError, match=f"holds rounds 0 to {ROUNDS - 1}"):
                read_tree(connection, wrong)


def test_people_may_say_an_id_or_a_name(run: Path) -> None:
    """17, #17, the clan's name, the clan's name with a member's id; nobody else."""
    with open_run(run) as connection:
        agent, clan, founder = connection.execute(
            "SELECT agent_id, clan, founder_id FROM agent WHERE depth > 0 ORDER BY agent_id LIMIT 1"
        ).fetchone()
        for said in (str(agent), f"#{agent}", f"{clan}-{agent}", f" {agent} "):
            assert resolve(connection, said) == agent
        assert resolve(connection, clan) == founder
        (newest,) = connection.execute("SELECT max(agent_id) FROM agent").fetchone()
        wrong_words = ["0", str(newest + 1), "9" * 19, "9" * 40, "-1", "", "no-body", f"{clan}-{newest + 1}", "1.0"]
        for wrong in [*wrong_words, "\x1b[2J"]:
            with pytest.raises(ConfigError) as caught:
                resolve(connection, wrong)
            assert "\n" not in str(caught.value)
            assert str(caught.value).isprintable()
        with pytest.raises(ConfigError, match=f"did you mean {clan!r}"):
            resolve(connection, f"{clan}x")
        (late,) = connection.execute("SELECT max(birth_round) FROM agent").fetchone()
        with pytest.raises(ConfigError, match="not born before round"):
            resolve(connection, str(newest), at=late - 1)


def test_walks_on_the_database_equal_those_on_the_tree(run: Path) -> None:
    """Lines of descent and common ancestors of all pairs."""
    with open_run(run) as connection:
        tree = read_tree(connection)
        for row, agent in enumerate(tree.ids.tolist()):
            assert line_of(connection, agent)[1:] == tree.ids[ancestors(tree, row)].tolist()
            for other, second in enumerate(tree.ids.tolist()):
                found = mrca(tree, row, other)
                assert mrca_id(connection, agent, second) == (None if found is None else int(tree.ids[found]))


def walked(parents: dict[int, int | None], agent: int) -> list[int]:
    """Return the line of descent by walking, the agent first."""
    found = [agent]
    while (above := parents[found[-1]]) is not None:
        found.append(above)
    return found


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_walks_equal_walking(seed: int) -> None:
    """Ancestors, descendants and common ancestors against the plainest way."""
    tree = random_forest(seed, most=25)
    parents = parents_of(tree)
    ids = tree.ids.tolist()
    lines = {agent: walked(parents, agent) for agent in ids}
    for row, agent in enumerate(ids):
        assert tree.ids[ancestors(tree, row)].tolist() == lines[agent][1:]
        below = [other for other in ids if agent in lines[other][1:]]
        assert tree.ids[descendants(tree, row)].tolist() == below
        for other_row, other in enumerate(ids):
            shared = [one for one in lines[agent] if one in lines[other]]
            found = mrca(tree, row, other_row)
            assert (None if found is None else int(tree.ids[found])) == (shared[0] if shared else None)
    everybody = [one for one in lines[ids[0]] if all(one in line for line in lines.values())]
    common = mrca_of(tree, np.arange(len(tree)))
    assert (None if common is None else int(tree.ids[common])) == (everybody[0] if everybody else None)


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_the_order_of_rows_and_the_size_of_ids_do_not_matter(seed: int) -> None:
    """Shuffled rows and ids that do not count up give the same genealogy, parents before children."""
    tree = random_forest(seed, most=25)
    labels = np.random.default_rng(seed).permutation(len(tree)) * 7 + 1
    order = np.random.default_rng(seed + 1).permutation(len(tree))
    above = np.where(tree.parent < 0, labels, labels[tree.parent])  # founders name themselves
    other = tree_from_arrays(
        labels[order], above[order], tree.origin_time[order], tree.destruction_time[order], present=tree.present
    )
    assert np.all(other.parent < np.arange(len(other)))
    row = {int(label): place for place, label in enumerate(other.ids)}
    for place, label in enumerate(labels.tolist()):
        found = row[label]
        assert other.depth[found] == tree.depth[place]
        assert other.ids[other.founder[found]] == labels[tree.founder[place]]
        assert other.ids[other.jump[found]] == labels[tree.jump[place]]
        assert other.row(label) == found


def made(**changes: list[float]) -> Tree:
    """Return a tree of three from arrays, some of them changed."""
    arrays: dict[str, list[float]] = {
        "ids": [1, 2, 3], "parents": [-1, 1, 2], "origin": [0.0, 1.0, 2.0], "death": [5.0, np.nan, np.nan], **changes,
    }  # fmt: skip
    return tree_from_arrays(
        np.array(arrays["ids"], dtype=np.int64), np.array(arrays["parents"], dtype=np.int64),
        np.array(arrays["origin"]), np.array(arrays["death"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": [1, 1, 3]}, "id 1: occurs twice"),
        ({"parents": [-1, 9, 2]}, "id 2: its parent 9 is not there"),
        ({"parents": [2, 3, 1]}, "is its own ancestor"),
        ({"parents": [-1, 3, 2]}, "is its own ancestor"),
        ({"origin": [0.0, 3.0, 2.0]}, "id 3: it is born before its parent"),
        ({"origin": [0.0, np.nan, 2.0]}, "id 2: its origin time"),
        ({"origin": [0.0, np.inf, 2.0]}, "id 2: its origin time"),
        ({"death": [-1.0, np.nan, np.nan]}, "id 1: it dies before it is born"),
        ({"death": [5.0, np.inf, np.nan]}, "id 2: its destruction time"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(changes: dict[str, list[float]], words: str) -> None:
    """Named row, named rule."""
    with pytest.raises(DataError, match=words):
        made(**changes)


def test_a_line_a_hundred_thousand_deep_is_walked() -> None:
    """Nothing recurses, and jumps make common ancestors cheap."""
    tree = chain(100_000, alive=False)
    assert tree.depth[-1] == 99_999
    assert len(ancestors(tree, 99_999)) == 99_999
    assert len(descendants(tree, 0)) == 99_999
    assert mrca(tree, 99_999, 43_210) == 43_210


def test_somebody_who_is_not_in_the_tree_is_named() -> None:
    """Also in an empty one."""
    with pytest.raises(ConfigError, match="agent 9: not in this tree of 3 agents"):
        made().row(9)
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(ConfigError, match="agent 1: not in this tree of 0 agents"):
        tree_from_arrays(none, none, np.zeros(0), np.zeros(0)).row(1)


def test_a_history_that_contradicts_itself_is_no_tree(tmp_path: Path) -> None:
    """A birth before the parent's, in a file that was tampered with: exit 4, one line."""
    write_history(tmp_path, rounds=ROUNDS)
    import sqlite3

    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute("DROP TRIGGER stored_agent_no_update")
        connection.execute("UPDATE stored_agent SET birth_round = 0 WHERE depth > 0")
        connection.execute("UPDATE stored_agent SET birth_round = 3 WHERE depth = 0")
    connection.close()
    with pytest.raises(StoreError, match=r"born before its parent.*run verify"), open_run(tmp_path) as reader:
        read_tree(reader)
