"""A made-up history of a million agents, written by the real ledger and store; then every question timed.

    python -m benchmarks.history --out /tmp/history                      # a million agents, about two minutes
    python -m benchmarks.history --agents 100000 --chain --out /tmp/chain     # one line of descent, 10^5 deep
    python -m benchmarks.history --agents 10000 --out /tmp/h --json

Births, spawns, graduations, scars, deaths and the events of rounds, with real hashes, chains and roots, but without
bars, accounts and rows of agents by round: what is measured is the cost of the lineage. Nor have these agents genes:
the 11 of a real learner add 377 bytes an agent (34 each) in table `gene`, and their rows to the time of storing.
Balances do not exist, so the accounting level of `verify` has nothing to hold against it.
"""

import argparse
import functools
import gc
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np

from arena.rng import stream
from arena.spec import SCAR_KINDS, SEVERITIES
from lineage.ask import export, export_newick, kinship, phylogeny, picture, prove
from lineage.ask.canned import bind, canned_queries
from lineage.ask.export_alife import write_alife
from lineage.ask.prove_file import check_proof
from lineage.ask.reading import open_run
from lineage.ask.tree import Tree, read_tree
from lineage.record.events import Birth, Event, RoundRecord
from lineage.record.genesis import run_row
from lineage.record.ledger import Ledger
from lineage.record.provenance import session
from lineage.record.schema import connect_reader, expected_objects
from lineage.record.store import FILE_NAME, Store

LIVING, BIRTHS, SCARS = 500, 1_000, 500
"""Agents alive at a time; births, and as many deaths, and scars a round."""

ENDOWMENT = 1_000_000


def records(agents: int, seed: int, *, chain: bool = False) -> Iterator[RoundRecord]:
    """Yield the rounds of a history of `agents` births; with `chain`, everybody has one child and dies."""
    living: list[int] = []
    born = 0
    for index in range((agents + BIRTHS - 1) // BIRTHS):
        dice = stream(seed, "benchmark history", index)
        events: list[Event] = []
        births: list[Birth] = []
        count = min(BIRTHS, agents - born)
        for child in range(born + 1, born + count + 1):
            parent = living[-1] if chain and living else None
            if not chain and len(living) >= LIVING // 2:
                parent = living[int(dice.integers(len(living)))]
            births.append(_birth(child, parent, index, dice))
            if parent is not None:
                events.append(Event("spawn", parent, index, _spawn(child)))
            events.append(Event("birth", child, index, {}))
            events.append(Event("graduation", child, index, _graduation()))
            living.append(child)
            if len(living) > (1 if chain else LIVING):
                place = 0 if chain else int(dice.integers(len(living) - 1))
                dead = living[place]
                living[place] = living[-1]
                living.pop()
                if chain:
                    living[:] = [child]
                events.append(Event("death", dead, index, _death(dead)))
        born += count
        for agent in dice.choice(living, size=0 if chain else min(SCARS, len(living)), replace=False).tolist():
            events.append(Event("scar", agent, index, _scar(dice)))
        bars = {name: np.ones((1, 0)) for name in ("open", "high", "low", "close", "volume", "vwap")}
        yield RoundRecord(index, index, index, events, births, bars | {"tick": np.array([index])}, None, {}, {})


def _birth(child: int, parent: int | None, tick: int, dice: np.random.Generator) -> Birth:
    founder = "founder" if tick == 0 else "immigrant"
    inheritance = founder if parent is None else "lamarckian"
    return Birth(
        child, parent, 0, child % LIVING, tick, "dqn", inheritance, ENDOWMENT, 0, 0, {}, f"{child:064x}"
    )  # fmt: skip


def _spawn(child: int) -> dict[str, int | str]:
    return {
        "child": child, "endowment_cents": ENDOWMENT, "equity_before_cents": 3 * ENDOWMENT,
        "cash_before_cents": 2 * ENDOWMENT, "child_market": 0,
    }  # fmt: skip


def _graduation() -> dict[str, int | str]:
    return {"endowment_cents": ENDOWMENT, "market": 0, "paper_equity_cents": 1_034_567}


def _death(agent: int) -> dict[str, int | str]:
    return {
        "cause": "bankrupt", "equity_cents": 412_345, "damage": 12, "age_rounds": 2, "weights_sha256": f"{agent:064x}",
        "market": 0, "ruin_cents": ENDOWMENT // 2,
    }  # fmt: skip


def _scar(dice: np.random.Generator) -> dict[str, int | str]:
    severity = int(dice.integers(3))
    damage = (1, 5, 20)[severity]
    return {
        "scar_kind": SCAR_KINDS[int(dice.integers(len(SCAR_KINDS)))], "severity": SEVERITIES[severity],
        "damage": damage, "total_damage": damage, "drawdown_bps": 1234, "equity_cents": 912_345,
    }  # fmt: skip


def write(directory: Path, agents: int, seed: int, *, chain: bool = False, bulk: bool = False) -> dict[str, Any]:
    """Write a history into a new directory; return events and the seconds of making, sealing and storing it.

    bulk: journal, guards and indexes come after the rows, as for a history that is copied, not lived.
    """
    directory.mkdir(parents=True)
    run = run_row({"scenario": "benchmark"}, seed, {"lineage_arena": "benchmark"}, {})
    store, ledger = Store.create(directory / FILE_NAME, run, session(1, "cpu")), Ledger(run.genesis)
    later = _without_guards(store.connection) if bulk else []
    seconds = dict.fromkeys(("make", "seal", "store", "seal_cpu", "store_cpu"), 0.0)
    rounds, pending = records(agents, seed, chain=chain), True
    while pending:
        made = _clocks()
        record = next(rounds, None)
        pending = record is not None
        ready = _clocks()
        seconds["make"] += ready[0] - made[0]
        if record is not None:
            sealed = ledger.seal_round(record)
            hashed = _clocks()
            _add(seconds, "seal", ready, hashed)
            store.commit_round(sealed)
            _add(seconds, "store", hashed, _clocks())
    before = _clocks()
    for statement in later:
        told = store.connection.execute(statement).fetchall()
        assert told in ([], [("wal",)]), f"{statement}: {told[:3]}"
    _add(seconds, "store", before, _clocks())
    store.close()
    size = (directory / FILE_NAME).stat().st_size
    return {"agents": agents, "events": ledger.n_events, "bytes_per_agent": size / agents, **seconds}


def _clocks() -> tuple[float, float]:
    """Return seconds by the clock on the wall and of this process: a busy machine shows in the first only."""
    return time.perf_counter(), time.process_time()


def _add(seconds: dict[str, float], name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    seconds[name] += end[0] - start[0]
    seconds[f"{name}_cpu"] += end[1] - start[1]


def _without_guards(connection: sqlite3.Connection) -> list[str]:
    """Drop triggers, indexes and the journal; return the statements that bring them back exactly.

    References are checked at the end, all at once.
    """
    for pragma in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA foreign_keys = OFF"):
        connection.execute(pragma)
    objects = [(kind, name, sql) for (kind, name), sql in expected_objects().items() if kind in ("trigger", "index")]
    for kind, name, _ in objects:
        connection.execute(f"DROP {kind} {name}")
    return [sql for _, _, sql in objects] + ["PRAGMA foreign_key_check", "PRAGMA journal_mode = WAL"]


def sizes(directory: Path, agents: int) -> dict[str, float]:
    """Return bytes an agent of each table with its indexes, largest first."""
    with closing(connect_reader(directory / FILE_NAME)) as connection:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE rootpage > 0"))
        try:
            rows = connection.execute("SELECT name, sum(pageno > 0) FROM dbstat GROUP BY name").fetchall()
        except sqlite3.OperationalError:  # an SQLite without dbstat
            return {}
    total: dict[str, float] = {}
    for name, pages in rows:
        owner = owners.get(name, "sqlite")
        total[owner] = total.get(owner, 0.0) + pages * page / agents
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def seconds_of(question: Callable[[], object], times: int = 1) -> tuple[float, object]:
    """Return the median seconds of a question and its last answer."""
    taken = []
    answer: object = None
    for _ in range(times):
        started = time.perf_counter()
        answer = question()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken), answer


def ask_everything(directory: Path, agents: int) -> Iterator[tuple[str, float, str]]:
    """Yield (question, seconds, what came out) for every kind of question."""
    dice = stream(1, "benchmark questions")
    with open_run(directory) as connection:
        pairs = dice.integers(1, agents + 1, size=(200, 2)).tolist()
        turn = iter(pairs * 2)
        yield ("mrca of two random agents", *_told(lambda: kinship.mrca_id(connection, *next(turn)), 200))
        deepest = connection.execute("SELECT agent_id FROM agent ORDER BY depth DESC LIMIT 1").fetchone()[0]
        founder = kinship.line_of(connection, deepest)[-1]
        yield ("ancestors of the deepest", *_told(lambda: f"{len(kinship.line_of(connection, deepest)) - 1} deep", 5))
        for name, query in canned_queries().items():
            upwards = name in ("ancestors", "mrca", "life", "genes")
            given = {"agent": str(deepest if upwards else founder), "other": str(agents // 2)}
            bound = bind(connection, query, {p.name: given[p.name] for p in query.parameters if p.name in given})
            yield (f"query {name}, cold", *_told(functools.partial(_cold, directory, query.sql, bound)))
            yield (f"query {name}", *_told(functools.partial(_rows_of, connection, query.sql, bound), 3))
        seconds, tree = seconds_of(lambda: read_tree(connection))
        assert isinstance(tree, Tree)
        yield "read the tree", seconds, f"{len(tree)} agents"
        for lengths in ("time", "unit"):
            metrics = functools.partial(phylogeny.metrics, tree, lengths)
            yield (f"all metrics, {lengths} branches", *_told(lambda m=metrics: f"{len(m())} metrics"))  # type: ignore[misc]
        yield ("picture", *_told(lambda: f"{len(picture.arrange(tree).rows)} rows"))
        yield ("export newick", *_told(lambda: _bytes(lambda file: export_newick.write_newick(tree, file))))
        yield ("export alife", *_told(lambda: _bytes(lambda file: write_alife(export.life_rows(connection), file))))
    with prove.open_history(directory) as history:
        yield ("prove one event more", *_told(lambda: f"{len(prove.prove_event(history, 7))} bytes", 5))
        proof = prove.prove_ancestor(history, None, deepest)
    yield ("open a run for proofs", *_told(lambda: _open_for_proofs(directory)))
    yield ("check the deepest descent", *_told(lambda: check_proof(proof.encode()).claim))


def _rows_of(connection: sqlite3.Connection, sql: str, bound: dict[str, Any]) -> str:
    return f"{len(connection.execute(sql, bound).fetchmany(1000))} rows"


def _cold(directory: Path, sql: str, bound: dict[str, Any]) -> str:
    """Ask on a connection of its own, of a file of which the system has nothing in memory (where it can forget)."""
    if hasattr(os, "posix_fadvise"):
        with (directory / FILE_NAME).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open_run(directory) as connection:
        return _rows_of(connection, sql, bound)


def _told(question: Callable[[], object], times: int = 1) -> tuple[float, str]:
    seconds, answer = seconds_of(question, times)
    return seconds, str(answer)


def _bytes(export_to: Callable[[IO[bytes]], None]) -> str:
    with tempfile.TemporaryFile() as file:
        export_to(file)
        return f"{file.tell() / 1e6:.0f} MB"


def _open_for_proofs(directory: Path) -> str:
    with prove.open_history(directory) as history:
        return f"{history.tree.size} hashes"


def main() -> None:
    """Write a history, ask it everything, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chain", action="store_true", help="one line of descent: everybody has one child")
    parser.add_argument("--bulk", action="store_true", help="journal, guards and indexes after the rows")
    parser.add_argument("--out", type=Path, required=True, help="a new directory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.agents < LIVING:
        parser.error(f"--agents: {given.agents} is not at least {LIVING}, as many as live at a time; ask for more")
    gc.disable()  # nothing here goes round in circles; looking for what does takes a tenth of the time
    written = write(given.out, given.agents, given.seed, chain=given.chain, bulk=given.bulk)
    gc.enable()
    for name in ("seal", "store", "seal_cpu", "store_cpu"):
        written[f"events_per_s_{name}"] = written["events"] / written[name]
    asked = list(ask_everything(given.out, given.agents))
    if given.json:
        table = [{"question": question, "seconds": seconds, "answer": answer} for question, seconds, answer in asked]
        print(json.dumps({"written": written, "bytes_per_agent": sizes(given.out, given.agents), "asked": table}))
        return
    for name, value in written.items():
        print(f"{name:<24}{value:>16,.1f}")
    for name, value in sizes(given.out, given.agents).items():
        print(f"  bytes/agent {name:<12}{value:>14,.0f}")
    for question, seconds, answer in asked:
        print(f"{question:<32}{seconds * 1000:>12,.2f} ms   {answer[:60]}")


if __name__ == "__main__":
    main()
