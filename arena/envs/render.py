"""Pictures of a population without a terminal library: a text, and an array of pixels."""

from typing import Final

import numpy as np

from arena.body.state import APPRENTICE, TRADING
from arena.envs.population import Population

WIDTH: Final = 320
"""Pixels of a picture, and ticks of price in it."""
_PRICE, _BARS = 120, 80  # pixels high
_ROWS: Final = 12
"""Agents in the text."""
_INK: Final = {
    "ground": (16, 18, 24), "price": (240, 228, 66), "real": (86, 180, 233), "paper": (120, 120, 130),
    "poor": (213, 94, 0),
}  # fmt: skip
"""Okabe & Ito's colours, told apart by most eyes."""


def text(population: Population) -> str:
    """Return a few lines: where the market is, who lives, and the richest."""
    bodies, arena = population.arena.bodies, population.arena
    alive = np.flatnonzero(arena.living())
    close = arena.senses.close
    lines = [
        f"tick {population.tick}  round {population.round}  price {close[0]:.2f}  "
        f"alive {len(alive)} ({int((bodies.status[alive] == TRADING).sum())} with real money)  "
        f"born {population.next_agent_id - 1}"
    ]
    order = alive[np.lexsort((bodies.agent_id[alive], -bodies.equity[alive]))]
    lines += [
        f"  agent_{int(bodies.agent_id[seat]):<6} equity {bodies.equity[seat]:>12,.2f}  "
        f"shares {bodies.shares[seat]:>10,.2f}  damage {int(bodies.damage[seat]):>3}"
        f"{'  on paper' if bodies.status[seat] == APPRENTICE else ''}"
        for seat in order[:_ROWS]
    ]
    if len(order) > _ROWS:
        lines.append(f"  ... and {len(order) - _ROWS} more")
    return "\n".join(lines)


def picture(population: Population) -> np.ndarray:
    """Return [H,W,3] u8: the first market's last closes above, the wealth of each seat below."""
    image = np.empty((_PRICE + _BARS, WIDTH, 3), dtype=np.uint8)
    image[:] = _INK["ground"]
    closes = np.asarray(population.closes)[-WIDTH:]
    if len(closes):
        low, high = closes.min(), closes.max()
        height = (closes - low) / max(high - low, 1e-12) * (_PRICE - 1)
        rows = _PRICE - 1 - height.round().astype(int)
        image[rows, np.arange(len(rows))] = _INK["price"]
    _draw_wealth(population, image)
    return image


def _draw_wealth(population: Population, image: np.ndarray) -> None:
    """Draw a bar for each living agent, in seat order; half the height is one endowment."""
    arena = population.arena
    endowment = population.config.body.endowment
    seats = np.flatnonzero(arena.living())
    if not len(seats):
        return
    width = max(WIDTH // len(seats), 1)
    for place, seat in enumerate(seats[: WIDTH // width]):
        wealth = arena.bodies.equity[seat] / endowment
        height = int(np.clip(wealth * _BARS / 2, 1, _BARS))
        paper = arena.bodies.status[seat] == APPRENTICE
        ink = "paper" if paper else "real" if wealth >= 1.0 else "poor"
        image[-height:, place * width : (place + 1) * width] = _INK[ink]
