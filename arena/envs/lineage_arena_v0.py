"""The environment under the name that PettingZoo's conventions give it.

    from arena.envs import lineage_arena_v0
    env = lineage_arena_v0.parallel_env(max_cycles=500)

Importing it also registers "lineage/arena-v0" with PettingZoo's own `make`, in releases that have a registry (1.27).
"""

import pettingzoo

from arena.envs.parallel import env, parallel_env, raw_env

ID = "lineage/arena-v0"


def _register() -> None:
    """Enter both interfaces into the registry, once."""
    for kind, entry_point in (("parallel", parallel_env), ("aec", env)):
        if ID not in getattr(pettingzoo, f"{kind}_registry"):
            pettingzoo.register(kind, ID, entry_point)


if hasattr(pettingzoo, "register"):  # pettingzoo 1.26 has no registry
    _register()

__all__ = ["ID", "env", "parallel_env", "raw_env"]
