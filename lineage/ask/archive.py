"""A run's database as frames: one read-only connection, what was read kept, only new rounds read again.

Every refresh is one short transaction, so that a frame is one moment and the writer's log never waits for us.
An Archive belongs to the thread that made it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from arena.errors import StoreError
from lineage.ask.dossiers import happenings, read_dossier
from lineage.ask.frames import (
    BAR_COLUMNS,
    COUNTED,
    FATES,
    MARKET_SERIES,
    PAPER,
    SEAT_COLUMNS,
    SEATS_ASKED,
    SERIES,
    STILL_ALIVE,
    Columns,
    Dossier,
    Everybody,
    Floats,
    Frame,
    Happening,
    RunInfo,
    nobody,
)
from lineage.config import RunConfig
from lineage.record.leaves import is_closed
from lineage.record.schema import connect_reader, store_errors
from lineage.record.store import FILE_NAME

EVENTS_SHOWN: Final = 400
BARS_SHOWN: Final = 1_200
TRAIL_ROUNDS: Final = 12
_ROWS_A_STEP: Final = 120_000  # agents' rows summed up in one refresh: about a quarter of a second

_RUN = "SELECT run_id, seed, scenario, genesis, config_json FROM run"
_NEWEST = "SELECT coalesce(max(round), -1) FROM round"
_SPAN = "SELECT last_tick, first_event_id + n_events - 1 FROM round WHERE round = ?"
_AGENTS = (
    "SELECT agent_id, coalesce(parent_id, 0), founder_id, depth, market, birth_round, birthmark, mind = 'dqn' "
    "FROM agent WHERE agent_id > ? AND birth_round <= ? ORDER BY agent_id"
)
_CLANS = "SELECT agent_id, clan FROM agent WHERE parent_id IS NULL AND agent_id > ? ORDER BY agent_id"
_ENDS = (
    "SELECT agent_id, round, kind, payload FROM event WHERE kind IN ('death', 'censored') "
    "AND event_id >= (SELECT first_event_id FROM round WHERE round = ?)"
)
_ALL_ENDS = "SELECT agent_id, round, kind, payload FROM event WHERE kind IN ('death', 'censored')"
_SERIES = (
    "SELECT round, sum(status = 1), sum(status = 2), sum(status = 3), avg(CASE WHEN status = 2 THEN equity END), "
    "max(CASE WHEN status = 2 THEN equity END), avg(CASE WHEN status = 2 THEN damage END), avg(drawdown), "
    "avg(shares > 0), avg(reward), avg(loss), avg(td_error), avg(grad_norm), avg(q_mean), max(q_max), avg(entropy), "
    "avg(weight_change), avg(replay_fill), avg(epsilon), sum(updates) "
    "FROM agent_round WHERE round > ? AND round <= ? GROUP BY round ORDER BY round"
)
_COUNTS = (
    "SELECT round, kind, count(*) FROM event "  # a round's events lie side by side
    "WHERE event_id >= (SELECT first_event_id FROM round WHERE round = ? + 1) "
    "AND event_id < (SELECT first_event_id + n_events FROM round WHERE round = ?) GROUP BY round, kind"
)
_MARKETS = (
    "SELECT close, regime, trading, apprentices, house_cash, fees, estate, flow_fees FROM market_round "
    "WHERE round > ? AND round <= ? ORDER BY round, market"
)
_SEATS = SEATS_ASKED + " WHERE round = ? ORDER BY agent_id"
_EQUITY = ("agent_id", "equity", "status")
_EQUITIES = "SELECT agent_id, equity, status FROM agent_round WHERE round = ? ORDER BY agent_id"
_BARS = "SELECT tick, open, high, low, close, volume FROM bar WHERE market = ? AND tick > ? AND tick <= ? ORDER BY tick"
_EVENTS = (
    "SELECT event_id, round, tick, agent_id, kind, payload FROM event "
    "WHERE event_id > ? AND event_id <= ? AND kind NOT IN ('round', 'censored') ORDER BY event_id DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a screen wants to see."""

    at: int | None = None  # a round, None for the newest
    market: int = 0
    agent_id: int | None = None  # whose dossier


class Archive:
    """A run that is read while it may still be written."""

    def __init__(self, directory: Path) -> None:
        """Open a run. Raises StoreError, SchemaVersionError or EnvironmentFault when there is none to read."""
        self.path = directory / FILE_NAME
        self._connection = connect_reader(self.path)
        self._inode = self.path.stat().st_ino
        with store_errors(self.path, "read the run"):
            row = self._connection.execute(_RUN).fetchone()
        if row is None:
            raise StoreError(f"{self.path}: table run is empty: the start was cut short; start the run again elsewhere")
        run_id, seed, scenario, genesis, text = row
        try:
            config = msgspec.convert(json.loads(text), RunConfig)
        except (msgspec.ValidationError, ValueError) as error:
            raise StoreError(f"{self.path}: its configuration is of another build ({error}); use that build") from error
        self.info = RunInfo(directory, str(run_id), int(seed), str(scenario), str(genesis), config)
        self.newest = -1
        self.loaded = -1
        self.closed = False
        self.people = nobody()
        self._clans: dict[int, str] = {}
        self._equities: dict[int, Columns] = {}  # of the last rounds that were shown
        self._recent: tuple[int, tuple[Happening, ...]] = (-1, ())  # (newest event_id, events up to it)
        self._bars: tuple[int, Columns] = (-1, {})  # (market, its bars that were shown)
        self._series = {name: np.zeros(0) for name in (*SERIES, *COUNTED)}
        self._markets = {name: np.zeros((0, config.arena.markets)) for name in MARKET_SERIES}

    def refresh(self) -> bool:
        """Read what is new, some 100,000 rows at most; True when there was anything.

        Raises StoreError or EnvironmentFault when the file is gone, damaged or refused.
        """
        self._check_there()
        with self._transaction():
            newest = int(self._one(_NEWEST)[0])
            closed = is_closed(self._connection)
            if newest == self.loaded and self.closed == closed:
                return False
            first, self.newest = self.loaded + 1, newest
            step = max(1, _ROWS_A_STEP // self.info.config.arena.seats // self.info.config.arena.markets)
            last = min(newest, self.loaded + step)
            if not len(self.people):
                self._read_people(newest, None)
            else:
                self._read_people(newest, max(first - 1, 0))
            self._read_series(first - 1, last)
            self.closed = last == newest and closed
            self.loaded = last
        return True

    def _check_there(self) -> None:
        """Raise StoreError when the file was taken away or replaced under our feet."""
        try:
            same = self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreError(f"{self.path}: the file was removed or replaced while it was watched; open the run again")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One moment of the file; short, so that the writer's log never waits for us."""
        with store_errors(self.path, "read while watching"):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _one(self, statement: str, *values: int) -> Sequence[int]:
        row: Sequence[int] = self._connection.execute(statement, values).fetchone()
        return row

    def _table(self, statement: str, columns: Sequence[str], *values: int) -> dict[str, Floats]:
        """Return the rows of a statement as columns, [N] f64 each; NULL is NaN."""
        rows = self._connection.execute(statement, values).fetchall()
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
        return dict(zip(columns, np.ascontiguousarray(table.T), strict=True))

    def _read_people(self, newest: int, since: int | None) -> None:
        """Add who was born, and note whose end is recorded since a round (None: all of them)."""
        old = self.people
        rows = self._connection.execute(_AGENTS, (len(old), newest)).fetchall()
        new = np.array(rows, dtype=np.int64).reshape(len(rows), 8)
        if len(new) and not np.array_equal(new[:, 0], np.arange(len(old) + 1, len(old) + len(new) + 1)):
            raise StoreError(f"{self.path}: table agent has a gap in its ids; run verify on this directory")
        ends = self._connection.execute(_ALL_ENDS) if since is None else self._connection.execute(_ENDS, (since,))
        ended = [(row, end, _fate(kind, payload)) for row, end, kind, payload in ends.fetchall()]
        if not rows and not ended:
            return
        self._clans |= {row - 1: str(clan) for row, clan in self._connection.execute(_CLANS, (len(old),))}
        count = len(new)
        end_round = np.concatenate((old.end_round, np.full(count, STILL_ALIVE, dtype=np.int64)))
        fate = np.concatenate((old.fate, np.zeros(count, dtype=np.int64)))
        if ended:
            table = np.array(ended, dtype=np.int64)  # [E,3]
            table = table[table[:, 0] <= len(fate)]
            end_round[table[:, 0] - 1], fate[table[:, 0] - 1] = table[:, 1], table[:, 2]
        self.people = Everybody(
            parent=np.concatenate((old.parent, new[:, 1] - 1)),
            founder=np.concatenate((old.founder, new[:, 2] - 1)),
            depth=np.concatenate((old.depth, new[:, 3])),
            market=np.concatenate((old.market, new[:, 4])),
            birth_round=np.concatenate((old.birth_round, new[:, 5])),
            birthmark=np.concatenate((old.birthmark, new[:, 6])),
            learner=np.concatenate((old.learner, new[:, 7] == 1)),
            end_round=end_round,
            fate=fate,
            clans=dict(self._clans),
        )

    def _read_series(self, after: int, last: int) -> None:
        """Sum up the rounds after one until another."""
        table = self._table(_SERIES, SERIES, after, last)
        counts = {kind: np.zeros(last - after) for kind in COUNTED}
        for round_index, kind, count in self._connection.execute(_COUNTS, (after, last)):
            if kind in counts:
                counts[kind][round_index - after - 1] = count
        full = {name: np.full(last - after, np.nan) for name in SERIES}  # nobody lived: no rows for that round
        place = table["round"].astype(np.int64) - after - 1
        for name, values in table.items():
            full[name][place] = values
        full["round"] = np.arange(after + 1.0, last + 1.0)
        for name in ("apprentices", "trading", "died", "updates"):
            np.nan_to_num(full[name], copy=False)
        self._series = {name: np.concatenate((old, (full | counts)[name])) for name, old in self._series.items()}
        markets = self._table(_MARKETS, MARKET_SERIES, after, last)
        self._markets = {
            name: np.concatenate((old, markets[name].reshape(-1, old.shape[1]))) for name, old in self._markets.items()
        }

    def frame(self, wish: Wish) -> Frame:
        """Return the moment that a screen wants, as far as it has been read. Raises StoreError or EnvironmentFault."""
        at = self.newest if wish.at is None else max(0, min(wish.at, self.newest))
        market = max(0, min(wish.market, self.info.config.arena.markets - 1))
        with self._transaction():
            last_tick, last_event = self._one(_SPAN, at) if at >= 0 else (-1, -1)
            if self.closed and at == self.newest:
                last_event = STILL_ALIVE  # the end's own events come after the last round's
            seats = self._table(_SEATS, ("round", *SEAT_COLUMNS), at)
            del seats["round"]
            dossier: Dossier | None = None
            if wish.agent_id is not None and 1 <= wish.agent_id <= self.people.born_by(at):
                parent = int(self.people.parent[wish.agent_id - 1]) + 1
                dossier = read_dossier(self._connection, wish.agent_id, parent, at)
            return Frame(
                info=self.info,
                round=at,
                newest=self.newest,
                loaded=self.loaded,
                closed=self.closed,
                people=self.people,
                seats=seats,
                trail=self._trail(at, seats),
                series={name: values[: at + 1] for name, values in self._series.items()},
                markets={name: values[: at + 1] for name, values in self._markets.items()},
                bars=self._last_bars(market, last_tick),
                market=market,
                events=self._events(last_event),
                dossier=dossier,
                last_tick=last_tick,
            )

    def _trail(self, at: int, seats: Columns) -> Columns:
        """Return the last equities of those who are there, NaN before their birth and before their real money.

        Rounds that were read a moment ago are not read again: this was a third of a frame.
        """
        ids, paper = seats["agent_id"], seats["status"] == PAPER
        rounds = range(max(0, at - (TRAIL_ROUNDS if len(ids) <= 512 else 2) + 1), at + 1)
        read = {one: self._equities.get(one) for one in rounds}
        self._equities = {
            one: known if known is not None else self._table(_EQUITIES, _EQUITY, one) for one, known in read.items()
        }
        equity = np.full((len(ids), max(len(rounds), 1)), np.nan)
        for column, one in enumerate(rounds):
            then = self._equities[one]
            if len(ids) and len(then["agent_id"]):
                place = np.minimum(np.searchsorted(then["agent_id"], ids), len(then["agent_id"]) - 1)
                same = (then["agent_id"][place] == ids) & ((then["status"][place] == PAPER) == paper)
                equity[same, column] = then["equity"][place[same]]
        return {"agent_id": ids, "equity": equity}

    def _last_bars(self, market: int, last_tick: int) -> Columns:
        """Return the newest bars of a market up to a tick; those that were read a moment ago are kept.

        All of them were a fifth of the work on a frame of a live run.
        """
        too_old = last_tick - BARS_SHOWN
        whose, known = self._bars
        upto = int(known["tick"][-1]) if whose == market and len(known["tick"]) else None
        if upto is None or last_tick < upto:
            known = self._table(_BARS, BAR_COLUMNS, market, too_old, last_tick)
        elif last_tick > upto:
            fresh = self._table(_BARS, BAR_COLUMNS, market, max(upto, too_old), last_tick)
            kept = known["tick"] > too_old  # [T]
            known = {name: np.concatenate((known[name][kept], fresh[name])) for name in BAR_COLUMNS}
        self._bars = (market, known)
        return known

    def _events(self, last_event: int) -> tuple[Happening, ...]:
        """Return the newest events up to one; those that were read a moment ago are kept."""
        upto, known = self._recent
        if last_event < upto or not known:
            known = tuple(happenings(self._connection.execute(_EVENTS, (-1, last_event, EVENTS_SHOWN))))
        elif last_event > upto:
            fresh = tuple(happenings(self._connection.execute(_EVENTS, (upto, last_event, EVENTS_SHOWN))))
            known = (fresh + known)[:EVENTS_SHOWN]
        self._recent = (known[0].event_id if known else -1, known)
        return known

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _fate(kind: str, payload: str) -> int:
    """Return the index into FATES of an end."""
    cause = "censored" if kind == "censored" else str(json.loads(payload).get("cause"))
    return FATES.index(cause) if cause in FATES else len(FATES) - 2
