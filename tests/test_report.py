"""Reports: one page that needs nothing else, says from how many each best was chosen, and believes no name."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import pytest

from arena.errors import EnvironmentFault
from lineage.contest import report_figures
from lineage.contest.report_page import LARGEST, Page, Section, TableOf, render
from tests.commands import call
from tests.runs import lively, play, rows_of
from tests.tournaments import SHORT, plan, played

pytest.importorskip("matplotlib")


class _Seen(HTMLParser):
    """Every tag with its attributes, and that what opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag


def checked(data: bytes) -> _Seen:
    """Return a page's tags after checking what holds for all pages: no script, nothing from outside, under 6 MB."""
    seen = _Seen()
    seen.feed(data.decode())
    assert not seen.open
    assert len(data) < LARGEST
    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "object", "form", "style src"}
    for tag, attributes in seen.tags:
        for name in ("src", "href"):
            if (value := attributes.get(name)) is not None:
                assert value.startswith(("data:", "#")), (tag, value[:60])
    return seen


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lively run with births and deaths."""
    directory = tmp_path_factory.mktemp("report") / "run"
    play(directory, lively())
    return directory


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a tournament of whole lives, in which somebody dies, with a population beside."""
    path = tmp_path_factory.mktemp("report") / "results.sqlite"
    entrant = [
        {"name": "noisy", "script": "oracle", "noise": 0.3},
        {"name": "people", "scenario": "small", "rounds": 3,
         "set": ["arena.seats=4", "mind.hidden=[8,8]", "life.founder_apprentice_rounds=0"]},
    ]  # fmt: skip
    deadly = [{"name": "deadly", "set": [*SHORT, "body.living_cost_bps=3000", "body.aging_rounds=0"]},
              {"name": "easy", "set": SHORT}]  # fmt: skip
    played(path, plan(entrant=entrant, world=deadly, seeds="0:6", whole_life=True)).close()
    return path


def test_the_report_of_a_run_is_whole(run: Path, tmp_path: Path) -> None:
    """Every section, every picture an SVG with something in it, the dead in the curves, the command that repeats it."""
    done = call("report", run, "--out", tmp_path / "r.html", "--csv", tmp_path / "r.csv", "--json")
    assert done.code == 0, done.err
    data = (tmp_path / "r.html").read_bytes()
    assert json.loads(done.out)["bytes"]["html"] == len(data)
    seen, text = checked(data), data.decode()
    assert " rounds, finished. " in text
    for title in ("Population", "Capital, the dead included", "Champions", "Learning", "Survival", "Lineages",
                  "More than luck?", "Deaths and scars", "Provenance"):  # fmt: skip
        assert f">{title.replace('?', '?')}<" in text
    pictures = [attributes["src"] or "" for tag, attributes in seen.tags if tag == "img"]
    assert len(pictures) >= 6
    for picture in pictures:
        assert b"<path" in base64.b64decode(picture.partition("base64,")[2])
    assert "(died)" in (tmp_path / "r.csv").read_text()
    assert "lineage-arena run --config" in text and "ever born" in text


def test_the_command_of_a_report_makes_the_same_history(run: Path, tmp_path: Path) -> None:
    """Run it: the head of the history is the one that the report names."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert call("report", copy, "--out", tmp_path / "r.html").code == 0
    text = (tmp_path / "r.html").read_text()
    command = re.search(r"<pre>lineage-arena (run .*)\n", text)
    assert command is not None
    done = call(*command[1].split(), "--json")
    assert done.code == 0, done.err
    one, other = (rows_of(path)["round"][-1] for path in (copy, Path(f"{copy}-again")))
    assert one == other
    assert str(one[-1]) in text


def test_the_report_of_a_tournament_is_whole(contest: Path, tmp_path: Path) -> None:
    """Both leagues, survival where lives end, strengths with intervals, provenance."""
    done = call("report", contest, "--out", tmp_path / "t.html", "--csv", tmp_path / "t.csv")
    assert done.code == 0, done.err
    text = (tmp_path / "t.html").read_text()
    checked(text.encode())
    for words in ("Frozen policies: standings", "Frozen policies: who survives", "Populations that live on", "deadly",
                  "who differs from whom", "specification (SHA-256)"):  # fmt: skip
        assert words in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert {"strength_frozen", "growth_frozen", "survival_frozen"} <= {row["figure"] for row in rows}
    assert any("(died)" in row["series"] for row in rows)


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    """Two processes' worth of drawing, one page."""
    for name in ("a.html", "b.html"):
        assert call("report", run, "--out", tmp_path / name).code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_names_are_only_text() -> None:
    """A clan called like a script tag is shown, not obeyed; a formula is no formula in the CSV."""
    evil = "<script>alert(1)</script>\x00\x1b[2J\"'"
    figure = report_figures.intervals("f", evil, evil, [(evil, 1.0, 0.5, 1.5), ("=1+1", None, None, None)], "x")
    page = Page(evil, [evil], [Section(evil, [evil, TableOf([evil], [[evil]]), figure])], [evil])
    seen = checked(render(page))
    assert all("onerror" not in attributes for _, attributes in seen.tags)
    assert b"<script" not in base64.b64decode(re.findall(rb"svg\+xml;base64,([^\"]+)", render(page))[0])
    assert "'=1+1" in base64.b64decode(re.findall(rb"text/csv;base64,([^\"]+)", render(page))[0]).decode()


def test_metrics_of_a_run_are_json_lines(run: Path, tmp_path: Path) -> None:
    """One object a round, undefined is null."""
    assert call("report", run, "--jsonl", tmp_path / "m.jsonl").code == 0
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rows] == list(range(20))
    assert rows[0]["loss"] is None or isinstance(rows[0]["loss"], float)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere", "--out", "x.html"], 2, "neither a run's directory nor"),
        (["."], 2, "nothing to write"),
        (["."  , "--out", "x.html"], 2, "no run is recorded here"),
        (["file", "--out", "x.html"], 4, "no results file"),
        (["file", "--jsonl", "x"], 2, "only a run has rounds"),
        (["file", "--out", "file"], 2, "exists already"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    """And nothing is written."""
    (tmp_path / "file").write_text("not a database " * 100)
    monkeypatch.chdir(tmp_path)
    done = call("report", *arguments)
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert words in done.err
    assert not (tmp_path / "x.html").exists()


def test_without_matplotlib_the_cure_is_named(run: Path, tmp_path: Path) -> None:
    """Exit 5, and the extra that is missing; nothing is written."""
    with mock.patch.dict(sys.modules, {"matplotlib": None}):
        with pytest.raises(EnvironmentFault, match=r"lineage-arena\[report\]"):
            report_figures.library()
        done = call("report", run, "--out", tmp_path / "r.html")
    assert done.code == 5 and "lineage-arena[report]" in done.err
    assert not (tmp_path / "r.html").exists()


def test_nothing_of_a_report_is_loaded_by_the_other_commands() -> None:
    """matplotlib is an extra: `--help` and the tournament itself do without it."""
    program = "import sys; import tui.cli, tui.tournaments, tui.reporting; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
