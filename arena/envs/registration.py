"""Our environment's name in Gymnasium's registry.

Gymnasium 1.0 dropped the entry points by which a package was found without being imported; what is left is to import
`arena.envs`, or to say `gymnasium.make("arena.envs:lineage/Trader-v0")`.
"""

from gymnasium.envs.registration import register as _enter
from gymnasium.envs.registration import registry

TRADER = "lineage/Trader-v0"


def register() -> None:
    """Enter `lineage/Trader-v0`, once."""
    if TRADER not in registry:
        _enter(
            TRADER,
            entry_point="arena.envs.solo:TraderEnv",
            vector_entry_point="arena.envs.solo_vector:TraderVectorEnv",
        )
