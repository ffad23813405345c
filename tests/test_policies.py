"""Fossils in real runs: everybody's, the right ones, sealed, and reachable from the command line."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from arena.errors import ConfigError, DataError
from lineage import engine
from lineage.record import policies
from lineage.record.policies import load_policy, policies_of
from lineage.record.policy import to_bytes
from lineage.record.policy_files import read_policy
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from lineage.record.verify import verify
from lineage.world import World
from tests.commands import call
from tests.runs import SEED, copied, crash_after, go_on, history_of, lively, play, rounds_left, verified
from tests.tampering import opened, without_guards


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished lively run that keeps births too; no test changes it."""
    directory = tmp_path_factory.mktemp("policies") / "run"
    play(directory, lively("record.birth_policies=true"))
    return directory


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted after thirteen rounds."""
    directory = tmp_path_factory.mktemp("policies") / "open"
    with engine.start(directory, lively(), SEED) as started:
        started.run(should_stop=rounds_left(13))
    return directory


def ask(directory: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with closing(connect_reader(directory / FILE_NAME)) as reader:
        return reader.execute(query, values).fetchall()


def test_every_learner_leaves_its_policy(run: Path) -> None:
    """One row at birth, one at death or at the end; scripts leave none."""
    learners = {row[0] for row in ask(run, "SELECT agent_id FROM agent WHERE mind = 'dqn'")}
    dead = {row[0] for row in ask(run, "SELECT agent_id FROM event WHERE kind = 'death'")} & learners
    kept = {reason: {row[0] for row in ask(run, "SELECT agent_id FROM policy WHERE reason = ?", reason)}
            for reason in ("birth", "death", "end")}  # fmt: skip
    assert kept == {"birth": learners, "death": dead, "end": learners - dead}
    assert dead
    assert learners - dead
    (head,) = ask(run, "SELECT hash FROM event WHERE kind = 'closed'")[0]
    report = verified(run, str(head))
    assert report.ok, report.findings


def test_a_fossil_is_the_networks_last_state(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bit for bit what the arrays held, and its hash is the one in the event."""
    seen: dict[int, np.ndarray] = {}
    original = World.censored_events

    def watching(world: World) -> list[object]:
        for seat in np.flatnonzero(world.arena.living()):
            seen[int(world.bodies.agent_id[seat])] = world.minds.brains.params[int(seat)].numpy().copy()
        return list(original(world))

    monkeypatch.setattr(World, "censored_events", watching)
    play(tmp_path / "run", lively())
    with closing(connect_reader(tmp_path / "run" / FILE_NAME)) as reader:
        alive = policies_of(reader, "alive")
        for policy in alive:
            row = seen[policy.agent_id]
            assert policy.weights.tobytes() == row[: policy.layout.n_weights].tobytes()
            (payload,) = reader.execute(
                "SELECT payload FROM event WHERE agent_id = ? AND kind = 'censored'", (policy.agent_id,)
            ).fetchone()
            assert json.loads(payload)["weights_sha256"] == hashlib.sha256(row.tobytes()).hexdigest()
    assert alive


def test_birth_policies_are_the_untrained_selves_of_founders(run: Path) -> None:
    """A founder is born with the weights that follow from seed and id; an heir under lamarckian is not."""
    with closing(connect_reader(run / FILE_NAME)) as reader:
        born = policies.birth_policies(reader)
        parents = dict(reader.execute("SELECT agent_id, parent_id FROM agent"))
    for policy in born:
        founder = parents[policy.agent_id] is None
        assert np.array_equal(policy.weights, policies.untrained_weights(policy)) == founder


def test_what_is_asked_for_is_what_comes(run: Path) -> None:
    """Fossils, the living, ids in their order; a script comes without weights."""
    with closing(connect_reader(run / FILE_NAME)) as reader:
        fossils, alive = policies_of(reader, "fossils"), policies_of(reader, "alive")
        assert {policy.reason for policy in fossils} == {"death"}
        assert {policy.reason for policy in alive} == {"end"}
        some = policies_of(reader, [fossils[1].agent_id, fossils[0].agent_id])
        assert [policy.agent_id for policy in some] == [fossils[1].agent_id, fossils[0].agent_id]
        (script,) = reader.execute("SELECT min(agent_id) FROM agent WHERE mind = 'oracle'").fetchone()
        scripted = load_policy(reader, script)
        assert (scripted.mind, scripted.is_learner, len(scripted.weights)) == ("oracle", False, 0)
        with pytest.raises(ValueError, match="no network"):
            to_bytes(scripted)
        with pytest.raises(ConfigError, match="never born"):
            load_policy(reader, 10**6)


def test_the_living_are_read_from_the_newest_checkpoint(open_run: Path, tmp_path: Path) -> None:
    """No byte of the database changes; the round is named; a damaged checkpoint gives way to an older one."""
    before = (open_run / FILE_NAME).read_bytes()
    with closing(connect_reader(open_run / FILE_NAME)) as reader:
        alive = policies_of(reader, "alive", open_run)
        assert {(policy.reason, policy.round) for policy in alive} == {("checkpoint", 12)}
        one = load_policy(reader, alive[0].agent_id, open_run)
        assert one.weights.tobytes() == alive[0].weights.tobytes()
        with pytest.raises(DataError, match="no checkpoint was named"):
            load_policy(reader, alive[0].agent_id)
    assert (open_run / FILE_NAME).read_bytes() == before
    damaged = copied(open_run, tmp_path / "run")
    newest = sorted((damaged / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with closing(connect_reader(damaged / FILE_NAME)) as reader:
        assert {policy.round for policy in policies_of(reader, "alive", damaged)} == {9}
    for path in (damaged / "checkpoints").iterdir():
        path.unlink()
    with closing(connect_reader(damaged / FILE_NAME)) as reader, pytest.raises(DataError, match="no checkpoint"):
        policies_of(reader, "alive", damaged)


def test_killed_and_resumed_keeps_the_same_policies(run: Path, tmp_path: Path) -> None:
    """The rows and the bytes of a run that crashed on the way are those of one that never did."""
    directory = tmp_path / "run"
    crash_after(engine.start(directory, lively("record.birth_policies=true"), SEED), 11)
    go_on(directory)
    assert history_of(directory)["policy"] == history_of(run)["policy"]
    assert history_of(directory)["policy_blob"] == history_of(run)["policy_blob"]


def test_a_run_without_fossils_says_so(tmp_path: Path) -> None:
    """The switch keeps nothing, verifies, and the question for one is answered with the cure."""
    directory = tmp_path / "run"
    play(directory, lively("record.fossils=false"))
    assert ask(directory, "SELECT count(*) FROM policy") == [(0,)]
    assert verify(directory).ok
    with closing(connect_reader(directory / FILE_NAME)) as reader:
        (dead,) = reader.execute(
            "SELECT min(agent_id) FROM event JOIN agent USING (agent_id) WHERE kind = 'death' AND mind = 'dqn'"
        ).fetchone()
        with pytest.raises(DataError, match=r"record\.fossils is off"):
            load_policy(reader, dead)
        with pytest.raises(DataError, match=r"record\.fossils is off"):
            policies_of(reader, "fossils")
        with pytest.raises(DataError, match="birth_policies=true"):
            policies.birth_policies(reader)
    shown = call("policy", "list", directory)
    assert (shown.code, shown.out) == (0, "")
    assert "record.fossils was off" in shown.err


Cheat = Callable[[sqlite3.Connection], object]


def exchange_blobs(connection: sqlite3.Connection) -> None:
    """Give two dead agents each other's policy, hashes and all."""
    rows = connection.execute(
        "SELECT agent_id, blob_sha256, weights_sha256 FROM policy WHERE reason = 'death' LIMIT 2"
    ).fetchall()
    for (agent, *_), (_, blob, weights) in zip(rows, reversed(rows), strict=True):
        connection.execute(
            "UPDATE policy SET blob_sha256 = ?, weights_sha256 = ? WHERE agent_id = ? AND reason = 'death'",
            (blob, weights, agent),
        )


def better_weights(connection: sqlite3.Connection) -> None:
    """Replace a fossil by a file with other weights, every hash of tables and metadata made to fit."""
    agent, old = connection.execute("SELECT agent_id, blob_sha256 FROM policy WHERE reason = 'death'").fetchone()
    policy = load_policy(connection, agent)
    policy.weights[:] += 0.5
    data = to_bytes(policy)
    new = hashlib.sha256(data).hexdigest()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    connection.execute("INSERT INTO policy_blob VALUES (?, ?)", (new, data))
    connection.execute(
        "UPDATE policy SET blob_sha256 = ?, weights_sha256 = ? WHERE agent_id = ? AND reason = 'death'",
        (new, header["__metadata__"]["weights_sha256"], agent),
    )
    connection.execute("DELETE FROM policy_blob WHERE sha256 = ?", (old,))


def better_genes(connection: sqlite3.Connection) -> None:
    """Replace a fossil by a file that claims another body, its own hash made to fit."""
    agent, old = connection.execute("SELECT agent_id, blob_sha256 FROM policy WHERE reason = 'death'").fetchone()
    policy = load_policy(connection, agent)
    policy.genes["stop_atr"] *= 2.0
    data = to_bytes(policy)
    new = hashlib.sha256(data).hexdigest()
    connection.execute("INSERT INTO policy_blob VALUES (?, ?)", (new, data))
    connection.execute("UPDATE policy SET blob_sha256 = ? WHERE blob_sha256 = ?", (new, old))
    connection.execute("DELETE FROM policy_blob WHERE sha256 = ?", (old,))


def constant(statement: str) -> Cheat:
    """Return a cheat that is one statement."""
    return lambda connection: connection.execute(statement)


CHEATS: dict[str, tuple[Cheat, str]] = {
    "two fossils exchanged": (exchange_blobs, "contradicts the event"),
    "other weights": (better_weights, "contradicts the event"),
    "other genes": (better_genes, "another than the event seals"),
    "a row gone": (constant("DELETE FROM policy WHERE agent_id = (SELECT min(agent_id) FROM policy)"), "is missing"),
    "all rows gone": (constant("DELETE FROM policy"), "is missing"),
    "a blob gone": (constant("DELETE FROM policy_blob WHERE sha256 = (SELECT min(sha256) FROM policy_blob)"), "bytes"),
    "a blob cut short": (constant("UPDATE policy_blob SET bytes = substr(bytes, 1, 999)"), "were changed"),
    "another round": (constant("UPDATE policy SET round = round - 1 WHERE reason = 'death'"), "contradicts the event"),
    "another reason": (constant("UPDATE policy SET reason = 'end' WHERE reason = 'death'"), "no event seals it"),
    "a stray blob": (constant("INSERT INTO policy_blob VALUES (printf('%064d', 7), x'00')"), "belong to no policy"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_swapped_edited_missing_and_stray_policies_are_found(run: Path, tmp_path: Path, name: str) -> None:
    """By the cryptographic level, whatever hashes inside the tables were made to fit."""
    cheat, words = CHEATS[name]
    directory = copied(run, tmp_path / "run")
    with opened(directory) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        without_guards(connection, lambda: cheat(connection))
    report = verify(directory)
    failed = [text for text in report.findings if text.startswith("cryptographic")]
    assert any(words in text for text in failed), report.findings


def test_the_command_line_lists_exports_shows_and_imports(run: Path, tmp_path: Path) -> None:
    """A stranger's way: list, export by name, show, import, list the library."""
    listed = json.loads(call("policy", "list", run, "--json").out)
    row = next(row for row in listed["policies"] if row["reason"] == "death")
    name = f"{row['clan']}-{row['agent_id']}"
    assert name in call("policy", "list", run).out
    file = tmp_path / "mine.safetensors"
    done = call("policy", "export", run, name, "--out", file)
    assert (done.code, done.out.strip()) == (0, str(file))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row["blob_sha256"]
    shown = json.loads(call("policy", "show", file, "--json").out)
    assert (shown["name"], shown["round"], shown["sha256"]) == (name, row["round"], row["blob_sha256"])
    library = tmp_path / "library"
    for _ in range(2):
        assert call("policy", "import", file, "--into", library).code == 0
    assert [path.name for path in library.iterdir()] == [f"{row['blob_sha256']}.safetensors"]
    assert name in call("policy", "list", library).out
    (library / "broken.safetensors").write_bytes(b"x" * 99)
    assert call("policy", "list", library).code == 3
    many = call("policy", "export", run, "--champions", "2", "--into", tmp_path / "best", "--json")
    if many.code == 0:
        assert len(json.loads(many.out)) == 2


def test_the_living_are_exported_with_their_round(open_run: Path, tmp_path: Path) -> None:
    """The file says checkpoint and the narration says which round."""
    (agent,) = ask(
        open_run,
        "SELECT min(agent_id) FROM agent a WHERE mind = 'dqn' AND birth_round < 10 AND NOT EXISTS"
        " (SELECT 1 FROM event e WHERE e.agent_id = a.agent_id AND e.kind = 'death')",
    )[0]
    file = tmp_path / "alive.safetensors"
    done = call("policy", "export", open_run, str(agent), "--out", file)
    assert done.code == 0, done.err
    assert "as of round 12" in done.err
    assert read_policy(file).reason == "checkpoint"


def test_wrong_questions_get_one_line(run: Path, tmp_path: Path) -> None:
    """Nobody, a script, a taken name, two agents in one file, no run, an empty wish."""
    (script,) = ask(run, "SELECT min(agent_id) FROM agent WHERE mind = 'oracle'")[0]
    (one,), (two,) = ask(run, "SELECT DISTINCT agent_id FROM policy ORDER BY agent_id LIMIT 2")
    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(b"mine")
    cases = [
        (("export", run, "no-body"), 2), (("export", run, "99999"), 2), (("export", run, str(script)), 3),
        (("export", run, str(one), "--out", taken), 2), (("export", run), 2),
        (("export", run, str(one), str(two), "--out", tmp_path / "x"), 2),
        (("export", run, "1", "--champions", "2"), 2), (("export", tmp_path, "1"), 2),
        (("list", tmp_path), 3), (("list", tmp_path / "nowhere"), 2), (("show", taken), 3),
        (("import", taken, "--into", tmp_path / "library"), 3), (("import", taken, "--into", taken), 2),
    ]  # fmt: skip
    for arguments, code in cases:
        done = call("policy", *arguments)
        assert (done.code, done.out) == (code, ""), (arguments, done)
        assert done.err.count("\n") == 1, done.err
    assert taken.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.safetensors"]
