"""Stacked networks: layout, birth, death, identity, and equality with networks of one's own."""

import hashlib

import numpy as np
import pytest
import torch

from agents import brains as brain
from agents.config import MindConfig
from agents.qnet import forward, head_matrix
from arena.errors import StoreError

SEATS, D, A = 5, 32, 7


def make(**changes: object) -> brain.Brains:
    """Return five founders, ids 1 to 5."""
    brains = brain.allocate(SEATS, D, A, MindConfig(**changes))  # type: ignore[arg-type]
    for seat in range(SEATS):
        brain.init_founder(brains, seat, 7, seat + 1)
    return brains


def test_a_row_holds_the_network_and_is_padded_to_whole_vectors() -> None:
    """6,792 weights for 32 -> 64 -> 64 -> 7 + 1, and a row length that is a multiple of 32."""
    layout = make().layout
    assert layout.n_weights == 32 * 64 + 64 + 64 * 64 + 64 + 8 * 64 + 8
    assert layout.n_params % brain.ROW_UNIT == 0
    assert 0 <= layout.n_params - layout.n_weights < brain.ROW_UNIT
    assert make(dueling=False).layout.outputs == A


def test_views_share_memory_with_the_flat_rows() -> None:
    """Writing through a view changes the row, and the views tile the row without a gap."""
    brains = make()
    for index, view in enumerate(brain.views(brains.layout, brains.params)):
        view.fill_(index + 1)
    row = brains.params[2]
    assert torch.all(row[: brains.layout.n_weights] > 0)
    assert torch.all(row[brains.layout.n_weights :] == 0)
    sizes = [int((row == index + 1).sum()) for index in range(6)]
    assert sizes == [rows * columns for _, rows, columns in brains.layout.shapes]


def test_founder_weights_are_a_function_of_seed_and_id() -> None:
    """Same seed and id: same bytes; another id or seed: another network."""
    layout = make().layout
    weights = brain.founder_weights(layout, 7, 1)
    assert np.array_equal(weights, brain.founder_weights(layout, 7, 1))
    assert not np.array_equal(weights, brain.founder_weights(layout, 7, 2))
    assert not np.array_equal(weights, brain.founder_weights(layout, 8, 1))


def test_founder_weights_have_the_stated_scale() -> None:
    """He scale, less in the first layer and in the head, no biases, nothing in the padding."""
    layout = make().layout
    flat = torch.from_numpy(np.stack([brain.founder_weights(layout, 1, i) for i in range(20)]))
    weights = brain.views(layout, flat)
    assert weights.w1.std().item() == pytest.approx(brain.INPUT_SCALE * np.sqrt(2 / 32), rel=0.03)
    assert weights.w2.std().item() == pytest.approx(np.sqrt(2 / 64), rel=0.03)
    assert weights.w3.std().item() == pytest.approx(brain.HEAD_SCALE / 8, rel=0.05)
    assert not weights.b1.any() and not weights.b2.any() and not weights.b3.any()
    assert not flat[:, layout.n_weights :].any()


@pytest.mark.parametrize("dueling", [True, False])
def test_forward_equals_one_torch_network_a_seat(dueling: bool) -> None:
    """The oracle: torch.nn.functional on each seat's own weights."""
    brains = make(dueling=dueling)
    x = torch.randn(SEATS, 3, D, generator=torch.Generator().manual_seed(0))
    weights = brain.views(brains.layout, brains.params)
    q = forward(weights, x, head_matrix(brains.layout))
    for seat in range(SEATS):
        w1, b1, w2, b2, w3, b3 = (part[seat] for part in weights)
        hidden = torch.relu(torch.nn.functional.linear(x[seat], w1.T, b1[0]))
        hidden = torch.relu(torch.nn.functional.linear(hidden, w2.T, b2[0]))
        out = torch.nn.functional.linear(hidden, w3, b3[:, 0])
        if dueling:
            out = out[:, A:] + out[:, :A] - out[:, :A].mean(dim=1, keepdim=True)
        assert torch.allclose(q[seat], out, atol=1e-6)
    assert q.shape == (SEATS, 3, A)


def test_weights_sha256_is_of_little_endian_float32_bytes() -> None:
    """Recomputed by hand from a big-endian copy."""
    brains = make()
    swapped = brains.params[3].numpy().astype(">f4")
    assert brain.weights_sha256(brains, 3) == hashlib.sha256(swapped.astype("<f4").tobytes()).hexdigest()
    assert brain.weights_sha256(brains, 3) != brain.weights_sha256(brains, 2)


def test_clear_seat_zeroes_one_seat_and_no_other() -> None:
    """Everything of the seat is 0; the other rows keep their bytes."""
    brains = make()
    brains.moment1.fill_(0.5)
    brains.steps.fill_(9)
    before = {name: value.copy() for name, value in brains.arrays().items()}
    brain.clear_seat(brains, 2)
    for name, value in brains.arrays().items():
        assert not value[2].any(), name
        assert np.array_equal(np.delete(value, 2, axis=0), np.delete(before[name], 2, axis=0)), name


def test_mutated_weights_are_noised_in_proportion_to_each_layer() -> None:
    """The relative change of each weight matrix is the strength; biases of 0 and the padding stay 0."""
    layout = make().layout
    parent = brain.founder_weights(layout, 1, 1)
    child = brain.mutated_weights(layout, parent, 0.2, 1, 99)
    change = brain.views(layout, torch.from_numpy(child - parent)[None])
    base = brain.views(layout, torch.from_numpy(parent)[None])
    for name in ("w1", "w2", "w3"):
        ratio = (getattr(change, name).norm() / getattr(base, name).norm()).item()
        assert ratio == pytest.approx(0.2, rel=0.1), name
    assert not child[layout.n_weights :].any()
    assert np.array_equal(child, brain.mutated_weights(layout, parent, 0.2, 1, 99))
    assert not np.array_equal(child, brain.mutated_weights(layout, parent, 0.2, 1, 100))


def test_no_mutation_gives_the_same_bytes_in_memory_of_its_own() -> None:
    """Strength 0 copies."""
    layout = make().layout
    parent = brain.founder_weights(layout, 1, 1)
    child = brain.mutated_weights(layout, parent, 0.0, 1, 99)
    assert np.array_equal(child, parent)
    child[0] += 1
    assert child[0] != parent[0]


def test_restore_gives_back_every_buffer_and_refuses_what_does_not_fit() -> None:
    """Round trip, then a missing, a misshapen and a mistyped buffer."""
    brains = make()
    saved = {name: value.copy() for name, value in brains.arrays().items()}
    other = brain.allocate(SEATS, D, A, MindConfig())
    other.restore(saved)
    assert all(np.array_equal(value, saved[name]) for name, value in other.arrays().items())
    for name in saved:
        missing = {key: value for key, value in saved.items() if key != name}
        for broken in (missing, saved | {name: saved[name][1:]}, saved | {name: saved[name].astype(np.float64)}):
            with pytest.raises(StoreError, match=f"brains.{name}"):
                other.restore(broken)
