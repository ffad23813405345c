"""Third level of verify: does every death and birth follow from the entries, and does the money add up?"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np

from arena.spec import SEVERITIES
from lineage.record.digests import table_from_rows
from lineage.record.findings import Findings
from lineage.record.schema import MARKET_ROUND

TOLERANCE: Final = 1e-9
"""Relative to the money or shares that a market handles."""

DIED: Final = 3
"""status of an agent_round row in the round of the agent's death."""


def check_accounts(connection: sqlite3.Connection, out: Findings) -> str:
    """Check books, births, scars and deaths; return a line about what was seen."""
    rows = 0
    with out.reading("table market_round"):
        rows = _check_books(connection, out)
    lives = 0
    with out.reading("lives"):
        lives = _Lives(connection, out).check(connection)
    return f"{rows} balances, {lives} lives"


def _check_books(connection: sqlite3.Connection, out: Findings) -> int:
    """Check conservation in each market and round, and that accounts move by their flows only."""
    rows = connection.execute("SELECT * FROM market_round ORDER BY market, round").fetchall()
    books = table_from_rows(MARKET_ROUND, [row[1:] for row in rows])
    rounds = np.array([row[0] for row in rows], dtype=np.int64)
    first = np.diff(books["market"], prepend=-1) != 0
    scale = np.abs(books["cash_total"]) + np.abs(books["house_cash"]) + np.abs(books["agents_cash"])

    def moved(name: str) -> np.ndarray:
        before = np.concatenate(([0.0], books[name][:-1]))
        return np.asarray(books[name] - np.where(first, 0.0, before))

    have = sum(books[name] for name in ("agents_cash", "trust", "house_cash", "fees", "estate"))
    owe = sum(books[name] for name in ("cash_total", "patron", "transfers"))
    shares = books["agents_shares"] + books["house_shares"] - books["shares_total"]
    shares_scale = np.abs(books["shares_total"]) + np.abs(books["house_shares"])
    earned = books["flow_living_costs"] + books["flow_deaths"] - books["flow_immigration"]
    for what, gap, size in (
        ("cash appeared or vanished", have - owe, scale),
        ("shares appeared or vanished", shares, shares_scale),
        ("the estate does not follow its flows", moved("estate") - earned, scale),
        ("the patron's account does not follow its flow", moved("patron") - books["flow_patron"], scale),
        ("the fees do not follow their flow", moved("fees") - books["flow_fees"], scale),
    ):
        for row in np.flatnonzero(~(np.abs(gap) <= TOLERANCE * size)):  # a NaN is a finding as well
            out.add(f"round {rounds[row]}, market {books['market'][row]}: {what} ({gap[row]:+.6g})")
    if len(rows):
        sums, sizes = np.zeros(rounds.max() + 1), np.zeros(rounds.max() + 1)
        np.add.at(sums, rounds, books["transfers"])
        np.add.at(sizes, rounds, scale)
        for index in np.flatnonzero(~(np.abs(sums) <= TOLERANCE * sizes)):
            out.add(f"round {index}: transfers between markets do not cancel ({sums[index]:+.6g})")
    return len(rows)


@dataclass(slots=True)
class _Life:
    """What the entries say about one agent so far."""

    market: int
    seat: int
    endowment: int
    damage: int
    birthmark: int
    scars: int = 0
    offspring: int = 0
    graduated: bool = False


class _Lives:
    """All lives, followed round by round."""

    def __init__(self, connection: sqlite3.Connection, out: Findings) -> None:
        self.out = out
        (text,) = connection.execute("SELECT config_json FROM run").fetchone()
        config = json.loads(text)
        self.scars, self.rules, self.body = config["scars"], config["life"], config["body"]
        self.points = {name: self.scars[f"{name}_points"] for name in SEVERITIES}
        self.living: dict[int, _Life] = {}
        self.deaths: dict[int, tuple[_Life, dict[str, Any]]] = {}  # of this round
        self.spawned: dict[int, tuple[int, dict[str, Any]]] = {}  # child -> parent, payload
        self.arriving: dict[int, dict[str, Any]] = {}  # immigrants announced
        self.paid: defaultdict[tuple[int, int], Counter[str]] = defaultdict(Counter)  # round, market: payer
        self.count = 0

    def check(self, connection: sqlite3.Connection) -> int:
        """Follow everything; return how many lives there were."""
        events = connection.execute("SELECT round, agent_id, kind, payload FROM event ORDER BY event_id")
        seats = _by_round(
            connection.execute(
                "SELECT round, agent_id, market, seat, status, equity, damage, scars, offspring FROM agent_round"
                " ORDER BY round, agent_id"
            )
        )
        balances = _by_round(
            connection.execute("SELECT round, market, trading, apprentices FROM market_round ORDER BY round, market")
        )
        books = dict(balances)
        rows_of_round = next(seats, None)
        for index, group in groupby(events, key=lambda row: row[0]):
            self.deaths.clear()
            for _, agent, kind, payload in group:
                with self.out.reading(f"round {index}: {kind} of agent {agent}"):
                    self._follow(index, agent, kind, json.loads(payload))
            self._end_round(index)
            while rows_of_round is not None and rows_of_round[0] < index:
                rows_of_round = next(seats, None)
            if rows_of_round is not None and rows_of_round[0] == index:
                with self.out.reading(f"round {index}: rows of agents"):
                    self._check_rows(index, rows_of_round[1], books.get(index, []))
        self._check_payers(connection)
        return self.count

    def _follow(self, index: int, agent: int | None, kind: str, payload: dict[str, Any]) -> None:
        if kind == "immigration":
            self.arriving[payload["child"]] = payload
            self.paid[index, payload["market"]][payload["payer"]] += payload["endowment_cents"]
        elif agent is None or kind == "alarm":
            return
        elif kind == "birth":
            self._birth(index, agent, payload)
        elif kind == "scar":
            self._scar(index, agent, payload)
        elif kind == "spawn":
            self._spawn(index, agent, payload)
        elif kind == "graduation":
            life = self.living[agent]
            self.out.expect(not life.graduated, f"round {index}: agent {agent} graduates twice")
            right = payload["endowment_cents"] == life.endowment
            self.out.expect(right, f"round {index}: agent {agent} graduates with another endowment than its own")
            life.graduated = True
        elif kind == "death":
            self._death(index, agent, payload)
        elif kind == "censored":
            self._same_damage(index, agent, payload)

    def _birth(self, index: int, agent: int, payload: dict[str, Any]) -> None:
        place, out = f"round {index}: birth of agent {agent}", self.out
        birthmark = payload["birthmark"]
        self.count += 1
        life = _Life(payload["market"], payload["seat"], payload["endowment_cents"], birthmark, birthmark)
        self.living[agent] = life
        if payload["parent"]:
            parent, spawn = self.spawned.pop(agent, (0, {}))
            if parent != payload["parent"]:
                out.add(f"{place}: its parent has no spawn event for it in this round")
                return
            paid = (spawn["endowment_cents"], spawn["child_market"])
            same = paid == (life.endowment, life.market)
            out.expect(same, f"{place}: endowment or market is not what its parent paid")
            right = int(self.scars["heritability"] * self.living[parent].damage)
            out.expect(birthmark == right, f"{place}: birthmark {birthmark}, its parent's damage gives {right}")
            return
        out.expect(birthmark == 0, f"{place}: a founder with a birthmark")
        arrival = self.arriving.pop(agent, None)
        immigrant = payload["inheritance"] == "immigrant"
        out.expect(immigrant == (arrival is not None), f"{place}: immigrants, and only they, are announced")
        out.expect(immigrant or index == 0, f"{place}: founders are born in the first round only")
        if arrival is not None:
            paid = (arrival["endowment_cents"], arrival["market"])
            out.expect(paid == (life.endowment, life.market), f"{place}: endowment or market is not what was paid")

    def _spawn(self, index: int, agent: int, payload: dict[str, Any]) -> None:
        place, endowment = f"round {index}: spawn by agent {agent}", payload["endowment_cents"]
        needed = self.rules["spawn_wealth"] * self.body["endowment"] * 100
        self.out.expect(payload["equity_before_cents"] >= needed - 1, f"{place}: too poor to have a child")
        self.out.expect(payload["cash_before_cents"] >= endowment - 1, f"{place}: its cash is less than the endowment")
        self.living[agent].offspring += 1
        self.spawned[payload["child"]] = (agent, payload)

    def _scar(self, index: int, agent: int, payload: dict[str, Any]) -> None:
        place, life, damage = f"round {index}: scar of agent {agent}", self.living[agent], payload["damage"]
        self.out.expect(damage == self.points[payload["severity"]], f"{place}: damage {damage} is not its severity's")
        self.out.expect(damage >= 0, f"{place}: it heals")
        life.damage += damage
        life.scars += 1
        self.out.expect(payload["total_damage"] == life.damage, f"{place}: the damage so far is {life.damage}")

    def _same_damage(self, index: int, agent: int, payload: dict[str, Any]) -> None:
        life = self.living[agent]
        text = f"round {index}: agent {agent} ends with damage {payload['damage']}, its scars make {life.damage}"
        self.out.expect(payload["damage"] == life.damage, text)

    def _death(self, index: int, agent: int, payload: dict[str, Any]) -> None:
        place, out, cause = f"round {index}: death of agent {agent}", self.out, payload["cause"]
        self._same_damage(index, agent, payload)
        life = self.living.pop(agent)
        self.deaths[agent] = (life, payload)
        if cause == "bankrupt":
            ruin = self.rules["ruin_fraction"] * self.body["endowment"] * 100
            out.expect(abs(payload["ruin_cents"] - ruin) <= 1, f"{place}: the line of ruin is {ruin:.0f} cents")
            poor = payload["equity_cents"] <= max(payload["ruin_cents"], 0)
            out.expect(poor, f"{place}: bankrupt with too much equity")
        elif cause == "terminal_damage":
            out.expect(
                life.damage >= self.scars["fatal_points"], f"{place}: {life.damage} points of damage do not kill"
            )
        elif cause == "retired":
            oldest = self.rules["max_age_rounds"]
            out.expect(0 < oldest <= payload["age_rounds"], f"{place}: retired before its time")
        else:
            out.add(f"{place}: {cause!r} is not a cause of death")

    def _end_round(self, index: int) -> None:
        """Whoever was announced in a round is born in it."""
        for child in sorted(self.spawned.keys() | self.arriving.keys()):
            self.out.add(f"round {index}: agent {child} is announced but not born")
        self.spawned.clear()
        self.arriving.clear()

    def _check_rows(self, index: int, rows: list[tuple[Any, ...]], books: list[tuple[Any, ...]]) -> None:
        """Compare the rows of agents with what the events say."""
        out, present = self.out, Counter[tuple[int, int]]()
        dead = {agent: life for agent, (life, _) in self.deaths.items()}
        everybody = self.living | dead
        ids = {row[1] for row in rows}
        complete = ids == everybody.keys()
        out.expect(complete, f"round {index}: rows of agents are not those of the living and the new dead")
        for _, agent, market, seat, status, equity, damage, scars, offspring in rows:
            life = everybody.get(agent)
            if life is None:
                continue
            present[market, status] += 1
            told = (market, seat, damage, scars, offspring)
            known = (life.market, life.seat, life.damage, life.scars, life.offspring)
            if told != known or (status == DIED) != (agent in dead):
                out.add(f"round {index}: the row of agent {agent} contradicts its events")
            if agent in dead:
                cents = self.deaths[agent][1]["equity_cents"]
                same = equity is not None and abs(equity * 100 - cents) <= 1
                out.expect(same, f"round {index}: agent {agent} died with another equity")
        for _, market, trading, apprentices in books:
            seen = (present[market, 2], present[market, 1])
            same = (trading, apprentices) == seen
            out.expect(same, f"round {index}, market {market}: the head count is not that of its rows")

    def _check_payers(self, connection: sqlite3.Connection) -> None:
        """Immigrants cost estate and patron what their accounts say."""
        flows = connection.execute("SELECT round, market, flow_immigration, flow_patron FROM market_round")
        for index, market, estate, patron in flows:
            paid = self.paid[index, market]
            close = abs(estate * 100 - paid["estate"]) <= 1 and abs(patron * 100 - paid["patron"]) <= 1
            self.out.expect(close, f"round {index}, market {market}: immigrants cost other than was paid")


def _by_round(cursor: sqlite3.Cursor) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    for index, group in groupby(cursor, key=lambda row: row[0]):
        yield index, list(group)
