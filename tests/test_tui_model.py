"""What needs no terminal: filters, charts, layouts, words, modes."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from lineage.ask.frames import Happening
from tests.films import ROUNDS, extinct, frame, people
from tui import paint, plot
from tui.model import Link, Mode, Pace, View, columns_of, mode_of, reorder, settle
from tui.predicates import NUMBERS, FilterError, matching, parse
from tui.theme import ROLES, SYMBOLS, THEMES, Look
from tui.trunks import lay_out, list_lines, shares_over_time
from tui.words import describe, scar_meter


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gen>0", lambda c: c["gen"] > 0), ("gen>0 age<=9", lambda c: (c["gen"] > 0) & (c["age"] <= 9)),
        ("pnl<0", lambda c: c["pnl"] < 0), ("!pnl<0", lambda c: c["pnl"] >= 0), ("#30", lambda c: c["id"] == 30),
        ("!#30", lambda c: c["id"] != 30), ("clan:HERON", lambda c: np.array(["heron" in x for x in c["clan"]])),
        ("clan!=heron", lambda c: np.array(["heron" not in x for x in c["clan"]])),
        ("!clan!=heron", lambda c: np.array(["heron" in x for x in c["clan"]])),
        ("heron", lambda c: np.array(["heron" in x for x in c["clan"]])),
        ("status=dead", lambda c: c["status"] == "dead"),
        ("equity>=1e4", lambda c: c["equity"] >= 1e4), ("", lambda c: np.ones(len(c["id"]), dtype=bool)),
        ("scars!=0", lambda c: c["scars"] != 0), ("EQUITY>0", lambda c: c["equity"] > 0),
    ],
)  # fmt: skip
def test_a_filter_lists_what_it_says(text: str, wanted: object) -> None:
    """Each predicate against the comparison written out."""
    columns = columns_of(frame())
    found = matching(parse(text), columns, len(columns["id"]))
    np.testing.assert_array_equal(found, wanted(columns))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("genn>3", "did you mean 'gen'"), ("gen>x", "not a number"), ("gen>nan", "not a finite number"),
        ("!", "'!' alone"),
        ("clan>3", "is a text"), ("clan:", "is missing"), ("gen>1e999", "not a finite"), ("gen>\uff11", "not a number"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_named(text: str, words: str) -> None:
    """One line: the term, what is wrong, what would do."""
    with pytest.raises(FilterError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_no_filter_text_breaks_the_parser(text: str) -> None:
    """It is read or it is refused, and what is read can be asked of any column."""
    try:
        terms = parse(text)
    except FilterError:
        return
    columns = columns_of(frame(10))
    assert matching(terms, columns, len(columns["id"])).shape == columns["id"].shape


def test_what_is_unknown_satisfies_nothing() -> None:
    """NaN passes neither a predicate nor its negation."""
    columns = {name: np.array([np.nan, 1.0]) for name in NUMBERS}
    assert matching(parse("loss<9"), columns, 2).tolist() == [False, True]
    assert matching(parse("!loss<9"), columns, 2).tolist() == [False, False]


@given(
    st.lists(st.one_of(st.floats(-1e12, 1e12), st.just(math.nan)), max_size=300), st.integers(0, 40), st.integers(0, 9),
    st.sampled_from(list(SYMBOLS)),
)  # fmt: skip
def test_a_plot_has_its_size_and_hides_no_extreme(values: list[float], width: int, height: int, name: str) -> None:
    """Every size, any values; the first row shows the highest value, the last the lowest."""
    series = np.array(values)
    low, high = plot.bounds_of([series])
    cells, owner = plot.plot([series], low, high, width, height, SYMBOLS[name])
    assert len(cells) == height == len(owner)
    assert all(len(row) == width for row in cells)
    known = series[np.isfinite(series)]
    if width and height and len(known) and known.max() > known.min():
        assert (owner[0] == 0).any()
        assert name == "block" or (owner[-1] == 0).any()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 50))
def test_columns_keep_smallest_and_largest(values: list[float], columns: int) -> None:
    """No extreme of any part of the values is lost."""
    lowest, highest = plot.column_extremes(np.array(values), columns)
    assert lowest.min() == min(values)
    assert highest.max() == max(values)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(0, 9))
def test_ticks_are_round_and_inside(low: float, span: float, most: int) -> None:
    """At most as many as asked, all of them in the range."""
    found = plot.ticks(low, low + span, most)
    assert len(found) <= most
    assert all(low - 1e-6 * abs(low) - 1e-9 <= tick <= low + span + 1e-6 * abs(low) + 1e-9 for tick in found)


def naive(parent: list[int], alive: list[bool]) -> list[tuple[int, int]]:
    """Return (row, column) from top to bottom, by recursion: the definition in words."""
    children = {row: [one for one, above in enumerate(parent) if above == row] for row in range(-1, len(parent))}

    def size(row: int) -> int:
        return 1 + sum(map(size, children[row]))

    def living(row: int) -> int:
        return alive[row] + sum(map(living, children[row]))

    def walk(row: int, column: int) -> list[tuple[int, int]]:
        heir = max(children[row], key=lambda one: (living(one), size(one), -one), default=None)
        found = [(row, column)]
        for child in children[row]:
            if child != heir:
                found += walk(child, column + 1)
        return found + (walk(heir, column) if heir is not None else [])

    return [line for root in children[-1] for line in walk(root, 0)]


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[int], list[bool]]:
    """Return parents and who is alive of a small forest."""
    count = draw(st.integers(1, 25))
    parent = [draw(st.integers(-1, row - 1)) for row in range(count)]
    return parent, draw(st.lists(st.booleans(), min_size=count, max_size=count))


def depths(parent: list[int]) -> np.ndarray:
    """Return births since the founder."""
    depth: list[int] = []
    for above in parent:
        depth.append(0 if above < 0 else depth[above] + 1)
    return np.array(depth)


@given(forests(), st.booleans())
def test_a_layout_is_what_the_recursion_says(forest: tuple[list[int], list[bool]], rows: bool) -> None:
    """Order and columns equal the definition, whichever way they are computed."""
    parent, alive = forest
    with pytest.MonkeyPatch.context() as patch:
        if rows:
            patch.setattr("tui.trunks._generations", lambda depth: [])
        trunks = lay_out(np.array(parent), depths(parent), np.array(alive))
    found = [(int(row), int(trunks.level[row])) for row in trunks.order]
    assert found == naive(parent, alive)
    assert trunks.level.max() <= math.log2(len(parent)) + 1e-9


@given(forests())
def test_living_lines_keep_every_living_agent(forest: tuple[list[int], list[bool]]) -> None:
    """Lines with living ends show all the living, runs stand for the agents they hide, folding hides a subtree."""
    parent, alive = np.array(forest[0]), np.array(forest[1])
    trunks = lay_out(parent, depths(forest[0]), alive)
    lines = list_lines(trunks, parent, alive, whole=False, folded=(), kept=())
    assert set(np.flatnonzero(alive)) <= set(lines.rows[lines.hidden == 0])
    assert int(np.where(lines.hidden, lines.hidden, 1).sum()) == int((trunks.living > 0).sum())
    assert np.all(lines.hidden != 1)
    row = int(trunks.order[0])
    folded = list_lines(trunks, parent, alive, whole=True, folded={row}, kept=())
    assert len(folded.rows) == len(parent) - int(trunks.size[row]) + 1


def test_a_line_a_hundred_thousand_deep_is_laid_out() -> None:
    """Nothing recurses: one column, one run."""
    count = 100_000
    parent = np.arange(count) - 1
    alive = np.arange(count) == count - 1
    trunks = lay_out(parent, np.arange(count), alive)
    assert trunks.level.max() == 0
    lines = list_lines(trunks, parent, alive, whole=False, folded=(), kept=())
    assert lines.hidden.max() == count - 2
    assert len(lines.rows) == 3


def test_shares_over_time_count_who_lived() -> None:
    """Equal to counting one by one; who ends in a round does not live after it."""
    everybody = people(ROUNDS - 1)
    group = everybody.founder % 3
    counts = shares_over_time(everybody.birth_round, everybody.end_round, group, 3, 0, ROUNDS - 1, ROUNDS)
    for at in range(ROUNDS):
        lived = (everybody.birth_round <= at) & (everybody.end_round > at)
        assert counts[:, at].tolist() == [int((lived & (group == one)).sum()) for one in range(3)]


def test_rows_keep_their_places_between_two_sortings() -> None:
    """A new frame appends newcomers and closes gaps; after two seconds everything is sorted again."""
    view = View()
    first = reorder(view.order, frame(30), view, 0.0)
    second = reorder(first, frame(31), view, 1.0)
    kept = [one for one in second.ids if one in first.ids]
    assert kept == [one for one in first.ids if one in second.ids]
    third = reorder(second, frame(32), view, 2.5)
    equity = columns_of(frame(32))["equity"][third.rows]
    real = frame(32).seats["status"][third.rows] == 2
    assert np.all(np.diff(equity[real]) <= 0)


@given(st.sampled_from(["equity", "id", "clan", "gen", "loss", "nonsense"]), st.booleans())
def test_sorting_lists_everybody_once(column: str, descending: bool) -> None:
    """Whatever it is sorted by, unknown columns too."""
    view = View(sort=column, descending=descending)
    order = reorder(view.order, frame(20), view, 0.0)
    assert sorted(order.ids) == sorted(frame(20).seats["agent_id"].astype(int).tolist())


def test_following_a_line_that_dies_out_ends() -> None:
    """Without a living descendant nobody is followed, and the person is told."""
    last = frame()
    mine = next(row for row in range(40) if last.people.heir(row, last.round) is None)
    view = View(followed=mine + 1)
    settle(last, view)
    assert view.followed is None
    assert "nobody carries its line on" in view.notice


@pytest.mark.parametrize(
    ("view", "link", "closed", "name"),
    [
        (View(), Link(), False, "live"), (View(), Link(), True, "finished"), (View(at=3), Link(), False, "replay"),
        (View(), Link("paused"), False, "paused"), (View(), Link("stopping"), False, "stopping"),
        (View(), Link("gone"), False, "gone"), (View(banner="x"), Link(), False, "trouble"),
        (View(), Link("ended"), False, "finished"), (View(at=3), Link("gone"), False, "gone"),
    ],
)  # fmt: skip
def test_the_header_says_which_mode_it_is(view: View, link: Link, closed: bool, name: str) -> None:
    """Trouble before time travel before the engine's state."""
    shown = frame(3 if view.at else 20, 20, closed=closed)
    mode = mode_of(shown, view, link)
    assert isinstance(mode, Mode)
    assert mode.name == name


def test_nobody_left_is_called_extinct() -> None:
    """A finished run without survivors says so; a run not begun yet is starting or empty."""
    assert mode_of(extinct(), View(), Link()).name == "extinct"
    assert mode_of(None, View(), Link("starting")).text == "STARTING"
    assert mode_of(None, View(), Link()).text == "EMPTY"


@pytest.mark.parametrize("kind", ["birth", "death", "scar", "spawn", "graduation", "immigration", "alarm", "censored",
                                  "closed", "something new"])  # fmt: skip
def test_every_kind_of_event_has_words(kind: str) -> None:
    """One short sentence each, even when its payload lacks everything or is hostile."""
    keys = ("cause", "age_rounds", "equity_cents", "severity", "scar_kind", "damage", "parent", "payer", "check")
    hostile = [dict.fromkeys((*keys, "child"), text) for text in ("[/red]\x1b[2J", "\x00", "--5", "²")]
    for payload in ({}, *hostile):
        sentence = describe(Happening(1, 2, 3, 4, kind, payload), frame(5).people, SYMBOLS["braille"])
        assert 0 < len(sentence.text) < 90
        assert sentence.text.isprintable()
        assert sentence.role in ROLES


def test_scars_are_counted_in_twenties() -> None:
    """No damage, no mark; the fifth mark means death is near."""
    marks = [scar_meter(damage, SYMBOLS["ascii"])[0] for damage in (0, 1, 20, 21, 99, 100, math.nan)]
    assert marks == [".....", "+....", "+....", "++...", "+++++", "+++++", "....."]


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_has_every_role(theme: str) -> None:
    """No widget asks for a style that is not there; mono has no colour at all."""
    look = Look(theme, SYMBOLS["braille"])
    for role in ROLES:
        assert isinstance(look[role], Style)
        assert theme != "mono" or look[role].color is None
    assert len(look.series) == 8


def test_ascii_symbols_are_ascii() -> None:
    """One cell each, and nothing beyond ASCII."""
    for field in dataclasses.fields(SYMBOLS["ascii"]):
        assert str(getattr(SYMBOLS["ascii"], field.name)).isascii(), field.name


@given(st.text(max_size=30), st.integers(0, 40))
def test_a_line_has_its_width_whatever_it_says(text: str, width: int) -> None:
    """Wide, combining and control characters included: what is painted never moves what is beside it."""
    strip = paint.line([(paint.clean(text), Style())], width, lambda style: style)
    assert sum(segment.cell_length for segment in strip) == width
    assert "\x1b" not in strip.text


@given(st.lists(st.text(alphabet="ab c", max_size=30), max_size=5), st.integers(9, 40))
def test_wrapping_loses_no_word(texts: list[str], width: int) -> None:
    """Every word is still there, in order."""
    lines = paint.wrapped([(text, Style()) for text in texts], width)
    assert "".join(part for line in lines for part, _ in line).split() == "".join(texts).split() or len(lines) > 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12, "12"), (123.4, "123"), (12_345, "12.3k"), (123_456, "123k"), (1_234_567, "1.2M"), (0.5, "0.50"),
     (0.0123, "0.012"), (0.00012, "1e-04"), (math.nan, "-"), (-5.5, "-5.50"), (2e12, "2e+12")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    """At most six characters."""
    assert paint.short(value) == text


def test_a_run_that_nobody_writes_is_waited_for() -> None:
    """Ten seconds without a round and the header says so; an own engine that plays is live however slow it is.

    The seconds before it was opened count until a round is new: a run that was killed is not live.
    """
    pace = Pace()
    assert pace.still_for(100.0) == 0.0
    assert math.isnan(pace.note(0.0, 3))
    assert pace.note(2.0, 13) == 5.0
    assert pace.note(9.0, 13) == 5.0
    assert pace.still_for(9.0) == 7.0
    silent = Pace(3600.0)
    silent.note(0.0, 3)
    assert silent.still_for(1.0) == 3601.0
    assert silent.note(2.0, 13) == 5.0  # it goes on: nothing of the pause is left
    assert silent.still_for(3.0) == 1.0
    view = View(still=True)
    assert mode_of(frame(), view, Link()).name == "waiting"
    assert mode_of(frame(), view, Link("playing")).name == "live"
    assert mode_of(frame(closed=True), view, Link()).name == "finished"
