"""The picture of the family tree: everybody has a row, marks say what happened, names stay text, size stays bounded."""

import io
import re
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lineage.ask.picture import COLOURS, Layout, Marks, arrange, census, read_marks
from lineage.ask.picture_svg import write_html, write_svg
from lineage.ask.tree import Tree, read_tree, tree_from_arrays
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests.commands import call
from tests.forests import chain, random_forest
from tests.runs import lively, play

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run with births, deaths and scars."""
    directory = tmp_path_factory.mktemp("drawn") / "run"
    play(directory, lively("rounds=30"))
    return directory


def drawn(tree: Tree, layout: Layout | None = None, marks: Marks | None = None, title: str = "t") -> str:
    """Return the SVG of a tree."""
    file = io.BytesIO()
    write_svg(tree, layout or arrange(tree), marks or Marks(), title, file)
    return file.getvalue().decode()


@pytest.mark.parametrize("seed", range(20))
def test_everybody_has_a_row_below_the_parent(seed: int) -> None:
    """Parents above children, clans together, large clans first."""
    tree = random_forest(seed)
    layout = arrange(tree)
    assert sorted(layout.rows) == list(range(len(tree)))
    for row, parent in enumerate(tree.parent.tolist()):
        if parent >= 0:
            assert layout.place[parent] < layout.place[row]
    clans = [int(tree.founder[row]) for row in layout.rows]
    assert sum(one != other for one, other in pairwise(clans)) == len(set(clans)) - 1
    sizes = [int(layout.members[founder]) for founder in dict.fromkeys(clans)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_no_line_of_birth_crosses_a_life(seed: int) -> None:
    """Whoever stands between a parent and its child is born later than the child, or at the same time."""
    tree = random_forest(seed)
    layout = arrange(tree)
    for row, parent in enumerate(tree.parent.tolist()):
        if parent >= 0:
            for between in layout.rows[layout.place[parent] + 1 : layout.place[row]]:
                assert tree.origin_time[between] >= tree.origin_time[row]


@pytest.mark.parametrize(("seed", "most"), [(seed, most) for seed in range(10) for most in (1, 3, 10)])
def test_what_is_left_out_is_counted(seed: int, most: int) -> None:
    """The drawn are closed under parents; everybody else is counted at the nearest one, or in the heading."""
    tree = random_forest(seed)
    layout = arrange(tree, most)
    assert len(layout.rows) == min(most, len(tree))
    assert all(parent < 0 or parent in layout.place for parent in tree.parent[layout.rows].tolist())
    assert len(layout.rows) + sum(layout.hidden.values()) + layout.left_out == len(tree)


@pytest.mark.parametrize("seed", range(10))
def test_the_strip_counts_the_living(seed: int) -> None:
    """At each moment the colours add up to those who are alive."""
    tree = random_forest(seed)
    lines = census(tree, arrange(tree))
    for at, (time, _) in enumerate(lines[0][1]):
        alive = (tree.origin_time <= time) & ~(tree.destruction_time <= time)
        assert sum(line[at][1] for _, line in lines) == int(alive.sum())


def test_a_real_run_shows_every_scar_and_every_end(run: Path) -> None:
    """Scars in words on each life as many as are recorded; each cause of death has its mark; XML is well-formed."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        tree = read_tree(connection)
        layout = arrange(tree)
        marks = read_marks(connection, tree, layout.rows)
        lives = dict(connection.execute("SELECT agent_id, scars FROM agent_life"))
        fates = dict(connection.execute("SELECT agent_id, fate FROM agent_life"))
    assert {agent: len(scars) for agent, scars in marks.scars.items()} == {a: n for a, n in lives.items() if n}
    assert marks.fate == fates
    root = ElementTree.fromstring(drawn(tree, layout, marks))  # noqa: S314 - our own text
    told = [group.findtext(f"{SVG}title") or "" for group in root.iter(f"{SVG}g")]
    assert len(told) == len(tree)
    assert sum("alive at the end" in text for text in told) == int(tree.extant.sum())
    for text in told:
        agent = int(re.findall(r"\d+", text)[0])
        assert (f"{lives[agent]} scars" in text) == bool(lives[agent])


def test_earlier_in_the_run_nobody_knows_what_comes(run: Path) -> None:
    """At a round, marks of later rounds are not there."""
    with closing(connect_reader(run / FILE_NAME)) as connection:
        tree = read_tree(connection, 8)
        marks = read_marks(connection, tree, list(range(len(tree))))
    assert all(index <= 8 for scars in marks.scars.values() for index, _ in scars)
    assert set(marks.fate) == set(tree.ids[~tree.extant].tolist())


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b", '"q"', "]]>", "\x1b[31m", "x" * 500, "日本"])
def test_a_hostile_name_is_text(name: str) -> None:
    """No element but our own, whatever a clan or a title is called."""
    tree = random_forest(2)
    clans = dict.fromkeys(tree.ids[tree.parent < 0].tolist(), name)
    parents = np.where(tree.parent < 0, -1, tree.ids[tree.parent])
    named = tree_from_arrays(tree.ids, parents, tree.origin_time, tree.destruction_time, clans=clans)
    text = drawn(named, title=name)
    elements = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(text).iter()}  # noqa: S314
    assert elements <= {"svg", "title", "desc", "style", "rect", "text", "path", "g", "circle"}
    file = io.BytesIO()
    write_html(named, arrange(named), Marks(), name, file)
    page = file.getvalue().decode()
    assert "<script" not in page
    assert not re.search(r"(src|href|xlink|url\()", page)


def test_it_is_accessible_and_self_contained() -> None:
    """A title, a description in words, a role; no script, font, link or image."""
    text = drawn(random_forest(1), title="a title")
    root = ElementTree.fromstring(text)  # noqa: S314
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "a title"
    assert "alive at the end" in (root.findtext(f"{SVG}desc") or "")
    assert not re.search(r"(<script|@import|@font|https?://(?!www\.w3\.org/2000/svg))", text)
    assert len(set(COLOURS)) == len(COLOURS)


def test_a_line_of_100000_and_nobody_at_all() -> None:
    """A long line is cut to its first thousand; an empty tree is an empty picture."""
    deep = chain(100_000, alive=False)
    layout = arrange(deep)
    assert (len(layout.rows), sum(layout.hidden.values())) == (1000, 99_000)
    assert len(drawn(deep, layout)) < 1_000_000
    ids, times = np.zeros(0, dtype=np.int64), np.zeros(0)
    nobody = tree_from_arrays(ids, ids, times, times)
    ElementTree.fromstring(drawn(nobody))  # noqa: S314


def test_the_command_draws_with_a_limit(run: Path, tmp_path: Path) -> None:
    """--rows limits it and the heading says so."""
    assert call("export", run, "--format", "html", "--rows", "5", "--out", tmp_path / "a.html").code == 0
    assert "Drawn: the 5 agents" in (tmp_path / "a.html").read_text()
