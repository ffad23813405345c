"""Seeds of episodes: a given seed begins a sequence, None continues it."""

import operator
import os
from dataclasses import dataclass, field

from arena import rng
from arena.errors import ConfigError

MAX_SEED = 2**63 - 1


def fresh_root() -> int:
    """Return a seed that nobody chose."""
    return int.from_bytes(os.urandom(8), "little") >> 1


@dataclass(slots=True)
class Episodes:
    """What a sequence of `reset` calls has come to."""

    root: int = field(default_factory=fresh_root)
    count: int = 0

    def next_seed(self, seed: int | None) -> int:
        """Return the seed of the next episode: `seed` itself, or the next of the sequence that the last one began."""
        if seed is not None:
            try:
                number = operator.index(seed)
            except TypeError:
                number = -1
            if not 0 <= number <= MAX_SEED:
                raise ConfigError(f"reset: seed {seed!r} is not an integer in 0..2^63-1")
            self.root, self.count = number, 0
            return self.root
        self.count += 1
        return int(rng.stream(self.root, "episode", self.count).integers(0, MAX_SEED))
