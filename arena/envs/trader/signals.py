"""Supervised probabilities beside the features: who may give them, and what is asked of them."""

from typing import Protocol

import numpy as np

from arena.envs.trader.columns import N_SIGNALS
from arena.errors import ConfigError


class SignalProvider(Protocol):
    """Gives three probabilities a market from what has been seen so far; without one they are .5."""

    def reset(self, markets: int) -> None:
        """Begin an episode of `markets` markets and forget the last one's bars."""

    def predict(self, features: np.ndarray, close: np.ndarray) -> np.ndarray:
        """Take in the bar that closed last and return [M,3], each in [0, 1].

        features: [M,23] before normalisation (arena.envs.trader.columns.FEATURES), close: [M]. On a synthetic market
        called for every bar from the 50th of the warm-up on, the first with all features; on a tape from 256 bars
        before the episode on.
        """


def provider_of(given: SignalProvider | None) -> SignalProvider | None:
    """Return a provider as it is. Raises ConfigError when it lacks what SignalProvider asks for."""
    if given is not None and not (
        callable(getattr(given, "reset", None)) and callable(getattr(given, "predict", None))
    ):
        raise ConfigError(f"signals: {given!r} has no reset(markets) and predict(features, close); give both")
    return given


def checked(probabilities: object, markets: int) -> np.ndarray:
    """Return probabilities as [M,3] f32. Raises ConfigError when a provider gave anything else."""
    try:
        found = np.asarray(probabilities, dtype=np.float32)
    except (TypeError, ValueError):
        raise ConfigError(f"signals: predict returned no numbers; let it return [{markets},{N_SIGNALS}]") from None
    if found.shape != (markets, N_SIGNALS):
        raise ConfigError(f"signals: predict returned shape {found.shape}; let it return [{markets},{N_SIGNALS}]")
    if not ((found >= 0.0) & (found <= 1.0)).all():
        raise ConfigError("signals: predict returned what is no probability; keep every number in [0, 1]")
    return found
