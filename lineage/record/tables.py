"""A round's columns as the tables that are digested and stored: typed, complete and in their one order."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arena.errors import InvariantError
from lineage.record.digests import Table, tidy
from lineage.record.events import RoundRecord
from lineage.record.schema import AGENT_ROUND, BAR, MARKET_ROUND


def bar_table(record: RoundRecord) -> Table:
    """Return the bars of a round as rows (market, tick), from [T,M] columns."""
    ticks = np.asarray(record.bars["tick"])  # [T]
    if ticks.tolist() != list(range(record.first_tick, record.last_tick + 1)):
        raise InvariantError(
            f"round {record.round}: bars cover ticks {ticks.tolist()[:3]}..., "
            f"not {record.first_tick} to {record.last_tick}"
        )
    markets = np.asarray(record.bars["open"]).shape[1]
    if record.bar_times is not None and len(record.bar_times) != len(ticks):
        raise InvariantError(f"round {record.round}: {len(record.bar_times)} bar times for {len(ticks)} bars")
    wide = {name: np.asarray(value) for name, value in record.bars.items() if name != "tick"}
    columns: dict[str, Any] = {name: value.T.ravel() for name, value in wide.items()}
    columns["market"] = np.repeat(np.arange(markets), len(ticks))
    columns["tick"] = np.tile(ticks, markets)
    times: list[str | None] = list(record.bar_times) if record.bar_times is not None else [None] * len(ticks)
    columns["time"] = times * markets
    return tidy(BAR, columns, f"round {record.round}: bars")


def market_table(record: RoundRecord) -> Table:
    """Return the accounts of a round as rows (market), from [M] columns."""
    return tidy(MARKET_ROUND, _numbered(record.markets), f"round {record.round}: markets")


def seat_table(record: RoundRecord) -> Table:
    """Return the rows of agents of a round, sorted by agent_id, from [N] columns."""
    seats = tidy(AGENT_ROUND, record.agents, f"round {record.round}: agents")
    order = np.argsort(seats["agent_id"], kind="stable")
    return {name: column[order] for name, column in seats.items()}


def _numbered(markets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the market's number to columns that lead with the market axis."""
    if not markets or "market" in markets:
        return dict(markets)
    return {"market": np.arange(len(next(iter(markets.values()))))} | dict(markets)
