"""The stop: decided at a bar's close, filled at the next auction, never at the stop price."""

import numpy as np

from arena.body.state import Bodies


def stop_fires(bodies: Bodies, close: np.ndarray, atr: np.ndarray) -> np.ndarray:
    """Return [P] bool: the close is `stop_atr` average true ranges below the entry price.

    close, atr: [P], cash units a share.
    """
    fires: np.ndarray = (bodies.shares > 0.0) & (close <= bodies.entry_price - bodies.stop_atr * atr)
    return fires
