"""A small made-up world that keeps its books, so that the record can be tested without the engine."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agents.config import MindConfig
from arena.config import ArenaConfig, LifeConfig
from arena.spec import SCAR_KINDS, SEVERITIES
from lineage.config import RecordConfig, RunConfig, to_plain
from lineage.record.checkpoint import write_checkpoint
from lineage.record.events import Birth, Event, RoundRecord
from lineage.record.genesis import RunRow, run_row
from lineage.record.ledger import Ledger
from lineage.record.policy import Policy, Reason, row_sha256, weight_bytes
from lineage.record.provenance import session
from lineage.record.schema import AGENT_ROUND, MARKET_ROUND
from lineage.record.sealed import SealedRound
from lineage.record.store import FILE_NAME, Store

MARKETS, SEATS, TICKS = 2, 4, 3
ENDOWMENT = 10_000.0
FLOWS = ("flow_living_costs", "flow_deaths", "flow_immigration", "flow_patron", "flow_fees")
POINTS = (1, 5, 20, 100)


def make_config(rounds: int) -> RunConfig:
    """Return the configuration that the made-up world pretends to follow."""
    return RunConfig(
        scenario="made-up",
        rounds=rounds,
        arena=ArenaConfig(markets=MARKETS, seats=SEATS, ticks_per_round=TICKS),
        life=LifeConfig(patron=True, founder_apprentice_rounds=1, heir_apprentice_rounds=0),
        mind=MindConfig(hidden=(2, 2), dueling=False),
        record=RecordConfig(checkpoint_every=4, birth_policies=True),
    )


def make_run(rounds: int = 12, seed: int = 7) -> RunRow:
    """Return the run's row of a made-up history."""
    return run_row(to_plain(make_config(rounds)), seed, {"lineage_arena": "0.1.0", "numpy": "2"}, {})


def cents(money: float) -> int:
    """Return money as an integer of cents."""
    return round(money * 100)


def policy_of(agent_id: int, genes: dict[str, float], seed: int, reason: Reason) -> Policy:
    """Return the policy that a made-up agent has all its life."""
    mind = {"hidden": [2, 2], "dueling": False}
    bare = Policy(agent_id, "", 0, reason, "dqn", genes, mind, np.zeros(0, dtype=np.float32), seed=seed)
    weights = np.sin(np.arange(bare.layout.n_weights) * agent_id).astype(np.float32)
    plain = to_plain(make_config(1))["mind"]
    assert isinstance(plain, dict)
    return dataclasses.replace(bare, weights=weights, mind_config=plain)


def weights_of(policy: Policy) -> str:
    """Return the hash that events give for its weights."""
    return row_sha256(weight_bytes(policy), policy.layout)


@dataclass
class Life:
    """One made-up agent."""

    birth: Birth
    status: int
    left: int  # rounds of apprenticeship
    cash: float = 0.0
    shares: float = 1.5
    trust: float = 0.0
    damage: int = 0
    scars: int = 0
    offspring: int = 0
    age: int = 0


@dataclass
class World:
    """Lives, books and events of a made-up history; `rounds` plays it."""

    seed: int
    lives: dict[int, Life] = field(default_factory=dict)
    last_id: int = 0
    events: list[Event] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    run_seed: int | None = None  # what the run's row says, where that is another
    dead: list[tuple[Life, float]] = field(default_factory=list)
    books: dict[str, np.ndarray] = field(
        default_factory=lambda: {name: np.zeros(MARKETS) for name in MARKET_ROUND if name != "market"}
    )

    def __post_init__(self) -> None:
        self.policy_seed = self.seed if self.run_seed is None else self.run_seed
        self.rng = np.random.default_rng(self.seed)
        self.books["house_cash"] += 1e6
        self.books["house_shares"] += 1e4
        self.books["cash_total"] += 1e6 + SEATS * ENDOWMENT
        self.books["shares_total"] += 1e4 + SEATS * 1.5

    def be_born(self, parent: Life | None, market: int, tick: int, inheritance: str) -> Life:
        """Let one agent be born with its endowment in trust."""
        self.last_id += 1
        left = 1 if parent is None else 0
        genes = {"gamma": float(self.rng.random()), "learning_rate": 4e-4}
        policy = policy_of(self.last_id, genes, self.policy_seed, "birth")
        birth = Birth(
            agent_id=self.last_id,
            parent_id=None if parent is None else parent.birth.agent_id,
            market=market,
            seat=market * SEATS + self.last_id % SEATS,
            tick=tick,
            mind="dqn",
            inheritance=inheritance,
            endowment_cents=cents(ENDOWMENT),
            birthmark=0 if parent is None else parent.damage // 4,
            apprentice_rounds=left,
            genes=genes,
            weights_sha256=weights_of(policy),
        )
        life = Life(birth, 1, left, trust=ENDOWMENT, damage=birth.birthmark)
        if parent is not None or inheritance == "immigrant":
            self.books["house_shares"][market] -= life.shares
        self.lives[self.last_id] = life
        self.births.append(birth)
        self.policies.append(policy)
        self.events.append(Event("birth", self.last_id, tick, {}))
        return life

    def equity(self, life: Life) -> float:
        """Return cash, trust and the value of the shares at a price of 100."""
        return life.cash + life.trust + 100.0 * life.shares

    def _trade(self, life: Life, tick: int) -> None:
        market = life.birth.market
        gain = float(self.rng.normal(300.0, 2500.0))
        gain = max(gain, 100.0 - life.cash)
        life.cash += gain
        self.books["house_cash"][market] -= gain
        fee = 3.25
        life.cash -= fee
        self.books["fees"][market] += fee
        self.books["flow_fees"][market] += fee
        if self.rng.random() < 0.3:
            severity = int(self.rng.integers(0, 3))
            life.damage += POINTS[severity]
            life.scars += 1
            self.events.append(
                Event(
                    "scar",
                    life.birth.agent_id,
                    tick,
                    {
                        "scar_kind": SCAR_KINDS[int(self.rng.integers(0, 6))],
                        "severity": SEVERITIES[severity],
                        "damage": POINTS[severity],
                        "total_damage": life.damage,
                        "drawdown_bps": 1234,
                        "equity_cents": cents(self.equity(life)),
                    },
                )
            )

    def _age(self, life: Life, tick: int) -> None:
        market = life.birth.market
        cost = min(50.0, life.cash)
        life.cash -= cost
        self.books["estate"][market] += cost
        self.books["flow_living_costs"][market] += cost
        life.age += 1
        if life.status == 1 and life.left > 0:
            life.left -= 1
        elif life.status == 1:
            life.status, life.cash, life.trust = 2, life.cash + life.trust, 0.0
            payload: dict[str, int | str] = {
                "endowment_cents": life.birth.endowment_cents,
                "market": market,
                "paper_equity_cents": 1_100_000,
            }
            self.events.append(Event("graduation", life.birth.agent_id, tick, payload))

    def _die(self, life: Life, tick: int) -> None:
        equity, market = self.equity(life), life.birth.market
        if life.status != 2 or (life.damage < 100 and equity >= ENDOWMENT / 2):
            return
        payload: dict[str, int | str] = {
            "cause": "terminal_damage" if life.damage >= 100 else "bankrupt",
            "equity_cents": cents(equity),
            "damage": life.damage,
            "age_rounds": life.age,
            "weights_sha256": life.birth.weights_sha256,
            "market": market,
            "ruin_cents": cents(ENDOWMENT / 2),
        }
        self.events.append(Event("death", life.birth.agent_id, tick, payload))
        self.policies.append(policy_of(life.birth.agent_id, life.birth.genes, self.policy_seed, "death"))
        self.books["house_cash"][market] -= 100.0 * life.shares
        self.books["house_shares"][market] += life.shares
        self.books["estate"][market] += equity
        self.books["flow_deaths"][market] += equity
        self.dead.append((life, equity))
        del self.lives[life.birth.agent_id]

    def _spawn(self, parent: Life, tick: int) -> None:
        if parent.status != 2 or self.equity(parent) < 2 * ENDOWMENT or parent.cash < ENDOWMENT:
            return
        market = int(self.rng.integers(0, MARKETS))
        payload: dict[str, int | str] = {
            "child": self.last_id + 1,
            "endowment_cents": cents(ENDOWMENT),
            "equity_before_cents": cents(self.equity(parent)),
            "cash_before_cents": cents(parent.cash),
            "child_market": market,
        }
        self.events.append(Event("spawn", parent.birth.agent_id, tick, payload))
        parent.cash -= ENDOWMENT
        parent.offspring += 1
        self.books["transfers"][market] += ENDOWMENT
        self.books["transfers"][parent.birth.market] -= ENDOWMENT
        self.be_born(parent, market, tick, "lamarckian")

    def _immigrate(self, market: int, tick: int) -> None:
        if self.books["estate"][market] >= ENDOWMENT:
            payer = "estate"
            self.books["estate"][market] -= ENDOWMENT
            self.books["flow_immigration"][market] += ENDOWMENT
        else:
            payer = "patron"
            self.books["patron"][market] += ENDOWMENT
            self.books["flow_patron"][market] += ENDOWMENT
        payload: dict[str, int | str] = {
            "child": self.last_id + 1,
            "payer": payer,
            "endowment_cents": cents(ENDOWMENT),
            "market": market,
        }
        self.events.append(Event("immigration", None, tick, payload))
        self.be_born(None, market, tick, "immigrant")

    def _seat_row(self, life: Life, status: int, equity: float) -> dict[str, float]:
        row = {name: float(self.rng.normal()) if kind == "f" else 0.0 for name, kind in AGENT_ROUND.items()}
        return row | {
            "agent_id": life.birth.agent_id,
            "market": life.birth.market,
            "seat": life.birth.seat,
            "status": status,
            "age_rounds": life.age,
            "equity": equity,
            "cash": life.cash,
            "shares": life.shares,
            "damage": life.damage,
            "scars": life.scars,
            "offspring": life.offspring,
            "loss": float("nan") if life.age < 2 else row["loss"],
            "entropy": -0.0,
        }

    def _close_books(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        for name in ("agents_cash", "agents_shares", "trust", "trading", "apprentices"):
            self.books[name][:] = 0.0
        for life in self.lives.values():
            market = life.birth.market
            self.books["agents_cash"][market] += life.cash
            self.books["agents_shares"][market] += life.shares
            self.books["trust"][market] += life.trust
            self.books["trading" if life.status == 2 else "apprentices"][market] += 1
        self.books["close"][:] = 100.0
        markets = {
            name: self.books[name].astype(np.int8 if kind == "i" else np.float64)
            for name, kind in MARKET_ROUND.items()
            if name != "market"
        }
        rows = [self._seat_row(life, life.status, self.equity(life)) for life in self.lives.values()]
        rows += [self._seat_row(life, 3, equity) for life, equity in self.dead]
        agents = {
            name: np.array([row[name] for row in rows], dtype=np.int32 if kind == "i" else np.float64)
            for name, kind in AGENT_ROUND.items()
        }
        return markets, agents

    def play(self, index: int) -> RoundRecord:
        """Play one round and return its record."""
        self.events, self.births, self.dead, self.policies = [], [], [], []
        for name in FLOWS:
            self.books[name][:] = 0.0
        first, last = index * TICKS, index * TICKS + TICKS - 1
        if index == 0:
            for seat in range(MARKETS * SEATS):
                self.be_born(None, seat // SEATS, first, "founder")
        for tick in range(first, last + 1):
            for life in list(self.lives.values()):
                if life.status == 2:
                    self._trade(life, tick)
        for life in list(self.lives.values()):
            self._age(life, last)
        for life in list(self.lives.values()):
            self._die(life, last)
        for life in list(self.lives.values()):
            if len(self.lives) < 3 * SEATS * MARKETS:
                self._spawn(life, last)
        if index % 3 == 2:
            self._immigrate(index % MARKETS, last)
        if index % 4 == 1 and self.lives:
            self.events.append(Event("alarm", min(self.lives), last, {"check": "entropy", "value": 17}))
        markets, agents = self._close_books()
        prices = 100.0 + self.rng.normal(size=(TICKS, MARKETS))
        shifts = {"open": 0.0, "high": 1.0, "low": -1.0, "close": 0.5}
        bars: dict[str, np.ndarray] = {name: prices + shift for name, shift in shifts.items()}
        bars |= {"volume": np.abs(prices), "vwap": prices, "tick": np.arange(first, last + 1)}
        state = f"{index + 1:064x}" if (index + 1) % 4 == 0 else ""
        times = [f"2024-01-{index % 28 + 1:02d}T{tick - first:02d}:00:00" for tick in range(first, last + 1)]
        return RoundRecord(
            index, first, last, self.events, self.births, bars, times if index % 2 else None, markets, agents, state,
            {"steps": len(self.lives) * TICKS}, self.policies,
        )  # fmt: skip

    def censored(self, tick: int) -> list[Event]:
        """Return the events of those who are alive at the run's end."""
        events = []
        for agent, life in sorted(self.lives.items()):
            payload: dict[str, int | str] = {"equity_cents": cents(self.equity(life)), "damage": life.damage}
            events.append(Event("censored", agent, tick, {**payload, "weights_sha256": life.birth.weights_sha256}))
        return events

    def last_policies(self) -> list[Policy]:
        """Return the policies of those who are alive at the run's end."""
        return [
            policy_of(agent, life.birth.genes, self.policy_seed, "end") for agent, life in sorted(self.lives.items())
        ]


def play(rounds: int = 12, seed: int = 7) -> Iterator[tuple[World, RoundRecord]]:
    """Yield the world and the record of each round."""
    world = World(seed)
    for index in range(rounds):
        yield world, world.play(index)


def write_round(directory: Path, store: Store, record: RoundRecord, sealed: SealedRound) -> None:
    """Commit one round, with its checkpoint where one is due."""
    checkpoint = None
    if record.state_sha256:
        arrays = {"weights": np.full(5, record.round, dtype=np.float32)}
        checkpoint = write_checkpoint(directory, record.round, arrays, {"round": record.round})
    store.commit_round(sealed, checkpoint)


def write_history(
    directory: Path,
    rounds: int = 12,
    seed: int = 7,
    *,
    close: bool = True,
    run: RunRow | None = None,
    tamper: Callable[[RoundRecord], object] = lambda record: None,
) -> Ledger:
    """Write a whole made-up run into `directory`; return its ledger.

    tamper: changes a record before it is sealed: the hashes will be right, the story will not.
    """
    run = run or make_run(rounds, seed)
    first = dataclasses.replace(session(1, "cpu"), started_at="2024-01-01T00:00:00+00:00")
    store, ledger = Store.create(directory / FILE_NAME, run, first), Ledger(run.genesis)
    world = World(seed, run_seed=run.seed)
    for index in range(rounds):
        record = world.play(index)
        tamper(record)
        write_round(directory, store, record, ledger.seal_round(record))
    if close:
        last = rounds * TICKS - 1
        store.commit_closed(ledger.seal_closed(last, world.censored(last), policies=world.last_policies()))
    store.close()
    return ledger
