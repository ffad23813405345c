"""The Merkle tree against the published RFC 6962 vectors, and its proofs against themselves."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.record.merkle import (
    CompactRange,
    HashTree,
    is_consistent,
    leaf_hash,
    root_from_inclusion,
    root_of,
)

LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
TWO, FIRST_OF_FOUR, LAST_FOUR = (
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)


def numbered(count: int) -> list[bytes]:
    """Return `count` different leaf hashes."""
    return [leaf_hash(str(index).encode()) for index in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_root_equals_the_published_one(size: int) -> None:
    """Roots of the first 0 to 8 leaves of RFC 6962's test data."""
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_empty_root_is_the_hash_of_nothing() -> None:
    """RFC 9162, section 2.1.1."""
    assert CompactRange().root() == hashlib.sha256(b"").digest()


def test_published_inclusion_path() -> None:
    """The audit path of leaf 0 among 8."""
    assert [node.hex() for node in HashTree(LEAVES).inclusion(0)] == [FIRST_OF_FOUR, TWO, LAST_FOUR]


def test_published_consistency_proof() -> None:
    """The proof from 1 to 8 leaves is the audit path of the first one."""
    assert [node.hex() for node in HashTree(LEAVES).consistency(1)] == [FIRST_OF_FOUR, TWO, LAST_FOUR]


@given(size=st.integers(0, 70), data=st.data())
def test_streaming_root_equals_the_recursive_definition(size: int, data: st.DataObject) -> None:
    """Appending one by one gives the root that the RFC defines by halving."""
    leaves = numbered(size)
    keep = data.draw(st.integers(0, size))
    tree = CompactRange()
    for leaf in leaves[:keep]:
        tree.append(leaf)
    assert tree.size == keep
    assert tree.root() == define(leaves[:keep])
    assert HashTree(leaves).root(keep) == define(leaves[:keep])


def define(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 9162, section 2.1.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + define(leaves[:split]) + define(leaves[split:])).digest()


def test_every_inclusion_proof_leads_to_the_root_and_no_other_leaf_does() -> None:
    """All indices of trees up to 20 leaves; a foreign leaf, index, size or path fails."""
    for size in range(1, 21):
        leaves = numbered(size)
        root = root_of(leaves)
        for index in range(size):
            path = HashTree(leaves).inclusion(index)
            assert root_from_inclusion(leaves[index], index, size, path) == root
            assert root_from_inclusion(leaf_hash(b"other"), index, size, path) != root
            assert root_from_inclusion(leaves[index], index, size, [*path, root]) != root
            if path:
                assert root_from_inclusion(leaves[index], index, size, path[:-1]) != root
                assert root_from_inclusion(leaves[index], index ^ 1, size, path) != root
    assert root_from_inclusion(leaf_hash(b""), 3, 3, []) is None


def test_every_consistency_proof_holds_and_a_rewritten_past_does_not() -> None:
    """All pairs of sizes up to 20; a changed old leaf or a foreign proof fails."""
    for size in range(21):
        leaves = numbered(size)
        root = root_of(leaves)
        for old in range(size + 1):
            proof, old_root = HashTree(leaves).consistency(old), root_of(leaves[:old])
            assert is_consistent(old, old_root, size, root, proof)
            if old > 0:
                other = root_of([leaf_hash(b"other"), *leaves[1:old]])
                assert not is_consistent(old, other, size, root, proof)
            if 0 < old < size:
                assert not is_consistent(old, old_root, size, root, proof[:-1])
                assert not is_consistent(old, old_root, size, root, [*proof, root])
    assert not is_consistent(3, ROOTS[3].encode(), 2, ROOTS[2].encode(), [])


def test_proofs_of_leaves_that_do_not_exist_are_refused() -> None:
    """IndexError, not a wrong proof."""
    with pytest.raises(IndexError):
        HashTree(LEAVES).inclusion(8)
    with pytest.raises(IndexError):
        HashTree(LEAVES).consistency(9)
