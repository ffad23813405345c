"""History: events, hash chains, the Merkle tree, the store, checkpoints, verification."""
