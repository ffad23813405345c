"""The Merkle tree of RFC 9162 (and RFC 6962) over leaf hashes that somebody else computed.

leaf = SHA-256(0x00 || data), node = SHA-256(0x01 || left || right), the empty root is SHA-256("").
Hashes are 32 raw bytes here; hex lives in the database and in payloads.
"""

import hashlib
from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = hashlib.sha256(b"").digest()
_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162, section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The right-hand edge of a growing tree: append in amortised O(1), root in O(log n)."""

    def __init__(self) -> None:
        """Start empty."""
        self._size = 0
        self._peaks: list[bytes] = []  # roots of the perfect subtrees, largest first

    @property
    def size(self) -> int:
        """Return the number of leaves so far."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash (32 bytes)."""
        node, size = leaf, self._size
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self._size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes (32 bytes each): the same as appending one after another, but level by level."""
        nodes, passed, cut = list(leaves), self._size, list[bytes]()
        self._size += len(nodes)
        while nodes:
            if passed & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                cut.append(nodes.pop())  # nobody beside it yet: the peak of this level
            pairs = iter(nodes)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            passed >>= 1
        self._peaks += reversed(cut)

    def root(self) -> bytes:
        """Return the root over all leaves so far; SHA-256("") when there are none."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over `leaves` (leaf hashes, 32 bytes each)."""
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


def _split(size: int) -> int:
    """Largest power of two below `size`, for size >= 2."""
    return 1 << ((size - 1).bit_length() - 1)


class HashTree:
    """All nodes over a fixed number of leaves: hashed once, any number of proofs; 64 bytes a leaf.

    Level k holds the roots over leaves [i 2^k, (i+1) 2^k), cut off at the end; a node without a sibling moves up as
    it is, which gives the tree of the RFC.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Hash the tree over `leaves` (leaf hashes, 32 bytes each)."""
        level = bytearray().join(leaves)
        self.size = len(level) // _BYTES
        self._levels = [level]
        while len(level) > _BYTES:
            whole = len(level) - len(level) % (2 * _BYTES)
            pairs = (level[at : at + 2 * _BYTES] for at in range(0, whole, 2 * _BYTES))
            level = bytearray().join([hashlib.sha256(b"\x01" + pair).digest() for pair in pairs]) + level[whole:]
            self._levels.append(level)

    def _node(self, low: int, high: int) -> bytes:
        """Return the root over leaves [low, high), a range that the tree halves into."""
        height = (high - low - 1).bit_length()
        at = (low >> height) * _BYTES
        return bytes(self._levels[height][at : at + _BYTES])

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, over all of them when None. Raises IndexError."""
        if size is None or size == self.size:
            return self._node(0, self.size) if self.size else EMPTY_ROOT
        self._check_size(size)
        node, end = b"", size
        while end:
            low = end & (end - 1)  # without its last bit: the smallest perfect subtree ends at `end`
            peak = self._node(low, end)
            node = node_hash(peak, node) if node else peak
            end = low
        return node or EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """Return the audit path of leaf `index` (RFC 9162, section 2.1.3.1). Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} is not among {self.size} leaves")
        path: list[bytes] = []
        low, high = 0, self.size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._node(middle, high))
                high = middle
            else:
                path.append(self._node(low, middle))
                low = middle
        path.reverse()
        return path

    def consistency(self, old_size: int) -> list[bytes]:
        """Return the proof that the tree of the first `old_size` leaves is a prefix (section 2.1.4.1)."""
        self._check_size(old_size)
        proof: list[bytes] = []
        if old_size in (0, self.size):
            return proof
        low, high, whole = 0, self.size, True
        while old_size != high:
            middle = low + _split(high - low)
            if old_size <= middle:
                proof.append(self._node(middle, high))
                high = middle
            else:
                proof.append(self._node(low, middle))
                low, whole = middle, False
        if not whole:
            proof.append(self._node(low, high))
        proof.reverse()
        return proof

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise IndexError(f"size {size} is not within {self.size} leaves")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an audit path leads to, None when the path has the wrong length.

    RFC 9162, section 2.1.3.2. Whoever keeps a checkpoint compares the result with its root.
    """
    if not 0 <= index < size:
        return None
    node, inner, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if inner & 1 or inner == last:
            node = node_hash(sibling, node)
            while not inner & 1 and inner:
                inner >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        inner >>= 1
        last >>= 1
    return node if last == 0 else None


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` shows that the old tree is a prefix of the new one (section 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # a perfect subtree is its own first node
    if not path:
        return False
    inner, last = old_size - 1, size - 1
    while inner & 1:
        inner >>= 1
        last >>= 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if inner & 1 or inner == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while not inner & 1 and inner:
                inner >>= 1
                last >>= 1
        else:
            new_node = node_hash(new_node, sibling)
        inner >>= 1
        last >>= 1
    return last == 0 and old_node == old_root and new_node == root
