"""One agent as an object, for people: reads the arrays, holds no state, refuses to speak for the dead."""

from typing import TYPE_CHECKING

import mesa

from arena.body.state import APPRENTICE, ESTATE
from arena.errors import StaleAgentError

if TYPE_CHECKING:
    from lineage.world import World


class AgentView(mesa.Agent):  # type: ignore[misc]  # mesa ships no types
    """A living agent seen through Mesa's eyes; every property reads the world's arrays.

    Raises StaleAgentError from every property once the agent is dead.
    """

    def __init__(self, world: "World", agent_id: int, seat: int) -> None:
        # Not calling Agent.__init__: Mesa 3.3 counts ids in a class-level dict that keeps every model alive.
        self.model = world
        self.unique_id = agent_id
        self.pos = None
        self._seat = seat
        world.register_agent(self)

    @property
    def seat(self) -> int:
        """The array row that this agent occupies for life."""
        bodies = self.model.arena.bodies
        gone = int(bodies.agent_id[self._seat]) != self.unique_id
        if gone or int(bodies.status[self._seat]) == ESTATE:
            raise StaleAgentError(
                f"agent {self.unique_id} is dead; its history is in the run's database, not in the arena"
            )
        return self._seat

    @property
    def market(self) -> int:
        """Index of the agent's market."""
        return self.seat // int(self.model.arena.seats)

    @property
    def mind(self) -> str:
        """"dqn" or the name of a scripted strategy."""
        return self.model.minds.kind_name(self.seat)

    @property
    def apprentice(self) -> bool:
        """Whether the agent still trades on paper."""
        return int(self.model.arena.bodies.status[self.seat]) == APPRENTICE

    @property
    def equity(self) -> float:
        """Equity in cash units, marked at the last close."""
        return float(self.model.arena.bodies.equity[self.seat])

    @property
    def cash(self) -> float:
        """Cash in cash units."""
        return float(self.model.arena.bodies.cash[self.seat])

    @property
    def shares(self) -> float:
        """Shares held."""
        return float(self.model.arena.bodies.shares[self.seat])

    @property
    def drawdown(self) -> float:
        """Drawdown from the peak as a fraction."""
        return float(self.model.arena.bodies.drawdown[self.seat])

    @property
    def damage(self) -> int:
        """Damage points, birthmark included; they only grow."""
        return int(self.model.arena.bodies.damage[self.seat])

    @property
    def scars(self) -> int:
        """Scars received in life."""
        return int(self.model.arena.bodies.scars[self.seat])

    @property
    def age_rounds(self) -> int:
        """Rounds since birth."""
        return int(self.model.arena.bodies.age_rounds[self.seat])

    @property
    def paper_ruins(self) -> int:
        """Paper accounts that the agent lost as an apprentice."""
        return int(self.model.arena.bodies.paper_ruins[self.seat])

    @property
    def offspring(self) -> int:
        """Children so far."""
        return int(self.model.arena.bodies.offspring[self.seat])

    @property
    def genes(self) -> dict[str, float]:
        """The genome by name."""
        return self.model.minds.genes_of(self.seat)

    @property
    def generation(self) -> int:
        """Births between the founder and this agent."""
        return self.model.family[self.unique_id].depth
