"""The bundled signals: three small models fitted walk-forward, each only ever on what had already happened."""

import numpy as np

from arena.envs.trader.columns import N_FEATURES, N_SIGNALS
from arena.envs.trader.models import Classifier, fit_logistic, fit_neighbours, fit_stumps
from arena.errors import ConfigError

_FITS = (fit_logistic, fit_neighbours, fit_stumps)


class WalkForwardSignals:
    """P(the close in `horizon` bars is higher) by logistic regression, nearest neighbours and boosted stumps.

    Every `refit_every` bars each market's models are fitted anew to its last `memory` bars whose outcome is known by
    then: a row of bar s counts once bar s + horizon has closed. Before `least` such rows exist the answer is .5.
    """

    def __init__(self, horizon: int = 10, *, refit_every: int = 100, memory: int = 1000, least: int = 150) -> None:
        """Check the numbers; `reset` opens the episode."""
        for name, value, lowest in (
            ("horizon", horizon, 1), ("refit_every", refit_every, 1), ("least", least, 20), ("memory", memory, least),
        ):  # fmt: skip
            if value < lowest:
                raise ConfigError(f"signals.{name}: {value} is below {lowest}; raise it")
        self.horizon, self._refit_every, self._memory, self._least = horizon, refit_every, memory, least

    def reset(self, markets: int) -> None:
        """Forget every bar and every model."""
        self._features: list[np.ndarray] = []  # of [M,23], one a bar
        self._closes: list[np.ndarray] = []  # of [M]
        self._models: list[tuple[np.ndarray, np.ndarray, tuple[Classifier, ...]]] = []
        self._markets, self._seen = markets, 0

    def predict(self, features: np.ndarray, close: np.ndarray) -> np.ndarray:
        """Take in a bar and return [M,3]."""
        self._features.append(features.copy())
        self._closes.append(close.copy())
        self._seen += 1
        keep = self._memory + self.horizon
        if len(self._closes) > 2 * keep:
            del self._features[:-keep], self._closes[:-keep]
        ready = self._seen - self._least - self.horizon
        if ready >= 0 and ready % self._refit_every == 0:
            self._models = [self._fit(market) for market in range(self._markets)]
        if not self._models:
            return np.full((self._markets, N_SIGNALS), 0.5)
        return np.array([
            [model((row - centre) / unit) for model in models]
            for row, (centre, unit, models) in zip(features, self._models, strict=True)
        ])  # fmt: skip

    def _fit(self, market: int) -> tuple[np.ndarray, np.ndarray, tuple[Classifier, ...]]:
        """Return centre [23], unit [23] and the three models of one market."""
        x, y = self.training_set(market)
        centre, unit = x.mean(axis=0), x.std(axis=0) + 1e-9
        scaled = (x - centre) / unit
        return centre, unit, tuple(fit(scaled, y) for fit in _FITS)

    def training_set(self, market: int) -> tuple[np.ndarray, np.ndarray]:
        """Return X [n,23] and y [n] of the bars whose outcome is known now."""
        last = len(self._closes) - self.horizon
        first = max(last - self._memory, 0)
        closes = np.array([close[market] for close in self._closes[first:]])
        x = np.array([row[market] for row in self._features[first:last]]).reshape(-1, N_FEATURES)
        return x, (closes[self.horizon :] > closes[: -self.horizon]).astype(np.float64)
