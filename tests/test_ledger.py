"""Sealing: canonical bytes, chains from parent to child, roots, digests, and what is refused."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arena.errors import InvariantError, StoreError
from lineage.record.digests import Columns, canonical, genome_sha256, table_digest, table_from_rows, tidy
from lineage.record.events import Event, RoundRecord
from lineage.record.family import Family
from lineage.record.genesis import genesis_hash, run_row
from lineage.record.ledger import Ledger, event_hash
from lineage.record.merkle import CompactRange, root_of
from lineage.record.payloads import payload_text
from lineage.record.schema import AGENT_ROUND, connect_reader
from lineage.record.sealed import SealedRound
from lineage.record.store import FILE_NAME
from tests.histories import TICKS, make_run, play, write_history


def seal(rounds: int = 12, seed: int = 7) -> tuple[Ledger, list[SealedRound]]:
    """Seal a made-up history."""
    ledger = Ledger(make_run(rounds, seed).genesis)
    return ledger, [ledger.seal_round(record) for _, record in play(rounds, seed)]


def first_record() -> RoundRecord:
    """Return the first round of a made-up history."""
    return next(record for _, record in play(1))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats() | st.booleans() | st.none()))
@example({"a": "a\nb"})
@example({"a\t": 1})
@example({"a": "\x7f"})
@example({"\x7f": 1})
@example({"\u00e9": 1})
@example({"a": "\ud800"})
@example({"a": '"\\'})
@example({"a": 2**63})
@example({"a": -(2**63)})
def test_canonical_json_is_exact_or_refused(payload: dict[str, Any]) -> None:
    """Whatever comes in: either the one spelling, which reads back equal, or an InvariantError."""
    try:
        text = canonical(payload)
    except InvariantError:
        with pytest.raises(InvariantError):
            payload_text(payload)
        return
    assert payload_text(payload) == text
    assert json.loads(text) == payload
    assert text == json.dumps(payload, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), True, None, [1], "\u00e9", "a\nb", 2**63, np.float32(1), np.True_]
)
def test_payloads_of_other_types_are_refused(value: object) -> None:
    """Floats, booleans, lists, other text and huge integers have no canonical spelling here."""
    with pytest.raises(InvariantError, match="payload"):
        canonical({"key": value})


def test_numpy_integers_are_written_as_integers() -> None:
    """Arrays leak their scalars; the bytes are the same."""
    assert canonical({"b": np.int64(3), "a": "x"}) == '{"a":"x","b":3}'


def test_genesis_depends_on_every_ingredient() -> None:
    """Configuration, seed, versions and inputs each change it; the order of keys does not."""
    base: tuple[Any, ...] = ({"a": 0.1, "b": 2}, 1, {"v": "1"}, {"tape": "x"})
    others: list[tuple[Any, ...]] = [
        ({"a": 0.2, "b": 2}, 1, {"v": "1"}, {"tape": "x"}),
        ({"a": 0.1, "b": 2}, 2, {"v": "1"}, {"tape": "x"}),
        ({"a": 0.1, "b": 2}, 1, {"v": "2"}, {"tape": "x"}),
        ({"a": 0.1, "b": 2}, 1, {"v": "1"}, {"tape": "y"}),
    ]
    assert len({genesis_hash(*args) for args in [base, *others]}) == 5
    assert genesis_hash({"b": 2, "a": 0.1}, *base[1:]) == genesis_hash(*base)
    assert run_row(*base).run_id == genesis_hash(*base)[:16]


def test_event_hash_is_the_leaf_hash_of_canonical_json() -> None:
    """Anybody can recompute it from the row with a JSON library and SHA-256."""
    ledger, rounds = seal(4)
    heads: dict[int, str] = {}
    for event in (event for sealed in rounds for event in sealed.events):
        if event.kind == "birth" or event.agent_id is None:
            heads.setdefault(event.agent_id or 0, ledger.genesis)  # founders only, so early
        fields = {
            "run": ledger.run_id,
            "event_id": event.event_id,
            "agent": event.agent_id or 0,
            "seq": event.seq,
            "round": event.round,
            "tick": event.tick,
            "kind": event.kind,
            "payload": json.loads(event.payload),
            "prev": heads[event.agent_id or 0],
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(b"\x00" + text.encode()).digest() == event.hash
        heads[event.agent_id or 0] = event.hash.hex()


def hash_one_by_one(ledger: Ledger, rounds: list[SealedRound]) -> int:
    """Check every hash and root by the plain functions, one event after another; return how many had a parent."""
    heads, spawned, tree, children = dict[int, str](), dict[int, str](), CompactRange(), 0
    parents = {row.agent_id: row.parent_id for sealed in rounds for row in sealed.agents}
    for event in (event for sealed in rounds for event in sealed.events):
        agent, payload = event.agent_id or 0, json.loads(event.payload)
        prev = heads.get(agent, ledger.genesis)
        if event.kind == "birth" and parents[agent] is not None:
            prev, children = spawned.pop(agent), children + 1
        columns = (ledger.run_id, event.event_id, agent, event.seq, event.round, event.tick, event.kind)
        digest = event_hash(*columns, canonical(payload), prev)
        assert event.payload == canonical(payload) == json.dumps(payload, sort_keys=True, separators=(",", ":"))
        assert (event.event_id, event.hash.hex()) == (tree.size, digest)
        if event.kind == "round":
            assert payload["root"] == tree.root().hex()
        if event.kind == "spawn":
            spawned[payload["child"]] = digest
        heads[agent] = digest
        tree.append(event.hash)
    assert (ledger.head, ledger.root) == (heads[0], tree.root().hex())
    return children


def test_chains_are_linked_and_children_start_from_their_parents() -> None:
    """A founder's first prev is the genesis, a child's the hash of its parent's spawn event."""
    assert hash_one_by_one(*seal()) > 0


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
PAYLOADS = st.dictionaries(WORDS, st.integers(-(2**63), 2**63 - 1) | WORDS, max_size=5)


@given(st.lists(st.lists(st.tuples(st.integers(1, 8), PAYLOADS), max_size=12), max_size=4))
def test_sealing_a_round_is_sealing_its_events_one_by_one(told: list[list[tuple[int, dict[str, int | str]]]]) -> None:
    """Random events in a made-up history: the batched chains, texts and tree are those of the plain functions."""
    ledger, sealed = Ledger(make_run().genesis), []
    for (_, record), extra in zip(play(len(told)), told, strict=True):
        ended = {event.agent_id for event in record.events if event.kind == "death"}
        alive = [agent for agent in range(1, len(ledger.family) + 1) if agent in ledger._chains and agent not in ended]
        record.events += [Event("alarm", alive[who % len(alive)], record.last_tick, say) for who, say in extra if alive]
        sealed.append(ledger.seal_round(record))
    if sealed:
        hash_one_by_one(ledger, sealed)


def test_a_batch_with_one_hash_exchanged_would_be_found() -> None:
    """Sabotage: two leaves swapped, or one payload spelt otherwise, and the comparison above fails."""
    ledger, rounds = seal(4)
    events = rounds[2].events
    for at, wrong in (
        (0, events[0]._replace(hash=events[1].hash)),
        (1, events[1]._replace(payload=events[1].payload.replace(",", ", ", 1))),
    ):
        forged = [*events[:at], wrong, *events[at + 1 :]]
        with pytest.raises(AssertionError):
            hash_one_by_one(ledger, [*rounds[:2], dataclasses.replace(rounds[2], events=forged), rounds[3]])


def test_round_event_holds_the_root_of_everything_before() -> None:
    """And the digests of the round's rows, so that one hash pins them all."""
    ledger, rounds = seal()
    leaves: list[bytes] = []
    for sealed in rounds:
        leaves += [event.hash for event in sealed.events[:-1]]
        payload = json.loads(sealed.events[-1].payload)
        assert payload["root"] == sealed.root == root_of(leaves).hex()
        assert payload["n_events"] == len(leaves) == sealed.events[-1].event_id
        assert payload["agents_sha256"] == table_digest(AGENT_ROUND, sealed.seats)
        assert payload["steps"] >= 0
        leaves.append(sealed.events[-1].hash)
    assert ledger.checkpoint_line() == f"lineage-arena/{ledger.run_id} {len(leaves)} {root_of(leaves).hex()}"


def test_digests_see_values_not_spellings() -> None:
    """-0.0 and 0.0, any NaN, any integer width and any row order give one digest."""
    spec: Columns = {"n": "i", "x": "f"}
    one = tidy(spec, {"n": np.array([1, 2], np.int8), "x": np.array([-0.0, np.nan])}, "t")
    odd = np.array([0.0, np.uint64(0xFFF8000000000001).view(np.float64)])
    other = tidy(spec, {"n": np.array([1, 2], np.int64), "x": odd}, "t")
    read = table_from_rows(spec, [(1, 0.0), (2, None)])
    digests = {table_digest(spec, table) for table in (one, other, read)}
    assert len(digests) == 1
    changed = table_from_rows(spec, [(1, 5e-324), (2, None)])
    assert table_digest(spec, changed) not in digests


def test_genome_hash_depends_on_names_and_values_only() -> None:
    """The order in which genes are listed is nothing; one bit of a value is."""
    assert genome_sha256({"a": 1.0, "b": 2.0}) == genome_sha256({"b": 2.0, "a": 1.0})
    assert genome_sha256({"a": 1.0, "b": 2.0}) != genome_sha256({"a": 1.0, "b": np.nextafter(2.0, 3.0)})


def test_rows_of_agents_may_come_in_any_order() -> None:
    """Seats are shuffled by deaths; the digest is of the rows in id order."""
    record = first_record()
    order = np.arange(len(record.agents["agent_id"]))[::-1]
    turned = dataclasses.replace(record, agents={name: column[order] for name, column in record.agents.items()})
    genesis = make_run().genesis
    assert Ledger(genesis).seal_round(record).head == Ledger(genesis).seal_round(turned).head


def test_the_same_history_has_the_same_head_and_another_has_not() -> None:
    """Sealing is a function of the records."""
    assert seal()[0].head == seal()[0].head != seal(seed=8)[0].head


def contradictions() -> list[tuple[str, Callable[[RoundRecord], object]]]:
    """Ways in which a record can contradict the order of life, and the word that the error names."""

    def event(*args: Any) -> Callable[[RoundRecord], object]:
        return lambda record: record.events.append(Event(*args))

    return [
        ("not alive", event("alarm", 99, 0, {})),
        ("outside", event("alarm", 1, 99, {})),
        ("after tick", lambda r: r.events.extend([Event("alarm", 1, 2, {}), Event("alarm", 1, 1, {})])),
        ("not alive", lambda r: r.events.extend([Event("death", 1, 2, {}), Event("alarm", 1, 2, {})])),
        ("without a Birth", lambda r: r.births.pop()),
        ("is announced", lambda r: r.events.pop()),
        ("is announced", event("spawn", 1, 2, {"child": 77})),
        ("out of order", lambda r: r.events.reverse()),
        ("contradicts its Birth", lambda r: r.events[0].payload.update({"market": 5})),
        ("is a float", lambda r: r.events.append(Event("alarm", 1, 2, {"value": 1.5}))),  # type: ignore[dict-item]
        ("'equity' is missing", lambda r: r.agents.pop("equity")),
        ("'mood' is not in the schema", lambda r: r.agents.update(mood=r.agents["equity"])),
        ("integers are needed", lambda r: r.agents.update(scars=r.agents["equity"])),
        ("rows", lambda r: r.markets.update(fees=np.zeros(5))),
        ("bars cover", lambda r: r.bars.update(tick=np.arange(3) + 1)),
        ("'root' is a name", lambda r: r.extra.update(root=1)),
        ("out of order", lambda r: setattr(r, "round", 4)),
        ("do not follow", lambda r: setattr(r, "last_tick", -1)),
    ]


@pytest.mark.parametrize(("words", "break_it"), contradictions())
def test_a_record_that_contradicts_itself_is_refused(words: str, break_it: Callable[[RoundRecord], object]) -> None:
    """InvariantError in one line; the run stops before anything is written."""
    record = first_record()
    break_it(record)
    with pytest.raises(InvariantError, match=words) as caught:
        Ledger(make_run().genesis).seal_round(record)
    assert "\n" not in str(caught.value)


def test_a_child_needs_its_parents_spawn_event() -> None:
    """A birth by a parent that never paid is refused."""
    record = first_record()
    record.births[1] = dataclasses.replace(record.births[1], parent_id=1)
    with pytest.raises(InvariantError, match="before agent 1 spawns it"):
        Ledger(make_run().genesis).seal_round(record)


def test_an_end_that_cannot_stand_there_is_refused_at_once() -> None:
    """Also at a tick that is no plain int, which a range of all ticks would look for one by one, for ever."""
    ledger = Ledger(make_run().genesis)
    ledger.seal_round(first_record())
    tick: Any = np.int64(TICKS - 1)
    with pytest.raises(InvariantError, match="censored of agent 99, which is not alive"):
        ledger.seal_closed(TICKS - 1, [Event("censored", 99, tick, {})])


def test_nothing_follows_the_end() -> None:
    """A closed ledger seals nothing more, and is closed once."""
    ledger = Ledger(make_run().genesis)
    records = list(play(2))
    ledger.seal_round(records[0][1])
    end = ledger.seal_closed(TICKS - 1, records[0][0].censored(TICKS - 1)[:1])
    assert [event.kind for event in end.events] == ["censored", "closed"]
    assert (end.head, end.root) == (ledger.head, ledger.root)
    with pytest.raises(InvariantError):
        ledger.seal_closed(TICKS - 1)
    with pytest.raises(InvariantError):
        ledger.seal_round(records[1][1])


@pytest.mark.parametrize("upto", [-1, 0, 5, 10])
def test_a_ledger_rebuilt_from_the_store_continues_identically(tmp_path: Path, upto: int) -> None:
    """Heads, roots, rows and clan names of all later rounds are the same."""
    write_history(tmp_path)
    _, whole = seal()
    connection = connect_reader(tmp_path / FILE_NAME)
    ledger = Ledger.from_store(connection, upto)
    connection.close()
    for _, record in play():
        if record.round > upto:
            sealed, expected = ledger.seal_round(record), whole[record.round]
            assert (sealed.root, sealed.head) == (expected.root, expected.head)
            assert (sealed.events, sealed.agents) == (expected.events, expected.agents)


def test_rebuilding_beyond_the_store_is_refused(tmp_path: Path) -> None:
    """StoreError names the round."""
    write_history(tmp_path, 2)
    connection = connect_reader(tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match="round 9"):
        Ledger.from_store(connection, 9)
    connection.close()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=80))
def test_jump_pointers_reach_any_ancestor_in_logarithmic_steps(choices: list[int]) -> None:
    """Depths and founders are right, jumps are ancestors, and walks are short (Myers 1983)."""
    family, parents = Family(), {}
    for agent, choice in enumerate(choices, start=1):
        parent = choice % agent or None
        parents[agent] = parent
        family.add(agent, parent)
    for agent in parents:
        line = [agent]
        while (up := parents[line[-1]]) is not None:
            line.append(up)
        founder, depth, jump = family[agent]
        assert (founder, depth) == (line[-1], len(line) - 1)
        assert jump in line
        steps, here = 0, agent
        while here != founder:
            here = family[here].jump
            steps += 1
        assert steps <= 2 * len(line).bit_length()


def test_a_line_of_100000_births_overflows_nothing() -> None:
    """Iterative throughout: depth 99,999, and its founder within 40 jumps."""
    family = Family()
    family.add(1, None)
    for agent in range(2, 100_001):
        family.add(agent, agent - 1)
    steps, here = 0, 100_000
    while here != 1:
        here, steps = family[here].jump, steps + 1
    assert family[100_000].depth == 99_999
    assert steps <= 40
