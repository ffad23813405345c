"""Where each weight of a network lies in its flat row. Needs no torch, so that records can be read without it."""

from typing import Final, NamedTuple

ROW_UNIT: Final = 32
"""Vector loops take this many floats a step; with no remainder, rounding cannot depend on the neighbours."""


class Layout(NamedTuple):
    """Where each weight lies in a row of n_params floats."""

    obs_dim: int
    hidden1: int
    hidden2: int
    outputs: int
    n_actions: int

    @property
    def dueling(self) -> bool:
        """Whether the head has a value output behind the advantages."""
        return self.outputs > self.n_actions

    @property
    def shapes(self) -> tuple[tuple[str, int, int], ...]:
        """(name, rows, columns) in the order of the flat row; biases have one row."""
        d, h1, h2, o = self.obs_dim, self.hidden1, self.hidden2, self.outputs
        return (("w1", d, h1), ("b1", 1, h1), ("w2", h1, h2), ("b2", 1, h2), ("w3", o, h2), ("b3", o, 1))

    @property
    def n_weights(self) -> int:
        """Floats in one network."""
        return sum(rows * columns for _, rows, columns in self.shapes)

    @property
    def n_params(self) -> int:
        """Floats in one row: n_weights, then zeros up to a multiple of ROW_UNIT."""
        return -(-self.n_weights // ROW_UNIT) * ROW_UNIT


def layout_of(obs_dim: int, n_actions: int, hidden: tuple[int, int], dueling: bool) -> Layout:
    """Return the layout of obs_dim -> hidden -> n_actions, with a value output behind them if dueling."""
    return Layout(obs_dim, *hidden, n_actions + int(dueling), n_actions)
