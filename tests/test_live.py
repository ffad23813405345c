"""The live view: it fits the terminal, survives any name, and changes nothing that it shows."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lineage import settings
from lineage.record.events import Event
from lineage.world import World
from tui import live
from tui.clans import ClanNames

SMALL = settings.load(
    "small",
    environment={},
    assignments=["arena.seats=8", "arena.ticks_per_round=5", "mind.hidden=[8,8]", "mind.replay_capacity=256"],
).config


class Named(ClanNames):
    """Clan names that try to be markup and control sequences."""

    def of(self, founders: Any) -> list[str]:
        """Return the same hostile name for everybody."""
        return ["[/red]\x1b[2J\n[bold"] * len(founders)


def engine_of(world: World, done: int = 0) -> Any:
    """Return what a live view needs of an engine."""
    return SimpleNamespace(world=world, rounds_done=done, rounds_total=6, directory=Path("nowhere"))


def played(rounds: int) -> World:
    """Return a small world after some rounds."""
    world = World(SMALL, 1)
    for _ in range(rounds):
        world.play_round()
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """A world with a few rounds behind it."""
    return played(4)


def drawn(world: World, width: int, height: int, names: ClanNames | None = None) -> list[str]:
    """Return the picture as lines of text."""
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(live.picture(engine_of(world), names or ClanNames(Path("nowhere")), 1.0, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 45), (200, 60)])
def test_the_picture_fits_the_terminal(world: World, width: int, height: int) -> None:
    """No line is longer than the terminal is wide, and no picture taller than it."""
    lines = drawn(world, width, height)
    assert len(lines) < height
    assert max(len(line) for line in lines) <= width
    for section in ("market", "population", "events", "learning", "time"):
        assert any(section in line for line in lines), section


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 12), (1, 1)])
def test_a_tiny_terminal_does_not_break_it(world: World, width: int, height: int) -> None:
    """Whatever fits is shown; nothing raises."""
    assert drawn(world, width, height)


def test_a_newborn_world_can_be_drawn() -> None:
    """Before the first round there are founders, no closes and no events but births."""
    assert any("8 alive" in line for line in drawn(World(SMALL, 1), 80, 24))


def test_names_are_text_never_markup(world: World) -> None:
    """A clan called like a closing tag or an escape sequence is printed, not obeyed."""
    text = "\n".join(drawn(world, 80, 24, Named(Path("nowhere"))))
    assert "[/red][2J[bold" in text
    assert "\x1b" not in text


def test_drawing_changes_nothing() -> None:
    """A watched world and an unwatched one have the same arrays afterwards, byte for byte."""
    watched, alone = World(SMALL, 3), World(SMALL, 3)
    for _ in range(4):
        watched.play_round()
        drawn(watched, 80, 24)
        alone.play_round()
    before, after = alone.state_arrays(), watched.state_arrays()
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("birth", {}),
        ("scar", {"severity": "minor", "scar_kind": "slippage", "total_damage": 7}),
        ("death", {"cause": "bankrupt", "age_rounds": 9, "damage": 7}),
        ("graduation", {}),
        ("spawn", {"child": 9}),
        ("immigration", {"child": 9, "payer": "estate"}),
        ("alarm", {"check": "entropy"}),
        ("censored", {}),
    ],
)
def test_every_kind_of_event_has_words(kind: Any, payload: dict[str, int | str]) -> None:
    """Each event is one short sentence."""
    text, _ = live.describe(Event(kind, 4, 17, payload))
    assert 0 < len(text) < 80


@given(st.lists(st.floats(1e-3, 1e9), max_size=60), st.integers(0, 50), st.integers(1, 6))
def test_a_chart_has_its_size_whatever_the_prices(values: list[float], width: int, height: int) -> None:
    """As many lines as asked for, none wider than asked for, the last column never empty."""
    rows = live.chart(values, width, height)
    assert len(rows) == height
    assert all(len(row) <= width for row in rows)
    if values and width:
        assert rows[-1][-1] != " "
        highest = int(np.argmax(values[-width:]))
        if max(values[-width:]) > min(values[-width:]):
            assert rows[0][highest] == "█"


def test_the_view_draws_the_last_round_even_when_it_comes_too_soon(world: World) -> None:
    """Frames are limited, the final picture is not."""
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=True)
    with live.LiveView(engine_of(world), console) as view:
        view.on_round(engine_of(world, done=1))
        assert "round 1/6" not in console.file.getvalue()  # type: ignore[attr-defined]
        view.on_round(engine_of(world, done=6))
        assert "round 6/6" in console.file.getvalue()  # type: ignore[attr-defined]
