"""Supervised probabilities: .5 without a provider, fitted on the past alone with one, checked whoever gives them."""

from typing import Any

import numpy as np
import pytest

from arena.envs.solo import TraderEnv
from arena.envs.solo_vector import TraderVectorEnv
from arena.envs.trader.models import Classifier, fit_logistic, fit_neighbours, fit_stumps
from arena.envs.trader.walk_forward import WalkForwardSignals
from arena.errors import ConfigError
from arena.spec import HOLD
from tests.traders import BRIEF, tape_of

QUICK: dict[str, Any] = {"horizon": 3, "refit_every": 40, "least": 40}


class Constant:
    """Says the same about every market."""

    def __init__(self, answer: Any) -> None:
        """Take the answer."""
        self.answer = answer

    def reset(self, markets: int) -> None:
        """Nothing to forget."""

    def predict(self, features: np.ndarray, close: np.ndarray) -> Any:
        """Return the answer."""
        return self.answer


def test_without_a_provider_nobody_claims_to_know() -> None:
    """.5, never random."""
    env = TraderEnv(BRIEF)
    assert env.reset(seed=1)[0]["sl_probs"].tolist() == [0.5] * 3
    assert env.step(HOLD)[0]["sl_probs"].tolist() == [0.5] * 3


@pytest.mark.parametrize("source", ["market", "tape"])
def test_bundled_models_speak_once_they_have_seen_enough(source: str) -> None:
    """On both kinds of market the warm-up is enough; probabilities move and differ from one another."""
    tape = tape_of(500) if source == "tape" else None
    env = TraderEnv(BRIEF, signals=WalkForwardSignals(**QUICK), tape=tape)
    seen = [env.reset(seed=1)[0]["sl_probs"], *(env.step(HOLD)[0]["sl_probs"] for _ in range(60))]
    table = np.array(seen)
    assert (table >= 0.0).all() and (table <= 1.0).all() and (table.std(axis=0) > 1e-3).all()
    assert len(np.unique(table[-1])) == 3


def test_training_rows_have_known_outcomes_only() -> None:
    """At bar t the last label is of bar t - horizon: later bars, changed, change no earlier answer."""
    features = np.random.default_rng(0).standard_normal((300, 1, 23))
    close = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).standard_normal((300, 1)), axis=0))
    other = np.vstack((close[:200], close[200:] * np.linspace(2.0, 0.5, 100)[:, None]))
    answers = []
    for closes in (close, other):
        signals = WalkForwardSignals(**QUICK)
        signals.reset(1)
        answers.append(np.array([signals.predict(row, price)[0] for row, price in zip(features, closes, strict=True)]))
    assert np.array_equal(answers[0][:200], answers[1][:200])
    assert not np.array_equal(answers[0][200:], answers[1][200:])
    x, y = signals.training_set(0)
    assert len(x) == len(y) == 300 - 3
    assert np.array_equal(x[-1], features[296, 0]) and y[-1] == float(other[299, 0] > other[296, 0])
    assert (answers[0][:42] == 0.5).all() and (answers[0][42] != 0.5).all()


@pytest.mark.parametrize("fit", [fit_logistic, fit_neighbours, fit_stumps])
def test_each_model_learns_what_there_is_and_no_more(fit: Any) -> None:
    """A threshold in one of 23 columns is found on rows not trained on; a coin is not."""
    draw = np.random.default_rng(3)
    x = draw.standard_normal((900, 23))
    x[:, 5:] *= 0.3
    truth = (x[:, 2] + 0.3 * draw.standard_normal(900) > 0.0).astype(np.float64)
    coin = (draw.random(900) < 0.5).astype(np.float64)

    def score(y: np.ndarray) -> float:
        model: Classifier = fit(x[:600], y[:600])
        return float(
            np.mean([(model(row) > 0.5) == (label > 0.5) for row, label in zip(x[600:], y[600:], strict=True)])
        )

    assert score(truth) > 0.7
    assert 0.4 < score(coin) < 0.6


def test_a_model_of_one_class_says_so_without_breaking() -> None:
    """Every outcome the same: certain, finite."""
    x = np.random.default_rng(0).standard_normal((60, 23))
    for fit in (fit_logistic, fit_neighbours, fit_stumps):
        assert 0.9 < fit(x, np.ones(60))(x[0]) <= 1.0


@pytest.mark.parametrize(
    "answer", [np.full((1, 2), 0.5), np.full((2, 3), 0.5), np.full((1, 3), 1.5), np.full((1, 3), np.nan), "up", None]
)
def test_a_wrong_answer_is_refused(answer: Any) -> None:
    """Whatever a provider returns is checked before an agent sees it."""
    with pytest.raises(ConfigError, match="signals: predict returned"):
        TraderEnv(BRIEF, signals=Constant(answer)).reset(seed=1)


def test_wrong_settings_are_refused() -> None:
    """Each number has its lowest value."""
    for wrong in ({"horizon": 0}, {"refit_every": 0}, {"least": 5}, {"least": 100, "memory": 50}):
        with pytest.raises(ConfigError, match="signals"):
            WalkForwardSignals(**wrong)


def test_batched_markets_have_models_of_their_own() -> None:
    """Sub-environment i gets the answers that it would get alone."""
    batch = TraderVectorEnv(2, BRIEF, signals=WalkForwardSignals(**QUICK))
    alone = TraderEnv(BRIEF, signals=WalkForwardSignals(**QUICK))
    both, one = batch.reset(seed=4)[0]["sl_probs"], alone.reset(seed=5)[0]["sl_probs"]
    np.testing.assert_allclose(both[1], one, atol=1e-5)
    assert not np.allclose(both[0], both[1])
