"""Who descends from whom: founder, depth and a jump pointer for everybody ever born."""

from array import array
from typing import NamedTuple

from arena.errors import InvariantError
from lineage.names import clan_name


class Kin(NamedTuple):
    """Place of one agent in its tree."""

    founder: int  # agent_id of the root of its tree, itself for a founder
    depth: int  # births between the founder and the agent
    jump: int  # an ancestor for O(log depth) walks; a founder points to itself


class Family:
    """Parentage of all agents 1, 2, 3... in birth order; 24 bytes an agent.

    Jump pointers are skew-binary (Myers 1983, "An applicative random-access stack"): the jumps of
    a line of depth d reach any ancestor in O(log d) steps, and a birth costs O(1).
    """

    def __init__(self) -> None:
        """Start empty."""
        self._founder = array("q", [0])  # index = agent_id; 0 is nobody
        self._depth = array("q", [0])
        self._jump = array("q", [0])

    def __len__(self) -> int:
        """Return how many agents were ever born; also the newest agent_id."""
        return len(self._depth) - 1

    def __getitem__(self, agent_id: int) -> Kin:
        """Return the place of an agent. Raises InvariantError when it was never born."""
        if not 1 <= agent_id <= len(self):
            raise InvariantError(f"agent {agent_id} was never born; the newest is {len(self)}")
        return Kin(self._founder[agent_id], self._depth[agent_id], self._jump[agent_id])

    def add(self, agent_id: int, parent_id: int | None) -> Kin:
        """Record one birth and return the child's place; ids count up without a gap.

        Raises InvariantError when the id is not the next one or the parent was never born.
        """
        if agent_id != len(self) + 1:
            raise InvariantError(f"agent {agent_id} is born out of order; the next id is {len(self) + 1}")
        if parent_id is None:
            kin = Kin(agent_id, 0, agent_id)
        else:
            if not 1 <= parent_id < agent_id:
                raise InvariantError(f"agent {parent_id} was never born; the newest is {len(self)}")
            depths, jumps = self._depth, self._jump
            above, skip = depths[parent_id], jumps[parent_id]
            further = jumps[skip]
            balanced = above - depths[skip] == depths[skip] - depths[further]
            kin = Kin(self._founder[parent_id], above + 1, further if balanced else parent_id)
        self._founder.append(kin.founder)
        self._depth.append(kin.depth)
        self._jump.append(kin.jump)
        return kin


class ClanNames:
    """Hands out clan names; a second clan of the same name becomes name-2, and so on."""

    def __init__(self) -> None:
        """Start with no name taken."""
        self._taken: dict[str, int] = {}

    def name(self, identity: str) -> str:
        """Return the name of the clan whose founder has this identity (hex)."""
        base = clan_name(identity)
        count = self._taken[base] = self._taken.get(base, 0) + 1
        return base if count == 1 else f"{base}-{count}"
