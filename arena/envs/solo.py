"""A trader alone in its market: `gymnasium.make("lineage/Trader-v0")`.

    import gymnasium, arena.envs
    env = gymnasium.make("lineage/Trader-v0", config="easy")

What it sees, can do and is paid for: arena.envs.trader.columns, arena.spec, arena.envs.rewards7. On a synthetic market
its own orders move the price; on a tape an episode is a window of the recorded bars and fills are at their opens.
"""

from collections.abc import Mapping
from typing import Any, Final

import gymnasium
import msgspec
import numpy as np

from arena import spec
from arena.envs import auditing
from arena.envs.episodes import Episodes
from arena.envs.rewards7 import COMPONENTS
from arena.envs.risk_manager import names_of
from arena.envs.trader.columns import Observation, action_space, observation_space
from arena.envs.trader.config import TraderConfig, trader_config, warmup_bars
from arena.envs.trader.desk import Desk, Played, Recorded
from arena.envs.trader.normalise import bound
from arena.envs.trader.sight import TapeBook
from arena.envs.trader.signals import SignalProvider, provider_of
from arena.errors import ActionError, ConfigError
from arena.market.tape import Tape

RENDER_MODES: Final = ("ansi",)


class TraderEnv(gymnasium.Env[Observation, Any]):
    """One account in one market, from an endowment to its ruin (terminated) or the last bar (truncated).

    config: a TraderConfig, nested plain values of its fields, or the name of a preset ("default", "easy", "null",
    "crisis"). max_steps: bars in an episode, instead of config's. tape: recorded bars instead of a synthetic market;
    sentiment: [T] a number in [-1, 1] known at each of its closes. signals: three probabilities, .5 without.
    info: `action_mask` [7] i8; `reward` {component: value before its weight}; `risk_events` (names of
    risk_manager.EVENTS); `equity`, `price` of the last auction, `fee` and `invalid` (the action executed as HOLD).
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}  # noqa: RUF012 - as declared there

    def __init__(
        self,
        config: TraderConfig | Mapping[str, Any] | str | None = None,
        *,
        max_steps: int | None = None,
        tape: Tape | None = None,
        sentiment: np.ndarray | None = None,
        signals: SignalProvider | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Check everything; the first market is opened by `reset`."""
        self.config = with_steps(trader_config(config), max_steps)
        if render_mode not in (None, *RENDER_MODES):
            raise ConfigError(f"render_mode: {render_mode!r} is none of {', '.join(RENDER_MODES)}")
        self.render_mode = render_mode
        self.observation_space = observation_space(bound(self.config.normalisation))
        self.action_space = action_space()
        self._sentiment, self._signals = sentiment, provider_of(signals)
        self._recorded = recorded_of(self.config, tape, sentiment)
        self._episodes = Episodes()
        self._over = True
        self.desk: Desk | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the same seed gives the same market (on a tape: window), None continues the sequence."""
        own = self._episodes.next_seed(seed)
        super().reset(seed=seed)
        self.desk = Desk(self.config, [own], self._recorded, self._signals)
        self._over = False
        return _first(self.desk.observe()), self._info(self.desk, None)

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one bar; an action that the mask forbids executes as HOLD.

        Raises ActionError, with nothing changed, before `reset`, after the end, and for anything but 0..6.
        """
        desk = self._opened()
        if self._over:
            raise ActionError("step: the episode is over; reset first")
        played = desk.step(np.array([checked_action(action)]))
        terminated = bool(played.ruined[0])
        truncated = not terminated and desk.bars_left == 0
        self._over = terminated or truncated
        return _first(desk.observe()), float(played.reward[0]), terminated, truncated, self._info(desk, played)

    def action_masks(self) -> np.ndarray:
        """Return [7] bool, what is legal now: what sb3-contrib's MaskablePPO asks."""
        legal: np.ndarray = self._opened().mask[0].copy()
        return legal

    @staticmethod
    def _info(desk: Desk, played: Played | None) -> dict[str, Any]:
        info: dict[str, Any] = {
            "action_mask": desk.mask[0].astype(np.int8),
            "equity": float(desk.bodies.equity[0]),
            "risk_events": (),
        }
        if played is not None:
            info["reward"] = dict(zip(COMPONENTS, played.parts[:, 0].tolist(), strict=True))
            if played.events.any():
                info["risk_events"] = names_of(played.events[0])
            info["price"] = float(played.price[0])
            info["fee"] = float(played.fills.fee[0])
            info["invalid"] = bool(played.orders.illegal[0])
        return info

    def render(self) -> str | None:
        """Return one line of text with `render_mode="ansi"`, else None."""
        if self.render_mode != "ansi":
            return None
        desk = self._opened()
        bodies, close = desk.bodies, float(desk.sight.close[0])
        held = float(bodies.shares[0]) * close / max(float(bodies.equity[0]), 1e-9)
        return (
            f"{desk.bars_left} bars left  price {close:.4f}  equity {float(bodies.equity[0]):.2f}  "
            f"invested {held:.1%}  trades {int(bodies.closed_trades[0])}"
        )

    def close(self) -> None:
        """Let go of the market; `reset` may follow."""
        self.desk = None
        self._over = True

    def change_future(self, after: int) -> None:
        """Right after `reset`: let everything later than tick `after` be different (see arena.envs.auditing)."""
        self._opened().change_future(after, self._sentiment)

    def books(self) -> dict[str, tuple[float, float]]:
        """Return {account: (have, should)}."""
        return auditing.books(self._opened())

    def _opened(self) -> Desk:
        if self.desk is None:
            raise ActionError("the market is not open: reset first")
        return self.desk


def with_steps(config: TraderConfig, max_steps: int | None) -> TraderConfig:
    """Return the configuration with another length of episodes. Raises ConfigError."""
    if max_steps is None:
        return config
    plain = msgspec.to_builtins(config)
    return trader_config(plain | {"max_steps": max_steps})


def recorded_of(config: TraderConfig, tape: Tape | None, sentiment: np.ndarray | None) -> Recorded | None:
    """Return a tape with all that is seen of it, None without a tape. Raises ConfigError or DataError."""
    if tape is None:
        if config.market.source == "tape":
            raise ConfigError("market.source: 'tape' needs recorded bars; give tape=arena.market.tape.read_tape(path)")
        if sentiment is not None:
            raise ConfigError("sentiment: belongs to the bars of a tape; give a tape, or no sentiment")
        return None
    if not isinstance(tape, Tape):
        raise ConfigError(f"tape: {tape!r} is no Tape; give arena.market.tape.read_tape(path)")
    return Recorded(tape, TapeBook(tape, config, warmup_bars(config), sentiment))


def checked_action(action: Any) -> int:
    """Return an action as an int, or raise ActionError."""
    value = np.asarray(action)
    if value.shape != () or value.dtype.kind not in "iu":
        raise ActionError(f"step: action {action!r} is no integer; give one of 0..{spec.N_ACTIONS - 1}")
    if not 0 <= int(value) < spec.N_ACTIONS:
        raise ActionError(f"step: action {int(value)} is not in 0..{spec.N_ACTIONS - 1}; sample env.action_space")
    return int(value)


def _first(observation: Observation) -> Observation:
    return {name: block[0] for name, block in observation.items()}
