"""Many traders at once, each alone in a market of its own: what `gymnasium.make_vec("lineage/Trader-v0")` returns.

One array operation serves all markets. A sub-environment with seed s plays the episode of `TraderEnv` with seed s, to
rounding.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from arena.envs import auditing
from arena.envs.episodes import Episodes
from arena.envs.rewards7 import COMPONENTS
from arena.envs.risk_manager import EVENTS
from arena.envs.solo import recorded_of, with_steps
from arena.envs.trader.columns import Observation, action_space, observation_space
from arena.envs.trader.config import TraderConfig, trader_config
from arena.envs.trader.desk import Desk, Played
from arena.envs.trader.normalise import bound
from arena.envs.trader.signals import SignalProvider, provider_of
from arena.envs.vector import checked_actions
from arena.errors import ActionError, ConfigError
from arena.market.tape import Tape


class TraderVectorEnv(VectorEnv[Observation, np.ndarray, np.ndarray]):
    """`num_envs` traders of one configuration; autoreset in the next step.

    Arguments as for TraderEnv; with a tape each trader has a window of its own. All markets open together and last
    `max_steps` bars. A trader who is ruined before is terminated; in the next step its position is sold, its action
    ignored, and a fresh trader with a new endowment goes on in the same market, for the bars that are left.
    infos: `action_mask` [N,7] i8, `equity`, `price`, `fee` [N], `invalid` [N] bool, `reward` {component: [N]} and
    `risk_events` {name: [N] bool}.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class declares it so
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [],
    }

    def __init__(
        self,
        num_envs: int = 1,
        config: TraderConfig | Mapping[str, Any] | str | None = None,
        *,
        max_steps: int | None = None,
        tape: Tape | None = None,
        sentiment: np.ndarray | None = None,
        signals: SignalProvider | None = None,
    ) -> None:
        """Check everything; the first markets are opened by `reset`."""
        if num_envs < 1:
            raise ConfigError(f"num_envs: {num_envs} is below 1; ask for one market or more")
        self.config = with_steps(trader_config(config), max_steps)
        self.num_envs = num_envs
        self.single_observation_space = observation_space(bound(self.config.normalisation))
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._sentiment = sentiment
        self._signals, self._recorded = provider_of(signals), recorded_of(self.config, tape, sentiment)
        self._episodes = [Episodes() for _ in range(num_envs)]
        self.desk: Desk | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin new episodes everywhere; seed s gives sub-environment i the seed s + i, a list one to each."""
        if isinstance(seed, list) and len(seed) != self.num_envs:
            raise ConfigError(f"reset: {len(seed)} seeds for {self.num_envs} markets; give one seed, or one for each")
        if isinstance(seed, list):
            super().reset()
            seeds = seed
        else:
            first = None if seed is None else Episodes().next_seed(seed)
            super().reset(seed=first)
            seeds = [None if first is None else first + offset for offset in range(self.num_envs)]
        own = [episodes.next_seed(one) for episodes, one in zip(self._episodes, seeds, strict=True)]
        self.desk = Desk(self.config, own, self._recorded, self._signals)
        self._gone = np.zeros(self.num_envs, dtype=bool)  # ruined in the last step: the next one seats a fresh trader
        return self.desk.observe(), _infos(self.desk, None)

    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one bar with actions [N]; returns observations, rewards [N] f64, terminations, truncations, infos."""
        desk = self._opened()
        chosen = checked_actions(actions, self.num_envs)
        if desk.bars_left == 0:
            observations, infos = self.reset()
            quiet = np.zeros(self.num_envs, dtype=bool)
            return observations, np.zeros(self.num_envs), quiet, quiet.copy(), infos
        fresh = np.flatnonzero(self._gone)
        played = desk.step(np.where(self._gone, 0, chosen))
        for market in fresh:
            desk.replace(int(market))
        if len(fresh):
            played.parts[:, fresh] = 0.0
            played.reward[fresh] = 0.0
            played.events[fresh] = False
        terminations = played.ruined & ~self._gone
        truncations = ~terminations if desk.bars_left == 0 else np.zeros(self.num_envs, dtype=bool)
        for market in np.flatnonzero(terminations):
            desk.bury(int(market))
        self._gone = terminations
        return desk.observe(), played.reward, terminations, truncations, _infos(desk, played)

    def action_masks(self) -> np.ndarray:
        """Return [N,7] bool, what is legal now."""
        legal: np.ndarray = self._opened().mask.copy()
        return legal

    def change_future(self, after: int) -> None:
        """Right after `reset`: let everything later than tick `after` be different (see arena.envs.auditing)."""
        self._opened().change_future(after, self._sentiment)

    def books(self) -> dict[str, tuple[float, float]]:
        """Return {account: (have, should)} of every market."""
        return auditing.books(self._opened())

    def _opened(self) -> Desk:
        if self.desk is None:
            raise ActionError("the markets are not open: reset first")
        return self.desk

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the markets."""
        self.desk = None


def _infos(desk: Desk, played: Played | None) -> dict[str, Any]:
    infos: dict[str, Any] = {"action_mask": desk.mask.astype(np.int8), "equity": desk.bodies.equity.copy()}
    if played is not None:
        infos["reward"] = dict(zip(COMPONENTS, played.parts, strict=True))
        infos["risk_events"] = dict(zip(EVENTS, played.events.T, strict=True))
        infos["price"], infos["fee"] = played.price, played.fills.fee
        infos["invalid"] = played.orders.illegal
    return infos
