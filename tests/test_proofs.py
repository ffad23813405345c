"""Proofs: every event of a run can be proven, no changed byte of a proof passes, and a proof needs no database."""

import base64
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arena.errors import ConfigError, DataError, TamperedError
from lineage.ask import prove_file
from lineage.ask.prove import open_history, prove_ancestor, prove_consistency, prove_event, prove_scars
from lineage.ask.prove_file import check_proof
from lineage.record import merkle
from lineage.record.note import Checkpoint, given_checkpoint, parse_checkpoint
from lineage.record.store import FILE_NAME
from tests.commands import call
from tests.histories import write_history
from tests.tampering import opened, without_guards

ROOT = Path(__file__).parent.parent
ROUNDS = 26


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run that no test changes."""
    directory = tmp_path_factory.mktemp("run")
    write_history(directory, ROUNDS)
    return directory


@pytest.fixture(scope="module")
def kept(run: Path) -> Checkpoint:
    """What its owner wrote down at the end."""
    with open_history(run) as history:
        return history.checkpoint


def lines_of_descent(run: Path) -> list[tuple[int, int]]:
    """Return (founder, descendant) of everybody who descends from somebody."""
    with open_history(run) as history:
        return list(
            history.connection.execute("SELECT founder_id, agent_id FROM agent WHERE depth > 0 ORDER BY depth DESC")
        )


@pytest.fixture(scope="module")
def proofs(run: Path, kept: Checkpoint) -> dict[str, str]:
    """One proof of each kind."""
    founder, descendant = lines_of_descent(run)[0]
    older = older_checkpoint(run, kept.size // 2 + 1)
    with open_history(run) as history:
        scarred = history.connection.execute("SELECT min(agent_id) FROM event WHERE kind = 'scar'").fetchone()[0]
        return {
            "event": prove_event(history, kept.size - 1),
            "scar": prove_scars(history, scarred),
            "ancestor": prove_ancestor(history, founder, descendant),
            "consistency": prove_consistency(run, older),
        }


def older_checkpoint(run: Path, size: int) -> Checkpoint:
    """Return what a run's owner could have written down earlier."""
    with open_history(run) as history:
        return Checkpoint(history.checkpoint.run_id, size, history.tree.root(size).hex())


def test_every_event_of_a_run_is_proven_under_the_root_that_was_kept(run: Path, kept: Checkpoint) -> None:
    """All of them, against the last checkpoint and against one in the middle."""
    for checkpoint in (None, older_checkpoint(run, kept.size // 3)):
        with open_history(run, checkpoint) as history:
            assert history.checkpoint == (checkpoint or kept)
            for event_id in range(history.checkpoint.size):
                proven = check_proof(prove_event(history, event_id).encode(), checkpoint or kept)
                assert proven.events[0]["event_id"] == event_id
    assert kept.size > 150


def test_every_line_of_descent_is_proven(run: Path, kept: Checkpoint) -> None:
    """Births and spawns between founder and descendant, and nobody else as an ancestor."""
    lines = lines_of_descent(run)
    assert len(lines) > 5
    with open_history(run) as history:
        for founder, descendant in lines:
            proven = check_proof(prove_ancestor(history, None, descendant).encode(), kept)
            assert proven.events[0]["agent"] == founder
            assert proven.events[-1]["agent"] == descendant
            assert f"agent {founder} is an ancestor of agent {descendant}" in proven.claim
        founder, descendant = lines[0]
        for wrong in ((descendant, founder), (founder, founder), (99_999, descendant)):
            with pytest.raises(ConfigError):
                prove_ancestor(history, *wrong)


def test_every_scar_is_proven(run: Path, kept: Checkpoint) -> None:
    """All scars of each agent together, and one by one."""
    with open_history(run) as history:
        rows = history.connection.execute(
            "SELECT agent_id, count(*) FROM event WHERE kind = 'scar' GROUP BY agent_id"
        ).fetchall()
        for agent, scars in rows:
            assert len(check_proof(prove_scars(history, agent).encode(), kept).events) == scars
            assert len(check_proof(prove_scars(history, agent, scars).encode(), kept).events) == 1
            with pytest.raises(ConfigError, match="choose one of them"):
                prove_scars(history, agent, scars + 1)
    assert len(rows) > 5


def test_every_pair_of_sizes_is_consistent(run: Path, kept: Checkpoint) -> None:
    """From any earlier checkpoint; the proof names both."""
    for size in range(0, kept.size + 1, 7):
        older = older_checkpoint(run, size)
        proven = check_proof(prove_consistency(run, older).encode(), kept)
        assert (proven.older, proven.checkpoint) == (older, kept)
        check_proof(prove_consistency(run, older).encode(), older)


def holds(data: bytes, checkpoint: Checkpoint | None = None) -> bool:
    """Whether a proof passes; anything but a named refusal is an error of the checker."""
    try:
        check_proof(data, checkpoint)
    except (TamperedError, DataError, ConfigError):
        return False
    return True


@pytest.mark.parametrize("kind", ["event", "scar", "ancestor", "consistency"])
def test_every_single_changed_byte_of_a_proof_fails(proofs: dict[str, str], kind: str) -> None:
    """Each byte of the file, changed in one bit and replaced by something that JSON would take: no kept root needed."""
    data, dice = proofs[kind].encode(), random.Random(kind)
    assert holds(data)
    step = 1 + len(data) // 1500
    step += step % 2 == 0  # odd: all columns of a hex digest get their turn
    for place in range(0, len(data), step):
        for byte in {data[place] ^ (1 << dice.randrange(8)), *dice.sample(b'0123456789abcdef" {}[],:\n', 2)}:
            if byte != data[place]:
                assert not holds(data[:place] + bytes([byte]) + data[place + 1 :]), (place, chr(byte))


@pytest.mark.slow
def test_every_byte_of_every_proof_changed_to_every_other_value_fails(proofs: dict[str, str]) -> None:
    """The whole of an event's proof, all 255 other values of each byte."""
    data = proofs["event"].encode()
    for place in range(len(data)):
        for byte in range(256):
            if byte != data[place]:
                assert not holds(data[:place] + bytes([byte]) + data[place + 1 :]), (place, byte)


def test_bytes_added_or_taken_away_fail(proofs: dict[str, str]) -> None:
    """Anywhere in the file."""
    data, dice = proofs["event"].encode(), random.Random(5)
    for _ in range(300):
        place = dice.randrange(len(data))
        assert not holds(data[:place] + data[place + 1 :])
        assert not holds(data[:place] + bytes([dice.randrange(256)]) + data[place:])
        assert not holds(data[:place])


def forged(text: str, **changes: Any) -> bytes:
    """Return a proof with fields changed and the sum over it made right again, as a forger would."""
    body = json.loads(text)
    body.update(changes)
    del body["sha256"]
    return prove_file._text_of(body).encode()


def test_a_forger_who_mends_the_sum_is_stopped_by_the_hashes(proofs: dict[str, str], kept: Checkpoint) -> None:
    """Another payload, another path, another claim, events left out or exchanged."""
    event, ancestor, scar = (json.loads(proofs[kind]) for kind in ("event", "ancestor", "scar"))
    leaf = event["events"][0]["leaf"]
    softer = leaf.replace('"n_events":', '"n_events":1')
    assert softer != leaf
    path = event["events"][0]["path"]
    attempts = [
        forged(proofs["event"], events=[{**event["events"][0], "leaf": softer}]),
        forged(proofs["event"], events=[{**event["events"][0], "path": path[::-1]}]),
        forged(proofs["event"], events=[{**event["events"][0], "path": [*path, path[0]]}]),
        forged(proofs["event"], events=[{**event["events"][0], "index": 3}]),
        forged(proofs["event"], events=event["events"] * 2),
        forged(proofs["event"], events=[]),
        forged(proofs["event"], claim="agent 1 never lost a cent"),
        forged(proofs["event"], kind="ancestor"),
        forged(proofs["event"], tree_size=event["tree_size"] + 1),
        forged(proofs["event"], root="0" * 64),
        forged(proofs["ancestor"], events=ancestor["events"][:-2]),
        forged(proofs["ancestor"], events=ancestor["events"][::-1]),
        forged(proofs["ancestor"], events=[ancestor["events"][0], *ancestor["events"][2:]]),
        forged(proofs["scar"], events=scar["events"] * 2),
        forged(proofs["scar"], events=ancestor["events"][:1]),
        forged(proofs["consistency"], proof=json.loads(proofs["consistency"])["proof"][::-1]),
        forged(proofs["consistency"], proof=[]),
    ]
    assert not [number for number, attempt in enumerate(attempts) if holds(attempt)]


def test_a_whole_forged_history_is_stopped_by_the_kept_root_only(
    run: Path, kept: Checkpoint, tmp_path: Path
) -> None:
    """Whoever makes up another history proves whatever they like, except to those who kept a root."""
    write_history(tmp_path, ROUNDS, seed=8)
    with open_history(tmp_path) as history:
        text = prove_event(history, 3)
    assert holds(text.encode())
    assert not holds(text.encode(), kept)
    renamed = Checkpoint(kept.run_id, kept.size, "ab" * 32)
    with open_history(run) as history:
        assert not holds(prove_event(history, 3).encode(), renamed)
    with pytest.raises(TamperedError, match="rewritten"), open_history(run, renamed):
        pass


def test_a_checkpoint_of_another_size_asks_for_another_proof(proofs: dict[str, str], run: Path) -> None:
    """It is not the proof that is wrong: exit 2, with the way to a proof that fits."""
    older = older_checkpoint(run, 10)
    with pytest.raises(ConfigError, match="prove --checkpoint"):
        check_proof(proofs["event"].encode(), older)


def test_nothing_is_proven_from_a_changed_history(run: Path, tmp_path: Path) -> None:
    """A changed payload, hash, or a missing event: exit 4, and the advice to run verify."""
    for statement in (
        "UPDATE stored_agent SET founder_id = 1, seat = seat + 1 WHERE agent_id = 4",  # whose birth is event 3
        "UPDATE stored_event SET hash = randomblob(32) WHERE event_id = 3",
        "UPDATE stored_event SET hash = substr(hash, 2) WHERE event_id = 3",
        "UPDATE stored_event SET tick = tick + 1 WHERE event_id = 3",
        "DELETE FROM stored_event WHERE event_id = 2",
    ):
        copy = tmp_path / str(abs(hash(statement)))
        shutil.copytree(run, copy)
        with opened(copy) as connection:
            without_guards(connection, lambda c=connection, s=statement: c.execute(s))  # type: ignore[misc]
        with pytest.raises(TamperedError, match="run verify"), open_history(copy) as history:
            prove_event(history, 3)


def test_a_checker_without_its_claim_or_its_sum_would_be_found(
    proofs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: a checker that believes any path lets a changed payload pass."""
    body = json.loads(proofs["event"])
    entry = body["events"][0]
    lie = forged(proofs["event"], events=[{**entry, "leaf": entry["leaf"].replace('"tick":', '"tick":1')}])
    assert not holds(lie)
    root = bytes.fromhex(body["root"])
    monkeypatch.setattr(prove_file, "root_from_inclusion", lambda *_: root)
    monkeypatch.setattr(prove_file, "_claim", lambda *_: body["claim"])
    assert holds(lie)


def test_checkpoints_have_two_spellings(kept: Checkpoint, tmp_path: Path) -> None:
    """The line, and the C2SP form with base64; signatures of witnesses are passed over; a file will do."""
    origin, size, root = kept.note.removesuffix("\n").split("\n")
    assert origin == f"lineage-arena/{kept.run_id}"
    assert (int(size), base64.b64decode(root).hex()) == (kept.size, kept.root)
    signed = f"{kept.note}\n\u2014 witness.example/w1 AAAA\n"
    (tmp_path / "note").write_text(signed, encoding="utf-8")
    for text in (kept.line, kept.note, kept.note.strip(), kept.note.replace("\n", "\r\n"), signed):
        assert parse_checkpoint(text) == kept
        assert given_checkpoint(text) == kept
    assert given_checkpoint(str(tmp_path / "note")) == kept


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("lineage-arena/", "other/"), lambda note: note.replace("\n", " "),
        lambda note: note.replace("=", ""), lambda note: note + "more\n", lambda note: note.replace("\n", "\n0", 1),
        lambda note: note.replace("\n", "\n-", 1), lambda note: note[: len(note) // 2], lambda note: "\0",
    ],
)  # fmt: skip
def test_a_misspelt_checkpoint_is_refused(kept: Checkpoint, change: Any) -> None:
    """One spelling of each form; the unused bits of base64 are no second one."""
    with pytest.raises(ConfigError, match="copy the whole line"):
        given_checkpoint(change(kept.note))
    last = kept.note[-3]
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
        if other != last:
            spelt = f"{kept.note[:-3]}{other}=\n"
            try:
                assert parse_checkpoint(spelt) != kept
            except ConfigError:
                continue


def files(directory: Path) -> dict[str, bytes]:
    """Return what lies in a directory, but for what readers of SQLite leave."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".sqlite-shm"}


def test_a_stranger_checks_a_proof_without_the_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proof and checkpoint as files, nothing else; wrong ones end with 3 or 4; the run is left as it was."""
    monkeypatch.chdir(tmp_path)
    before = (run / FILE_NAME).read_bytes()
    Path("kept").write_text(call("prove", run, "checkpoint").out)
    _, descendant = lines_of_descent(run)[0]
    assert call("prove", run, "ancestor", str(descendant), "--out", "descent.json").code == 0
    done = call("verify-proof", "descent.json", "--checkpoint", "kept")
    assert (done.code, done.out.startswith("holds: ")) == (0, True)
    assert "the one that you kept" in done.err
    told = json.loads(call("verify-proof", "descent.json", "--json").out)
    assert (told["holds"], told["root_is_the_kept_one"]) == (True, False)
    assert call("prove", run, "--from", "kept", "--out", "grown.json").code == 0
    assert call("verify-proof", "grown.json", "--checkpoint", "kept").code == 0
    Path("bad.json").write_text(Path("descent.json").read_text().replace("birth", "Birth", 1))
    for arguments, code in (
        (("verify-proof", "bad.json"), 4), (("verify-proof", "kept"), 3), (("verify-proof", "nobody.json"), 2),
        (("prove", run, "event", "5", "--out", "descent.json"), 2), (("prove", run, "event", "99999"), 2),
        (("prove", run, "event", "x"), 2), (("prove", run, "scar", "1.0"), 2), (("prove", run, "scar"), 2),
        (("prove", run), 2), (("prove", tmp_path, "checkpoint"), 2), (("prove", run, "ancestor", "1", "2", "3"), 2),
        (("prove", run, "--from", "junk"), 2), (("prove", run, "event", "1", "--from", "kept"), 2),
    ):  # fmt: skip
        failed = call(*arguments)
        assert (failed.code, failed.out, failed.err.count("\n")) == (code, "", 1), failed
    assert (run / FILE_NAME).read_bytes() == before


def test_checking_a_proof_needs_neither_torch_nor_a_database() -> None:
    """What the checker loads: no learner, no SQLite."""
    program = "import sys, lineage.ask.prove_file; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"torch", "sqlite3", "mesa", "msgspec"} & set(done.stdout.split())
    program = "import sys; sys.argv = ['x']; import tui.proving; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "torch" not in done.stdout.split()


def test_junk_is_never_a_traceback(proofs: dict[str, str]) -> None:
    """Wrong types anywhere in the object, deep nests, other JSON: a named refusal."""
    values: list[Any] = [None, True, 1, -1, 1.5, "", "x", [], {}, [[]], {"a": 1}, "\ud800", 10**30]
    for kind in ("event", "consistency"):
        body = json.loads(proofs[kind])
        for name in body:
            for value in values:
                changed = {**body, name: value}
                assert not holds(json.dumps(changed).encode())
                assert not holds(forged(proofs[kind], **{name: value})) or name == "sha256" or value == body[name]
        if kind == "event":
            for name in body["events"][0]:
                for value in values:
                    assert not holds(forged(proofs[kind], events=[{**body["events"][0], name: value}]))
            for value in values:
                assert not holds(forged(proofs[kind], events=[value]))
    for data in (b"", b"\xff\xfe", b"[" * 100_000, b"null", b"{}", b'{"format": 1}'):
        assert not holds(data)


def published() -> Iterator[tuple[list[str], list[bytes]]]:
    """Yield (path as it is published, path as it is computed) of the test data of certificate transparency."""
    data = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in data]
    five, two_three, four_five = (PUBLISHED[name] for name in ("5th", "2-3", "4-5"))
    yield [five, PUBLISHED["6-7"], PUBLISHED["0-3"]], merkle.HashTree(leaves).inclusion(5)
    yield [PUBLISHED["0-1"]], merkle.HashTree(leaves[:3]).inclusion(2)
    yield [PUBLISHED["1st"], two_three, five], merkle.HashTree(leaves[:5]).inclusion(1)
    yield [four_five, PUBLISHED["6-7"], PUBLISHED["0-3"]], merkle.HashTree(leaves).consistency(6)
    yield [two_three, five], merkle.HashTree(leaves[:5]).consistency(2)


PUBLISHED = {
    "1st": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "0-1": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "2-3": "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "0-3": "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "5th": "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4-5": "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "6-7": "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
}
"""Nodes of the eight published leaves, by the leaves under them."""


def test_published_paths_of_certificate_transparency() -> None:
    """Inclusion of leaves 5 of 8, 2 of 3, 1 of 5; consistency from 6 to 8 and from 2 to 5."""
    for wanted, computed in published():
        assert [node.hex() for node in computed] == wanted


def test_a_deep_line_of_descent_is_proven(tmp_path: Path) -> None:
    """Three thousand births one below the other: iterative, and quickly checked."""
    from benchmarks.history import write

    write(tmp_path / "chain", 3_000, 1, chain=True)
    with open_history(tmp_path / "chain") as history:
        text = prove_ancestor(history, None, 3_000)
    assert check_proof(text.encode()).claim.startswith("agent 1 is an ancestor of agent 3000, 2999 births apart")
