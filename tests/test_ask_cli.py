"""The `lineage` commands as a user types them: tables, JSON, CSV, pages, rounds, trees drawn."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineage.ask.reading import open_run
from lineage.ask.tree import read_tree, tree_from_arrays
from lineage.record.store import FILE_NAME
from tests.commands import call
from tests.forests import chain, random_forest
from tests.histories import write_history
from tui.tables import cell_text, table_lines
from tui.treetext import levels_for, tree_lines, twigs

ROUNDS = 60
QUESTIONS: list[list[str]] = [
    ["ancestors", "AGENT"], ["descendants", "FOUNDER"], ["mrca", "AGENT", "FOUNDER"], ["tree"], ["tree", "FOUNDER"],
    ["scars"], ["scars", "AGENT"], ["graveyard"], ["clans"], ["champions"], ["champions", "--by", "children"],
    ["champions", "--by", "age"], ["champions", "--by", "damage"], ["survival"],
    ["survival", "--by", "damage"],
    ["survival", "--by", "birthmark"], ["survival", "--by", "generation"], ["survival", "--by", "inherited"],
    ["metrics"], ["metrics", "--lengths", "unit", "--living", "tips", "--no-stem"], ["ltt"],
    ["diversity", "--every", "7"],
    ["muller", "--every", "20"], ["muller", "--of", "FOUNDER"], ["neutral", "--replicates", "50"],
    ["neutral", "--statistic", "alive", "--replicates", "50"],
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with lines of several generations."""
    directory = tmp_path_factory.mktemp("made-up")
    write_history(directory, rounds=ROUNDS, seed=11)
    return directory


@pytest.fixture(scope="module")
def people(run: Path) -> dict[str, str]:
    """An agent deep in a tree, and the founder of its clan by name."""
    with open_run(run) as connection:
        row = connection.execute(
            "SELECT agent_id, clan FROM agent WHERE birth_round <= 30 ORDER BY depth DESC, agent_id LIMIT 1"
        ).fetchone()
    return {"AGENT": str(row[0]), "FOUNDER": str(row[1])}


def spoken(question: list[str], people: dict[str, str]) -> list[str]:
    """Return a question with its people filled in."""
    return [people.get(word, word) for word in question]


def rows_of(text: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON answer."""
    found: list[dict[str, Any]] = json.loads(text)["rows"]
    return found


def told(path: Path, *words: str) -> list[dict[str, Any]]:
    """Return all rows of the answer to a question."""
    done = call("lineage", path, *words, "--limit", "10000", "--json")
    assert done.code == 0, done.err
    return rows_of(done.out)


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
@pytest.mark.parametrize("at", [None, "30"])
def test_every_question_is_answered_in_every_form(
    run: Path, people: dict[str, str], question: list[str], at: str | None
) -> None:
    """The same rows as table, JSON and CSV, now and at an earlier round; the file does not change."""
    before = hashlib.sha256((run / FILE_NAME).read_bytes()).hexdigest()
    words = ["lineage", str(run), *spoken(question, people), *(["--at", at] if at else [])]
    table, as_json, as_csv = call(*words), call(*words, "--json"), call(*words, "--csv")
    for done in (table, as_json, as_csv):
        assert done.code == 0, done.err
    rows = rows_of(as_json.out)
    cells = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert len(cells) == len(rows) > 0
    for row, line in zip(rows, cells, strict=True):
        assert [("" if value is None else str(value)) for value in row.values()] == [
            one.removeprefix("'") for one in line.values()
        ]
    assert len(table.out.splitlines()) == len(rows) + (question[0] != "tree")
    assert hashlib.sha256((run / FILE_NAME).read_bytes()).hexdigest() == before


def test_pages_cover_everything_once(run: Path) -> None:
    """--limit and --skip walk through a list without gap or overlap, and say where the next page begins."""
    for question in (["graveyard"], ["clans"], ["ltt", "--every", "1"], ["champions"]):
        everything = rows_of(call("lineage", run, *question, "--limit", "10000", "--json").out)
        pages: list[dict[str, Any]] = []
        while True:
            done = call("lineage", run, *question, "--limit", "7", "--skip", str(len(pages)), "--json")
            page = rows_of(done.out)
            pages += page
            if len(page) < 7:
                break
        assert pages == everything
        assert "--skip 7" in call("lineage", run, *question, "--limit", "7").err
        assert "--skip" not in call("lineage", run, *question, "--limit", "10000").err


def test_at_a_round_nothing_later_is_told(run: Path, people: dict[str, str]) -> None:
    """Births, deaths and scars after --at do not show anywhere."""
    for at in (0, 10, 45):
        for question in (["graveyard"], ["descendants", people["FOUNDER"]], ["clans"], ["tree"], ["champions"]):
            for row in rows_of(call("lineage", run, *question, "--at", str(at), "--limit", "1000", "--json").out):
                for key in ("born", "graduated", "died", "founded", "extinct"):
                    assert row.get(key) is None or row[key] <= at, (question, row)
    whole, early = (
        {row["agent"]: row["damage"] for row in told(run, "champions", "--by", "damage", *at)}
        for at in ([], ["--at", "30"])
    )
    assert all(damage <= whole[agent] for agent, damage in early.items())
    assert sum(early.values()) < sum(whole[agent] for agent in early)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ancestors", "100000"], "was never born"), (["ancestors", "nobody"], "neither an id nor the name"),
        (["ancestors", "AGENT", "--at", "0"], "not born before round"), (["mrca", "AGENT"], "needs two agents"),
        (["clans", "--at", "60"], "holds rounds 0 to 59"), (["clans", "--at", "-1"], "--at"), (["mrca"], "two agents"),
        (["clans", "--json", "--csv"], "choose one"), (["clans", "--limit", "0"], "--limit"),
        (["bird"], "No such command"), (["tree", "0"], "never born"), (["ltt", "--every", "0"], "--every"),
        (["neutral", "--replicates", "1"], "--replicates"),
        (["champions", "--by", "luck"], "--by"), (["muller", "--of", "nobody"], "neither an id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_wrong_questions_get_one_line(run: Path, people: dict[str, str], words: list[str], said: str) -> None:
    """Exit 2, nothing on stdout."""
    done = call("lineage", run, *spoken(words, people))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_phylogeny_file_answers_what_a_tree_can(run: Path, tmp_path: Path) -> None:
    """FILE.csv in place of a run: the same clans and metrics; what needs a run says so."""
    file = tmp_path / "tree.csv"
    assert call("export", run, "--format", "alife", "--unit", "round", "--out", file).code == 0
    for question in (["tree"], ["metrics"], ["ltt"], ["diversity"], ["muller"], ["clans"], ["neutral"]):
        assert call("lineage", file, *question).code == 0, question
    ours, theirs = (
        {row["metric"]: row["value"] for row in told(place, "metrics", "--lengths", "unit")}
        for place in (run, file)
    )
    assert ours == theirs
    for question in (["graveyard"], ["scars"], ["survival"], ["ancestors", "1"]):
        done = call("lineage", file, *question)
        assert done.code == 2
        assert "needs a run" in done.err
    assert "knows no rounds" in call("lineage", file, "tree", "--at", "3").err
    assert "by id only" in call("lineage", file, "tree", "teal-owl").err


def test_a_question_loads_neither_torch_nor_mesa(run: Path) -> None:
    """Asking is quick to start."""
    from tests.runs import python

    program = (
        "import sys; from tui.cli import invoke; run = sys.argv[1]\n"
        "asked = (['lineage', run, 'metrics'], ['query', run, 'clans'], ['lineage', run, 'neutral'])\n"
        "print([invoke(words) for words in asked])\n"
        "print([module for module in ('torch', 'mesa', 'textual') if module in sys.modules])"
    )
    assert python(program, str(run)).splitlines()[-1] == "[]"


def test_a_drawn_tree_counts_everybody(run: Path) -> None:
    """Drawn lines, folded generations, those beside them and the hidden add up to the whole, for any budget."""
    for seed in range(40):
        tree = random_forest(seed)
        roots = np.flatnonzero(tree.parent < 0)
        for lines in (len(roots), len(roots) + 3, 1000):
            drawn = twigs(tree, roots, lines, 100)
            assert len({one.row for one in drawn}) == len(drawn) <= lines
            clans = [one.row for one in drawn if one.level == 0]  # small ones may have found no room
            inside = np.isin(tree.founder, clans)
            assert sum(1 + one.folded + one.aside + one.hidden for one in drawn) == inside.sum(), seed
            alive = sum(int(tree.extant[one.row]) + one.hidden_alive for one in drawn)
            assert alive == (tree.extant & inside).sum()
            assert len(clans) == len(roots) or len(drawn) == lines
            if lines == 1000:
                assert all(one.hidden == one.aside == 0 for one in drawn)
    with open_run(run) as connection:
        tree = read_tree(connection)
    assert len(twigs(tree, np.flatnonzero(tree.parent < 0), 5, 3)) == 5


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_drawn_tree_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    """No line is wider than the terminal, however deep the tree."""
    monkeypatch.setenv("COLUMNS", str(width))
    done = call("lineage", run, "tree", "--limit", "200")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= width
    for tree in (chain(500, alive=True), chain(500, alive=False)):
        lines = tree_lines(tree, twigs(tree, np.array([0]), 100, levels_for(width)), width)
        assert max(map(len, lines)) <= width
    folded = tree_lines(chain(500, alive=False), twigs(chain(500, alive=False), np.array([0]), 100, 5), 200)
    assert len(folded) == 2
    assert "after 498 generations" in folded[1]


def test_a_drawing_shows_who_is_whose_child() -> None:
    """Bars lead from parent to child; the largest clade first; marks tell the living from the dead."""
    parents = np.array([-1, 1, 1, 2, 2])
    tree = tree_from_arrays(
        np.arange(1, 6), parents, np.arange(5.0), np.array([3.0, np.nan, 4.0, np.nan, np.nan]), clans={1: "teal-owl"}
    )
    assert tree_lines(tree, twigs(tree, np.array([0]), 10, 10), 80) == [
        "teal-owl  † 1  0-3", "├─ ● 2  1-", "│  ├─ ● 4  3-", "│  └─ ● 5  4-", "└─ † 3  2-4",
    ]  # fmt: skip
    assert tree_lines(tree, twigs(tree, np.array([0]), 2, 10), 80) == [
        "teal-owl  † 1  0-3  +1 descendant, 0 alive", "└─ ● 2  1-  +2 descendants, 2 alive",
    ]  # fmt: skip


def test_tables_are_aligned_and_clean() -> None:
    """Numbers to the right, text to the left, nothing undefined as 0, no control character."""
    lines = list(table_lines(("name", "n"), [("a\x1bb", 5), ("long name", None), ("x", 12.3456789)]))
    assert lines == ["name             n", "a\\x1bb           5", "long name        -", "x          12.3457"]
    assert cell_text(float("nan")) == "-"
    assert cell_text(True) == "yes"
    assert cell_text("x" * 500).endswith("...")


def test_a_run_may_be_named_by_its_file(run: Path) -> None:
    """run.sqlite itself is as good as its directory."""
    assert call("lineage", run / FILE_NAME, "clans").out == call("lineage", run, "clans").out
    assert call("query", run / FILE_NAME, "clans").out == call("query", run, "clans").out


def test_a_run_without_rounds_says_so(tmp_path: Path) -> None:
    """Started, and nothing recorded yet."""
    write_history(tmp_path, rounds=0, close=False)
    for question in (["tree"], ["clans"], ["survival"], ["graveyard"]):
        done = call("lineage", tmp_path, *question)
        assert (done.code, done.out) == (2, "")
        assert "no round is recorded yet" in done.err
    assert call("query", tmp_path, "clans").code == 0
