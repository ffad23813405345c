"""Pre-trade limits over several instruments held at once: exposure, correlation, value at risk of the whole."""

from typing import Final

import numpy as np

from arena import spec
from arena.envs.risk_manager import BUYS, CORRELATION, EVENTS, EXPOSURE, VALUE_AT_RISK
from arena.envs.trader.config import TraderConfig
from arena.envs.trader.value_at_risk import correlations, standard_draws, value_at_risk

_SIZES: Final = np.array(spec.BUY_FRACTION)  # [A]
_NEAR: Final = 1e-9


class PortfolioRisk:
    """The limits of one book with K instruments; what they mean: RiskLimits of the configuration."""

    def __init__(self, config: TraderConfig, seed: int) -> None:
        """Prepare; seed: of the Monte Carlo draws."""
        self._config, self._limits = config, config.risk
        self._draws = standard_draws(seed, config.market.tail_df, config.risk)

    def refused(self, exposure: np.ndarray, equity: np.ndarray, returns: np.ndarray) -> np.ndarray:
        """Return [K,A] i8: the event (index of EVENTS) that forbids a buy on top of this book, -1 where none does.

        exposure: [K] cash units held of each; equity: [K] of each account; returns: [K,n] of each, the newest last.
        """
        limits, whole = self._limits, float(equity.sum())
        found = np.full((len(exposure), spec.N_ACTIONS), -1, dtype=np.int8)
        if whole <= 0.0:
            return found
        sizes = _SIZES * self._config.position_scale * equity[:, None]  # [K,A] cash units
        if limits.value_at_risk > 0.0:
            weights = np.repeat(exposure[None] / whole, sizes.size, axis=0)  # [K*A,K]
            rows = np.arange(sizes.size)
            weights[rows, rows // spec.N_ACTIONS] += sizes.ravel() / whole
            risk = value_at_risk(weights @ returns, limits, self._draws).reshape(sizes.shape)
            found[risk > limits.value_at_risk] = VALUE_AT_RISK
        if limits.max_exposure > 0.0:
            found[exposure.sum() + sizes > limits.max_exposure * whole * (1.0 + _NEAR)] = EXPOSURE
        if limits.max_correlation > 0.0:
            alike = correlations(returns) > limits.max_correlation
            np.fill_diagonal(alike, False)
            found[(alike & (exposure > 0.0)).any(axis=1)] = CORRELATION
        found[:, ~BUYS] = -1
        return found

    def veto(
        self, actions: np.ndarray, legal: np.ndarray, exposure: np.ndarray, equity: np.ndarray, returns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return actions [K] with HOLD where a limit forbids a buy, and the events [K,E] bool.

        legal: [K,A] bool by each account's own limits. In order: what one may buy depends on what those before it do.
        """
        allowed, events = actions.copy(), np.zeros((len(actions), len(EVENTS)), dtype=bool)
        held = exposure.copy()
        for place, action in enumerate(actions):
            if not (BUYS[action] and legal[place, action]):
                continue
            event = int(self.refused(held, equity, returns)[place, action])
            if event >= 0:
                allowed[place] = spec.HOLD
                events[place, event] = True
            else:
                held[place] += _SIZES[action] * self._config.position_scale * equity[place]
        return allowed, events
