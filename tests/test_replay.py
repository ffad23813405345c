"""Replay: what is drawn was lived in that order; the write pointer, ends and seams are never crossed."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replay import CUT, DONE, GOES_ON, Batch, Replay

D = 2
SERIALS = 2048  # float16 holds every integer up to here


class Row(NamedTuple):
    """What a ring should hold, by the model: one list entry a tick."""

    serial: int
    action: int
    reward: float
    bits: int
    code: int


def live(replay: Replay, seat: int, ends: list[bool], first: int = 0) -> list[Row]:
    """Add one row for each entry of `ends` and return the model of what was added; obs = (serial, seat)."""
    seats = len(replay.write)
    rng = np.random.default_rng(first + 17 * seat)
    told = []
    for index, end in enumerate(ends):
        serial = first + index
        row = Row(serial, int(rng.integers(7)), float(np.float32(rng.normal())), int(rng.integers(1, 128)), int(end))
        add(replay, np.arange(seats) == seat, row, seat)
        told.append(row)
    return told


def add(replay: Replay, active: np.ndarray, row: Row, seat: int) -> None:
    """Add `row` to every active seat; the inactive ones are offered junk."""
    seats = len(active)
    obs = np.where(active[:, None], np.array([row.serial % SERIALS, seat], dtype=np.float32), np.float32(999.0))
    replay.add(
        active,
        obs,
        np.full(seats, row.bits, dtype=np.uint8),
        np.full(seats, row.action, dtype=np.int8),
        np.full(seats, row.reward),
        np.full(seats, row.code == DONE),
    )


def expected(rows: list[Row], start: int, n_step: int, gamma: float) -> tuple[float, float, int, float]:
    """Return (n-step sum, discount, index of the successor, weight) for the row at `start`, read off the model."""
    if rows[start].code == CUT:
        return 0.0, 0.0, start, 0.0
    total, factor = 0.0, 1.0
    for step in range(n_step):
        row = rows[start + step]
        if row.code == CUT:
            return total, factor, start + step, 1.0
        total += factor * row.reward
        factor *= gamma
        if row.code == DONE:
            return total, 0.0, start + step, 1.0
    return total, factor, start + n_step, 1.0


def check(batch: Batch, index: int, rows: list[Row], capacity: int, n_step: int, gamma: float, seat: int) -> set[int]:
    """Check every draw of one seat against the model; return the serials that were drawn."""
    places = {row.serial % SERIALS: place for place, row in enumerate(rows)}
    kept = min(len(rows), capacity)
    drawn = set()
    for b in range(batch.a_tm1.shape[1]):
        serial = int(batch.s_tm1[index, b, 0])
        assert int(batch.s_tm1[index, b, 1]) == seat
        start = places[serial]
        assert len(rows) - kept <= start < len(rows) - n_step, "a row that was overwritten or has no successor"
        total, factor, after, weight = expected(rows, start, n_step, gamma)
        assert (1.0 if batch.weight is None else float(batch.weight[index, b])) == weight
        drawn.add(rows[start].serial)
        if weight == 0.0:
            continue
        assert int(batch.a_tm1[index, b]) == rows[start].action
        assert float(batch.r_t[index, b]) == pytest.approx(total, rel=1e-5, abs=1e-5)
        assert float(batch.discount_t[index, b]) == pytest.approx(factor, rel=1e-5)
        if factor > 0.0:  # after a terminal step the successor is of no account
            assert int(batch.s_t[index, b, 0]) == rows[after].serial % SERIALS
            assert int(batch.legal_t[index, b]) == rows[after].bits
    return drawn


UNIT = st.floats(0.0, 1.0, exclude_max=True)


@given(
    capacity=st.integers(6, 12),
    n_step=st.integers(1, 4),
    ends=st.lists(st.booleans(), min_size=5, max_size=40),
    gamma=st.sampled_from([0.0, 0.5, 0.92, 1.0]),
    u=st.lists(UNIT, min_size=16, max_size=16),
)
def test_every_draw_is_what_the_model_says(
    capacity: int, n_step: int, ends: list[bool], gamma: float, u: list[float]
) -> None:
    """Rings below, at and beyond their capacity; any pattern of ends; n-step sums by hand."""
    replay = Replay.allocate(3, capacity, D)
    rows = live(replay, 1, ends)
    assert replay.check_valid() == (True, "")
    batch = replay.sample(np.array([u]), n_step, np.array([gamma]), np.array([1]))
    check(batch, 0, rows, capacity, n_step, gamma, 1)


@given(
    parent=st.lists(st.booleans(), min_size=0, max_size=20),
    child=st.lists(st.booleans(), min_size=4, max_size=20),
    count=st.integers(0, 12),
    n_step=st.integers(1, 3),
    u=st.lists(UNIT, min_size=16, max_size=16),
)
def test_an_inherited_slice_does_not_run_on_into_the_childs_life(
    parent: list[bool], child: list[bool], count: int, n_step: int, u: list[float]
) -> None:
    """The seam is cut: no sum, no bootstrap and no successor crosses from the parent's life into the child's."""
    capacity = 10
    replay = Replay.allocate(2, capacity, D)
    inherited = live(replay, 0, parent)[-capacity:]
    copied = replay.copy_newest(0, 1, count)
    assert copied == (0 if min(count, len(inherited)) < 2 else min(count, len(inherited)))
    assert replay.check_valid() == (True, "")
    rows = inherited[len(inherited) - copied :]
    if rows:
        rows[-1] = rows[-1]._replace(code=CUT)
    replay.obs[1, :copied, 1] = 1  # the seat number in the observation, for `check`
    rows += live(replay, 1, child, first=100)
    batch = replay.sample(np.array([u]), n_step, np.array([0.9]), np.array([1]))
    check(batch, 0, rows, capacity, n_step, 0.9, 1)


def test_two_seams_in_a_row_are_both_cut() -> None:
    """A grandchild born soon after its parent inherits both seams."""
    replay = Replay.allocate(3, 16, D)
    live(replay, 0, [False] * 5)
    replay.copy_newest(0, 1, 4)
    live(replay, 1, [False], first=50)
    replay.copy_newest(1, 2, 4)
    assert replay.done[2, :4].tolist() == [GOES_ON, GOES_ON, CUT, CUT]
    live(replay, 2, [False] * 3, first=90)
    u = np.linspace(0, 0.999, 64)[None]
    batch = replay.sample(u, 1, np.array([0.9]), np.array([2]))
    assert batch.weight is not None
    dead = {int(s) for s, w in zip(batch.s_tm1[0, :, 0], batch.weight[0], strict=True) if w == 0.0}
    assert dead == {4, 50}


def test_every_row_with_a_successor_is_drawn_and_equally_often() -> None:
    """An even grid of u reaches each of the C - 1 rows the same number of times."""
    capacity = 9
    replay = Replay.allocate(1, capacity, D)
    live(replay, 0, [False] * 25)
    u = (np.arange(80) + 0.5)[None] / 80
    batch = replay.sample(u, 1, np.array([0.9]))
    serials, counts = np.unique(batch.s_tm1[0, :, 0].numpy(), return_counts=True)
    assert serials.tolist() == list(range(16, 24))
    assert set(counts.tolist()) == {10}


def test_the_newest_rows_are_never_drawn_even_at_the_edges_of_u() -> None:
    """u = 0 gives the newest row that has a successor, the largest u below 1 the oldest row."""
    replay = Replay.allocate(1, 8, D)
    live(replay, 0, [False] * 20)
    u = np.array([[0.0, np.nextafter(1.0, 0.0)]])
    for n_step, newest in ((1, 18), (3, 16)):
        serials = replay.sample(u, n_step, np.array([0.9])).s_tm1[0, :, 0].tolist()
        assert serials == [newest, 12]


def test_an_end_stops_the_sum_and_the_bootstrap() -> None:
    """Rewards after the terminal step do not count."""
    replay = Replay.allocate(1, 16, D)
    rows = live(replay, 0, [False, True, False, False, False])
    batch = replay.sample(np.array([[0.99]]), 3, np.array([0.5]))
    assert float(batch.r_t[0, 0]) == pytest.approx(rows[0].reward + 0.5 * rows[1].reward, rel=1e-6)
    assert float(batch.discount_t[0, 0]) == 0.0


def test_seats_draw_from_their_own_ring_only() -> None:
    """Interleaved lives of different length; the batch holds them in the order asked for."""
    replay = Replay.allocate(4, 8, D)
    lives = {seat: live(replay, seat, [False] * (5 + 4 * seat), first=200 * seat) for seat in (3, 0, 2)}
    seats = np.array([0, 2, 3])
    u = np.random.default_rng(0).random((3, 32))
    batch = replay.sample(u, 2, np.array([0.9, 0.5, 0.1]), seats)
    for index, (seat, gamma) in enumerate(((0, 0.9), (2, 0.5), (3, 0.1))):
        check(batch, index, lives[seat], 8, 2, gamma, seat)


def test_inactive_seats_keep_their_bytes() -> None:
    """add touches active seats only."""
    replay = Replay.allocate(3, 8, D)
    live(replay, 0, [False] * 4)
    names = ("obs", "action", "reward", "done", "mask", "write")
    before = {name: getattr(replay, name)[[0, 2]].copy() for name in names}
    live(replay, 1, [False] * 11)
    for name, value in before.items():
        assert np.array_equal(getattr(replay, name)[[0, 2]], value), name


@given(ends=st.integers(0, 20), other=st.integers(0, 20))
def test_clear_seat_leaves_nothing_of_the_dead(ends: int, other: int) -> None:
    """Every byte of the seat is 0 again, also after the ring went round; the neighbour stays."""
    replay = Replay.allocate(2, 8, D)
    live(replay, 0, [True] * ends)
    live(replay, 1, [False] * other)
    neighbour = replay.obs[1].copy()
    replay.clear_seat(0)
    for name in ("obs", "action", "reward", "done", "mask", "write", "filled"):
        assert not getattr(replay, name)[0].any(), name
    assert np.array_equal(replay.obs[1], neighbour)


def test_an_inherited_ring_has_memory_of_its_own() -> None:
    """What the child writes does not reach the parent, nor the other way round."""
    replay = Replay.allocate(2, 8, D)
    live(replay, 0, [False] * 8)
    parent = replay.obs[0].copy()
    assert replay.copy_newest(0, 1, 8) == 8
    live(replay, 1, [False] * 5, first=500)
    assert np.array_equal(replay.obs[0], parent)


def test_observations_come_back_to_half_precision() -> None:
    """Values in [-5, 5] are kept to 2^-9."""
    replay = Replay.allocate(1, 64, 32)
    rng = np.random.default_rng(0)
    seen = rng.uniform(-5, 5, size=(40, 32)).astype(np.float32)
    yes, one, none = np.array([True]), np.ones(1, np.uint8), np.zeros(1, np.int8)
    for row in seen:
        replay.add(yes, row[None], one, none, np.zeros(1), ~yes)
    batch = replay.sample(rng.random((1, 100)), 1, np.array([0.9]))
    nearest = np.abs(batch.s_tm1[0].numpy()[:, None, :] - seen[None]).max(axis=2).min(axis=1)
    assert nearest.max() <= 2.0**-9


def test_check_valid_can_fail() -> None:
    """Sabotage: each broken pointer is named."""
    replay = Replay.allocate(1, 8, D)
    live(replay, 0, [False] * 3)
    replay.write[0] = 2
    assert "row 0" in replay.check_valid()[1]
    replay.write[0] = 8
    assert "outside" in replay.check_valid()[1]
    replay.filled[0] = 9
    assert "capacity" in replay.check_valid()[1]


def test_the_check_finds_a_replay_that_crosses_the_pointer() -> None:
    """Sabotage: a ring that believes itself one row longer than it is gives draws that the model refuses."""
    replay = Replay.allocate(1, 8, D)
    rows = live(replay, 0, [False] * 20)
    replay.filled[0] += 1
    batch = replay.sample(np.array([[np.nextafter(1.0, 0.0)]]), 1, np.array([0.9]))
    with pytest.raises((AssertionError, KeyError)):
        check(batch, 0, rows, 8, 1, 0.9, 0)
