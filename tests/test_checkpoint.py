"""Checkpoints: exact, atomic, reproducible, and read strictly."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from arena.errors import EnvironmentFault, StoreError
from lineage.record.checkpoint import (
    list_checkpoints,
    prune_checkpoints,
    read_checkpoint,
    write_checkpoint,
)

DTYPES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")


def example() -> dict[str, np.ndarray]:
    """Return one array of every dtype, and odd shapes."""
    rng = np.random.default_rng(1)
    arrays = {f"a.{code}": rng.integers(0, 2, (3, 5)).astype(code) for code in DTYPES}
    return arrays | {
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.array(1.5),
        "strided": np.arange(20.0)[::3],
        "big endian": np.arange(3, dtype=">i4"),
        "special": np.array([np.nan, np.inf, -0.0, 5e-324]),
    }


def test_arrays_and_metadata_come_back_bit_for_bit(tmp_path: Path) -> None:
    """All dtypes, empty, zero-dimensional, strided and big-endian arrays."""
    arrays = example()
    file = write_checkpoint(tmp_path, 123, arrays, {"round": 123, "head": "ab"})
    assert file.file == "checkpoints/round-000123.ckpt"
    read, metadata = read_checkpoint(tmp_path / file.file, file.sha256)
    assert metadata == {"round": 123, "head": "ab"}
    assert set(read) == set(arrays)
    for name, value in arrays.items():
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        assert read[name].dtype == little.dtype
        assert read[name].shape == value.shape
        assert read[name].tobytes() == little.tobytes()
        assert read[name].flags.writeable


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text(), hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, min_side=0)), max_size=4
    )
)
def test_any_arrays_come_back(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> None:
    """Names of any text, shapes of any kind."""
    arrays.pop("__metadata__", None)
    directory = tmp_path_factory.mktemp("any")
    file = write_checkpoint(directory, 0, arrays, {})
    read, _ = read_checkpoint(directory / file.file, file.sha256)
    assert {name: value.tobytes() for name, value in read.items()} == {n: v.tobytes() for n, v in arrays.items()}


def test_any_safetensors_reader_opens_it(tmp_path: Path) -> None:
    """The layout is a public one."""
    arrays = example()
    file = write_checkpoint(tmp_path, 1, arrays, {"round": 1})
    read = load_file(tmp_path / file.file)
    assert all(np.array_equal(read[name], arrays[name], equal_nan=name == "special") for name in arrays)


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order of the arrays: a recomputed checkpoint has the recorded hash."""
    arrays = example()
    turned = dict(reversed(arrays.items()))
    one = write_checkpoint(tmp_path, 1, arrays, {"a": 1, "b": 2})
    (tmp_path / "other").mkdir()
    assert write_checkpoint(tmp_path / "other", 1, turned, {"b": 2, "a": 1}) == one


def test_every_cut_and_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    """With the hash any change is a StoreError; without it still any cut."""
    file = write_checkpoint(tmp_path, 1, example(), {"round": 1})
    path = tmp_path / file.file
    whole = path.read_bytes()
    dice = random.Random(1)
    for cut in [*range(0, 64), *dice.sample(range(len(whole)), 60)]:
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match="older"):
            read_checkpoint(path)
    for _ in range(200):
        changed = bytearray(whole)
        changed[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(StoreError) as caught:
            read_checkpoint(path, file.sha256)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole + b"x")
    with pytest.raises(StoreError, match="promises"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b"[1]",
        b"not json",
        b"\xff\xfe",
        b'{"__metadata__":{"lineage_arena":"[]"}}',
        b'{"__metadata__":{"lineage_arena":"{}"},"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}',
        b'{"__metadata__":{"lineage_arena":"{}"},"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}}',
        b'{"__metadata__":{"lineage_arena":"{}"},"a":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}}',
        b'{"__metadata__":{"lineage_arena":"{}"},"a":{"dtype":"F64","shape":[99999999999],"data_offsets":[0,799999999992]}}',
        b'{"__metadata__":{"lineage_arena":"{}"},"a":7}',
        b"[" * 100_000,
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, header: bytes) -> None:
    """Nothing is allocated on the word of a header."""
    path = tmp_path / "bad.ckpt"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(StoreError, match="damaged checkpoint"):
        read_checkpoint(path)


def test_a_missing_file_is_a_store_error(tmp_path: Path) -> None:
    """So that the caller falls back to an older one; a directory in its place as well."""
    for path in (tmp_path / "none.ckpt", tmp_path):
        with pytest.raises(StoreError, match="older"):
            read_checkpoint(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name holds the whole old file or the whole new one."""
    file = write_checkpoint(tmp_path, 1, {"x": np.zeros(3)}, {})
    before = (tmp_path / file.file).read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(EnvironmentFault, match="No space left on device; free space"):
        write_checkpoint(tmp_path, 1, {"x": np.ones(3)}, {})
    assert (tmp_path / file.file).read_bytes() == before
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["round-000001.ckpt"]


def test_a_file_where_the_folder_should_be_is_an_environment_fault(tmp_path: Path) -> None:
    """Exit 5 with the path, no traceback."""
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(EnvironmentFault, match="checkpoints"):
        write_checkpoint(tmp_path, 1, {}, {})


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """Newest first; what interrupted writes left goes too."""
    for index in (5, 100, 7):
        write_checkpoint(tmp_path, index, {}, {"round": index})
    (tmp_path / "checkpoints" / "round-000009.ckpt.partial").touch()
    assert [index for index, _ in list_checkpoints(tmp_path)] == [100, 7, 5]
    prune_checkpoints(tmp_path, 2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "round-000007.ckpt",
        "round-000100.ckpt",
    ]
    assert list_checkpoints(tmp_path / "nowhere") == []


def test_object_arrays_have_no_place(tmp_path: Path) -> None:
    """Nothing that would need pickle is written."""
    with pytest.raises(TypeError, match="no place"):
        write_checkpoint(tmp_path, 1, {"x": np.array([{}])}, {})
