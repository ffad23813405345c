"""Three small classifiers in numpy: logistic regression, nearest neighbours, boosted stumps.

Each `fit_*` takes X [n,F] f64, standardised, and y [n] in {0, 1}, and returns a function from x [F] to P(y = 1).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Classifier = Callable[[np.ndarray], float]

_RIDGE = 10.0
"""Penalty on squared weights: features are many and correlated, bars are few."""
_NEWTON_STEPS = 8
_NEIGHBOURS = 31
_ROUNDS = 24
_SHRINK = 0.15
_CUTS = np.linspace(0.1, 0.9, 9)
"""Quantiles of a feature that a stump may split at."""


def fit_logistic(x: np.ndarray, y: np.ndarray) -> Classifier:
    """Ridge-penalised logistic regression by Newton's method (Hastie, Tibshirani & Friedman 2009, section 4.4)."""
    table = np.column_stack((np.ones(len(x)), x))
    penalty = np.full(table.shape[1], _RIDGE)
    penalty[0] = 1e-3
    weights = np.zeros(table.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(table @ weights)
        slope = table.T @ (y - p) - penalty * weights
        curvature = (table.T * (p * (1.0 - p))) @ table + np.diag(penalty)
        weights = weights + np.linalg.solve(curvature, slope)
    return lambda row: float(_sigmoid(weights[0] + row @ weights[1:]))


def fit_neighbours(x: np.ndarray, y: np.ndarray) -> Classifier:
    """The share of ones among the nearest rows, with one more of each class (Laplace's rule)."""
    count = min(_NEIGHBOURS, len(x))

    def predict(row: np.ndarray) -> float:
        away = ((x - row) ** 2).sum(axis=1)
        nearest = np.argsort(away, kind="stable")[:count]
        return float((y[nearest].sum() + 1.0) / (count + 2.0))

    return predict


def fit_stumps(x: np.ndarray, y: np.ndarray) -> Classifier:
    """Gradient boosting of two-leaf trees on the log-loss (Friedman 2001, algorithm 5)."""
    cuts = np.quantile(x, _CUTS, axis=0)  # [9,F]
    left = (x[:, None, :] <= cuts).reshape(len(x), -1).astype(np.float64)  # [n,9F]
    sizes = left.sum(axis=0)
    base = np.log((y.mean() + 1e-3) / (1.0 - y.mean() + 1e-3))
    score = np.full(len(x), base)
    stumps = []
    for _ in range(_ROUNDS):
        p = _sigmoid(score)
        residual, curve = y - p, p * (1.0 - p)
        pull, bend = left.T @ residual, left.T @ curve
        rest, rest_bend = residual.sum() - pull, curve.sum() - bend
        gain = pull**2 / (bend + 1.0) + rest**2 / (rest_bend + 1.0)
        best = int(np.argmax(np.where((sizes > 0) & (sizes < len(x)), gain, -1.0)))
        low, high = _SHRINK * pull[best] / (bend[best] + 1.0), _SHRINK * rest[best] / (rest_bend[best] + 1.0)
        cut, column = divmod(best, x.shape[1])
        stumps.append((column, float(cuts[cut, column]), float(low), float(high)))
        score = score + np.where(left[:, best] > 0.0, low, high)

    def predict(row: np.ndarray) -> float:
        votes = sum(low if row[column] <= cut else high for column, cut, low, high in stumps)
        return float(_sigmoid(base + votes))

    return predict


def _sigmoid(z: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * z))
