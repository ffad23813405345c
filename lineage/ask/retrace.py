"""Compute one recorded round again with every tick kept: python -m lineage.ask.retrace RUN ROUND FILE.

Begins at the newest checkpoint before the round, plays forward, compares every head with the ledger, and writes a
`Trace`. It prints a line a round, so that whoever waits can see how far it is. Nothing of the run is written to.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from arena.body import reward
from arena.core import Tick
from arena.errors import ArenaError, ConfigError, StoreError
from lineage import numerics
from lineage.ask.trace import MARKET_FIELDS, SEAT_FIELDS
from lineage.record import checkpoint as files
from lineage.record.ledger import Ledger
from lineage.record.store import FILE_NAME, Store
from lineage.rewind import open_world
from lineage.world import World


class TracedWorld(World):
    """A world that also remembers its ticks; looking on changes nothing in it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.kept: dict[str, list[np.ndarray]] | None = None  # None: not looking

    def _note(self, tick: Tick) -> None:
        """Keep what the seats saw, wanted and got, then let the round go on."""
        if self.kept is not None:
            for name, value in self._seen(tick).items():
                self.kept.setdefault(name, []).append(np.array(value))
        super()._note(tick)

    def _seen(self, tick: Tick) -> dict[str, Any]:
        """Return the arrays of one tick; the networks have not learned from it yet."""
        arena, bodies, orders, fills = self.arena, self.bodies, tick.orders, tick.fills
        scripted = self.minds.kind != 0
        q = np.where(scripted[:, None], np.nan, self.minds.q_values(arena.obs))
        return {
            "agent_id": bodies.agent_id, "obs": arena.obs, "mask": arena.mask, "q": q,
            "reward_parts": tick.reward_parts, "action": self._wanted, "executed": orders.executed,
            "illegal": orders.illegal, "stopped": orders.stopped, "liquidated": orders.liquidated,
            "spent": fills.spent, "proceeds": fills.proceeds, "sold": fills.sold, "fee": fills.fee,
            "equity": bodies.equity, "cash": bodies.cash, "shares": bodies.shares, "reward": tick.reward,
            "epsilon": self.minds.epsilon(), "drawdown": bodies.drawdown, "price": tick.clearing.price,
            "close": tick.bars.close, "reservation": np.exp(self._reserved), "crossed": fills.crossed,
            "imbalance": fills.imbalance,
        }  # fmt: skip

    def watch(self) -> None:
        """Begin to look: remember what is asked of the arena and the market on the way."""
        self.kept = {}
        step, reserve = self.arena.step, self.market.reserve

        def stepping(actions: np.ndarray) -> Tick:
            self._wanted = actions.copy()
            return step(actions)

        def reserving() -> np.ndarray:
            self._reserved = reserve()
            return self._reserved

        self.arena.step = stepping  # type: ignore[method-assign]
        self.market.reserve = reserving  # type: ignore[method-assign]


def retrace(directory: Path, round_index: int, target: Path) -> None:
    """Write the trace of a round. Raises ConfigError for a round that is not recorded, StoreError, EnvironmentFault."""
    store = Store.open_reader(directory / FILE_NAME)
    try:
        last = store.last_round()
        if not 0 <= round_index <= last:
            raise ConfigError(f"round {round_index}: not recorded; the newest is {last}")
        row = store.run_row()
        threads, device, _ = store.first_session()
        numerics.pin_torch()
        world = open_world(directory, row, device, threads, TracedWorld)
        ledger, origin = _begin(directory, store, world, round_index, row.genesis)
        identical = True
        for index in range(world.round, round_index + 1):
            if index == round_index:
                world.watch()
            sealed = ledger.seal_round(world.play_round())
            identical = identical and sealed.head == store.stored_head(index)
            print(index, flush=True)
        _write(world, round_index, origin, identical, target)
    finally:
        store.abandon()


def _begin(directory: Path, store: Store, world: World, before: int, genesis: str) -> tuple[Ledger, str]:
    """Set the world to the newest good checkpoint before a round; return the ledger there, and words for it."""
    for noted in store.checkpoints():
        path = directory / noted.file
        if noted.round >= before or not path.exists():
            continue
        try:
            arrays = files.read_checkpoint(path, noted.sha256)[0]
        except StoreError:
            continue
        ledger = Ledger.from_store(store.connection, noted.round)
        world.restore(arrays, copy.deepcopy(ledger.family))
        return ledger, f"checkpoint {noted.round}"
    return Ledger(genesis), "the beginning"


def _write(world: TracedWorld, round_index: int, origin: str, identical: bool, target: Path) -> None:
    kept = world.kept or {}
    kinds: dict[str, Any] = {"agent_id": np.int64, "mask": np.bool_}
    names = ("agent_id", "obs", "mask", "q", "reward_parts", *SEAT_FIELDS, *MARKET_FIELDS)
    arrays = {name: np.ascontiguousarray(np.stack(kept[name]).astype(kinds.get(name, np.float32))) for name in names}
    ticks = world.config.arena.ticks_per_round
    said = {
        "round": round_index, "origin": origin, "identical": identical, "first_tick": round_index * ticks,
        "reward_names": reward.PARTS[world.config.reward.preset],
    }  # fmt: skip
    save_file(arrays, target, metadata={"trace": json.dumps(said)})


def main(arguments: list[str]) -> int:
    """Run as a program: 0, or the exit code of what went wrong with its line on stderr."""
    try:
        directory, round_index, target = arguments
        retrace(Path(directory), int(round_index), Path(target))
    except ArenaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
