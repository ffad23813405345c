"""Our environments' names in Gymnasium's registry. Light: Gymnasium itself calls this while it is being imported."""

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
