"""Policy files: the same bytes for the same policy, and nothing hostile, damaged or foreign gets past the door."""

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from agents.genome import GENES
from arena.errors import DataError
from arena.spec import OBSERVATION_VERSION
from lineage.config import RunConfig, to_plain
from lineage.record.policy import Policy, padded, row_sha256, to_bytes, untrained_weights, weight_bytes
from lineage.record.policy_files import LARGEST_FILE, LARGEST_HEADER, parse_policy, read_policy
from tests.commands import call

FUZZ_CASES = 2000


def policy(hidden: tuple[int, int] = (4, 3), *, dueling: bool = True) -> Policy:
    """Return a small policy."""
    mind: Any = to_plain(RunConfig())["mind"]
    mind = {**mind, "hidden": list(hidden), "dueling": dueling}
    genes = {name: 0.5 + 0.01 * index for index, name in enumerate(GENES)} | {"epsilon_decay_ticks": 600.0}
    bare = Policy(17, "teal-owl", 41, "death", "dqn", genes, mind, np.zeros(0, dtype=np.float32), "0123456789abcdef", 7)
    weights = np.random.Generator(np.random.Philox(5)).standard_normal(bare.layout.n_weights).astype(np.float32)
    return replace(bare, weights=weights)


def same(one: Policy, other: Policy) -> bool:
    """Return whether two policies are equal in everything, their weights bit for bit."""
    fields = [name for name in Policy.__slots__ if name != "weights"]
    return weight_bytes(one) == weight_bytes(other) and all(getattr(one, f) == getattr(other, f) for f in fields)


def taken_apart(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header as plain values, and the bytes behind it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_together(tree: object, body: bytes) -> bytes:
    """Return a file of a header and what comes behind it."""
    header = tree if isinstance(tree, bytes) else json.dumps(tree, separators=(",", ":")).encode()
    return len(header).to_bytes(8, "little") + header + body


@pytest.mark.parametrize("dueling", [True, False])
def test_a_policy_comes_back_as_it_was(dueling: bool) -> None:
    """Every field and every weight; the same policy gives the same bytes."""
    mine = policy((5, 6), dueling=dueling)
    data = to_bytes(mine)
    assert same(parse_policy(data, "here"), mine)
    assert to_bytes(parse_policy(data, "here")) == data


def test_any_safetensors_reader_opens_it() -> None:
    """The library finds the same tensors, and a file that it writes itself is as good."""
    mine = policy()
    data = to_bytes(mine)
    tensors = load(data)
    assert [list(tensors[name].shape) for name in ("w1", "b1", "w3", "b3")] == [[32, 4], [4], [8, 3], [8]]
    assert np.array_equal(np.concatenate([tensors[name].ravel() for name, *_ in mine.layout.shapes]), mine.weights)
    again = save(tensors, taken_apart(data)[0]["__metadata__"])
    assert same(parse_policy(again, "here"), mine)


def test_the_hash_is_that_of_the_padded_row() -> None:
    """As events give it: the stacked networks keep zeros behind each agent's weights."""
    import hashlib

    mine = policy()
    row = padded(mine)
    assert len(row) == mine.layout.n_params > mine.layout.n_weights
    assert row_sha256(weight_bytes(mine), mine.layout) == hashlib.sha256(row.tobytes()).hexdigest()


def test_the_untrained_self_is_the_founder_of_that_id() -> None:
    """Fresh weights are a function of seed and id, without the padding."""
    from agents.brains import founder_weights

    mine = policy()
    fresh = untrained_weights(mine)
    assert np.array_equal(fresh, founder_weights(mine.layout, 7, 17)[: mine.layout.n_weights])
    assert not np.array_equal(fresh, untrained_weights(mine, seed=8))


def test_the_observation_version_goes_with_the_columns() -> None:
    """Whoever changes what agents see, raises the version: this hash is of the names that version 1 stands for."""
    import hashlib

    from arena.spec import ACTIONS, COLUMNS

    names = "|".join([column.name for column in COLUMNS] + [action.name for action in ACTIONS])
    known = {1: "59fe01e0c52203fda02fdeab60afb3d5b0e773ee4cd1398728f36f4b81082a94"}
    assert hashlib.sha256(names.encode()).hexdigest() == known[OBSERVATION_VERSION]


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a file whose header was changed."""
    tree, body = taken_apart(to_bytes(policy()))
    change(tree)
    return put_together(tree, body)


def meta(**values: str | None) -> bytes:
    """Return a file whose metadata was changed; None takes a key away."""

    def change(tree: dict[str, Any]) -> None:
        for name, value in values.items():
            tree["__metadata__"].pop(name, None)
            if value is not None:
                tree["__metadata__"][name] = value

    return edited(change)


def mind(**values: object) -> bytes:
    """Return a file with another configuration of the mind in its metadata."""
    plain = {**policy().mind_config, **values}
    return meta(mind_config=json.dumps(plain))


def gene(**values: object) -> bytes:
    """Return a file with other genes."""
    return meta(genes=json.dumps({**policy().genes, **values}))


def tensor(name: str, **values: object) -> bytes:
    """Return a file with another entry for a tensor."""
    return edited(lambda tree: tree[name].update(values))


def poisoned(value: float) -> bytes:
    """Return a file with a weight that is no number, its hash made to fit."""
    mine = policy()
    mine.weights[3] = value
    return to_bytes(mine)


_GOOD = to_bytes(policy())
_TREE, _BODY = taken_apart(_GOOD)
_LONG = json.dumps({"__metadata__": {"x": "y" * (LARGEST_HEADER + 1)}}).encode()

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cut short"),
    "seven bytes": (b"1234567", "cut short"),
    "text": (b"a,b,c\n1,2,3\n" * 20, "does not fit the file"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", "does not fit the file"),
    "a header that ends behind the file": ((2**63).to_bytes(8, "little") + _GOOD[8:], "does not fit the file"),
    "a header of no bytes": (bytes(8) + _GOOD[8:], "does not fit the file"),
    "a header that is too long": (put_together(_LONG, b""), "at most"),
    "a header that does not begin with a brace": (put_together(b" " + json.dumps(_TREE).encode(), _BODY), "begin with"),
    "a list": (put_together(b"[]", _BODY), "begin with"),
    "not UTF-8": (put_together(b'{"\xff\xfe":1}', _BODY), "not UTF-8"),
    "not JSON": (put_together(b"{'a':1}", _BODY), "not valid JSON"),
    "something behind the JSON": (put_together(json.dumps(_TREE).encode() + b"{}", _BODY), "not valid JSON"),
    "nested too deep": (put_together(b'{"a":' * 6000 + b"1" + b"}" * 6000, _BODY), "not valid JSON"),
    "a number too long": (put_together(b'{"a":' + b"9" * 5000 + b"}", _BODY), "not valid JSON"),
    "a name twice": (put_together(b'{"w1":1,"w1":2}', _BODY), "twice"),
    "metadata twice": (put_together(b'{"__metadata__":{},"__metadata__":{}}', _BODY), "twice"),
    "NaN in the header": (put_together(b'{"w1":NaN}', _BODY), "NaN"),
    "no metadata": (edited(lambda tree: tree.pop("__metadata__")), "no metadata"),
    "metadata that is no text": (edited(lambda tree: tree["__metadata__"].update(round=3)), "no metadata"),
    "a key too few": (meta(clan=None), "'clan' is missing"),
    "a key too many": (meta(note="x"), "'note' does not belong"),
    "another format": (meta(policy_format="2"), "policy format 2"),
    "another observation": (meta(observation_version="99"), "observation version 99"),
    "a clan with an escape": (meta(clan="teal-\x1b[2J"), "clan"),
    "a clan that is a path": (meta(clan="../../etc"), "clan"),
    "an id below 1": (meta(agent_id="0"), "agent_id"),
    "an id in other digits": (meta(agent_id="\u0661"), "agent_id"),
    "a seed too large": (meta(seed=str(2**63)), "64 bits"),
    "a scripted mind": (meta(mind="oracle"), "mind"),
    "another reason": (meta(reason="murder"), "reason"),
    "another hash": (meta(weights_sha256="0" * 64), "hash to"),
    "genes that are no JSON": (meta(genes="{"), "genes is not valid JSON"),
    "genes that are a list": (meta(genes="[]"), "not a JSON object"),
    "a gene too many": (gene(greed=1.0), "'greed' is not one of this build"),
    "an infinite gene": (meta(genes=json.dumps({**policy().genes, "tau": float("inf")})), "Infinity"),
    "a gene that overflows": (meta(genes=json.dumps(policy().genes).replace("0.51", "1e999")), "is not a number"),
    "a gene that is text": (gene(gamma="0.9"), "is not a number"),
    "a gene that is true": (gene(gamma=True), "is not a number"),
    "a gene beyond its limit": (gene(position_scale=1e4), "is not a number in [0, 1000]"),
    "hidden that is text": (mind(hidden="[4,3]"), "not two widths"),
    "hidden of three": (mind(hidden=[4, 3, 2]), "not two widths"),
    "a width of true": (mind(hidden=[True, 3]), "not two widths"),
    "a width below 1": (mind(hidden=[0, 3]), "not within"),
    "a width beyond reason": (mind(hidden=[10**6, 10**6]), "not within"),
    "dueling of 1": (mind(dueling=1), "neither true nor false"),
    "a setting that is a table": (mind(batch={"a": 1}), "not a setting"),
    "a setting with a bad name": (mind(**{"a\nb": 1}), "not a setting"),
    "settings without end": (mind(**{f"k{index}": 1 for index in range(99)}), "at most 64"),
    "other widths than the tensors": (mind(hidden=[5, 3]), "follows from mind_config"),
    "no value head": (mind(dueling=False), "follows from mind_config"),
    "a tensor too few": (edited(lambda tree: tree.pop("b2")), "'b2' is missing"),
    "a tensor too many": (edited(lambda tree: tree.update(w4=tree["w1"])), "'w4' does not belong"),
    "half floats": (tensor("w1", dtype="F16"), "F32 is needed"),
    "integers": (tensor("w1", dtype="I32"), "F32 is needed"),
    "a dtype that is a list": (tensor("w1", dtype=["F32"]), "F32 is needed"),
    "a shape turned round": (tensor("w1", shape=[4, 32]), "follows from mind_config"),
    "a shape of floats": (tensor("w1", shape=[32.0, 4.0]), "follows from mind_config"),
    "a shape of true": (tensor("b1", shape=[True]), "follows from mind_config"),
    "a shape without end": (tensor("w1", shape=[10**30, 10**30]), "follows from mind_config"),
    "an entry with more": (tensor("w1", strides=[1]), "not dtype, shape and data_offsets"),
    "an entry that is text": (edited(lambda tree: tree.update(w1="F32")), "not dtype, shape and data_offsets"),
    "offsets of floats": (tensor("w1", data_offsets=[0.0, 512.0]), "not two integers"),
    "negative offsets": (tensor("w1", data_offsets=[-4, 508]), "leave a gap"),
    "offsets that overlap": (tensor("b1", data_offsets=[0, 16]), "leave a gap"),
    "offsets behind the file": (tensor("b3", data_offsets=[10**18, 10**18 + 32]), "leave a gap"),
    "a byte too few": (_GOOD[:-1], "cut short or padded"),
    "a byte too many": (_GOOD + b"\x00", "cut short or padded"),
    "a changed weight": (_GOOD[:-2] + bytes([_GOOD[-2] ^ 1]) + _GOOD[-1:], "hash to"),
    "NaN": (poisoned(float("nan")), "not finite"),
    "infinity": (poisoned(float("inf")), "not finite"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    """DataError that names the file and what is wrong; the command line leaves with 3."""
    data, words = HOSTILE[name]
    path = tmp_path / "policy.safetensors"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_policy(path)
    text = str(caught.value)
    assert words in text, text
    assert text.startswith(str(path))
    assert text.isprintable() and len(text) < 400
    shown = call("policy", "show", path)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err.count("\n") == 1


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """A link, a directory, a pipe that nobody writes to, a missing and an oversized file: exit 3, no waiting."""
    good = tmp_path / "good.safetensors"
    good.write_bytes(_GOOD)
    (tmp_path / "link").symlink_to(good)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    expected = {
        "link": "symbolic link", "folder": "directory", "pipe": "not a regular file", "nowhere": "No such file",
        "large": "at most", "good.safetensors/x": "Not a directory", "nul\0byte": "null byte",
    }  # fmt: skip
    for name, words in expected.items():
        with pytest.raises(DataError, match=words):
            read_policy(tmp_path / name)
        if "\0" not in name:
            assert call("policy", "show", tmp_path / name).code == 3
    assert same(read_policy(good), policy())


def test_random_damage_is_refused_or_changes_nothing() -> None:
    """Two thousand flips, cuts, insertions and swaps: DataError, or a policy whose every value passes the checks."""
    dice, accepted = random.Random(11), 0
    original = parse_policy(_GOOD, "here")
    for _ in range(FUZZ_CASES):
        data = bytearray(_GOOD)
        for _ in range(dice.choice((1, 1, 1, 2, 8))):
            place = dice.randrange(len(data))
            kind = dice.randrange(5)
            if kind <= 1:
                data[place] ^= 1 << dice.randrange(8)
            elif kind == 2:
                del data[place:]
                data = data or bytearray(b"\0")
            elif kind == 3:
                data[place:place] = bytes([dice.randrange(256)])
            else:
                data[place] = dice.choice(b'0123456789{}[]",:eE-. ')
        try:
            found = parse_policy(bytes(data), "fuzz")
        except DataError as error:
            assert "\n" not in str(error)
            continue
        accepted += 1
        assert weight_bytes(found) == weight_bytes(original)  # their hash is in the metadata
        assert parse_policy(to_bytes(found), "again").genes == found.genes
    assert 0 < accepted < FUZZ_CASES // 4


def test_without_the_hash_damaged_weights_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: the checks of form alone let a flipped bit of a weight through."""
    data = HOSTILE["a changed weight"][0]
    promised = taken_apart(data)[0]["__metadata__"]["weights_sha256"]
    monkeypatch.setattr("lineage.record.policy_files.row_sha256", lambda weights, layout: promised)
    assert parse_policy(data, "here").weights[-1] != policy().weights[-1]
