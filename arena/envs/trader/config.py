"""Configuration of the trading environment; every field says its unit."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from arena.config import BodyConfig, Count, Fraction, MarketConfig, NonNegative, Positive, Section
from arena.envs.trader.columns import N_ROWS
from arena.errors import ConfigError

Normalisation = Literal["zscore", "minmax", "robust"]
VarMethod = Literal["variance_covariance", "historical", "monte_carlo"]

Weight = Annotated[float, Meta(ge=0.0, le=1000.0)]


class RewardWeights(Section, frozen=True):
    """Weights of the seven reward components; as given they sum to .90, and nothing rescales them."""

    profit_and_loss: Weight = 0.40
    transaction_cost: Weight = 0.15
    time_efficiency: Weight = 0.15
    sharpe: Weight = 0.05
    drawdown: Weight = 0.10
    position_sizing: Weight = 0.05
    holding: Weight = 0.0


class RiskLimits(Section, frozen=True):
    """What the risk manager allows; 0 switches a limit off. The position cap is body.max_weight."""

    stop_loss: Fraction = 0.10
    """The position is sold when the close lies this fraction under the entry price."""
    stop_atr: NonNegative = 0.0
    """The same, in average true ranges."""
    max_drawdown: Fraction = 0.25
    """Drawdown of equity at which everything is sold and buying pauses."""
    cooling_bars: Count = 24
    """Auctions without buying after the drawdown limit; drawdown then counts from the equity at which it was hit."""
    trim: bool = True
    """Whether a position that has grown over body.max_weight is sold down to it."""
    value_at_risk: Fraction = 0.0
    """A buy may not bring the one-bar value at risk of the position above this share of equity."""
    var_confidence: Annotated[float, Meta(ge=0.5, lt=1.0)] = 0.95
    """Confidence of the value at risk."""
    var_method: VarMethod = "historical"
    """How the value at risk is computed from the last var_bars returns."""
    var_bars: Annotated[int, Meta(ge=20, le=256)] = 250
    """Returns that the value at risk is computed from."""
    var_draws: Annotated[int, Meta(ge=100, le=100_000)] = 1000
    """monte_carlo: draws."""
    max_exposure: Fraction = 0.0
    """Several instruments: a buy may not bring the value of all positions above this share of all equity."""
    max_correlation: Fraction = 0.0
    """Several instruments: no buy of one whose returns correlate more than this with those of one that is held."""


class TraderConfig(Section, frozen=True):
    """One trader in a market of its own: own impact is real, everything else is background."""

    market: MarketConfig = MarketConfig()
    """Price formation. Recorded bars: give a tape instead of naming the source."""
    body: BodyConfig = BodyConfig(max_weight=0.12)
    """Endowment, fee, smallest order, position cap; living costs are not charged here."""
    rewards: RewardWeights = RewardWeights()
    risk: RiskLimits = RiskLimits()
    position_scale: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    """Multiplies order sizes."""
    max_steps: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    """Bars in an episode; then it is truncated."""
    normalisation: Normalisation = "zscore"
    window: Annotated[int, Meta(ge=16, le=4096)] = 256
    """Bars, the current one included, that a row of features is normalised by."""
    ruin_fraction: Fraction = 0.5
    """Equity under this share of the endowment ends the episode: terminated."""
    reference_volatility: Positive = 0.01
    """Unit of the reward: a bar's typical log return."""
    target_volatility: Positive = 0.001
    """position_sizing: the position's share of equity times rms20 should not exceed this."""
    patience_bars: Count = 24
    """holding: bars of doing nothing while flat before it counts."""
    bars_per_year: Positive = 252.0
    """Annualises the Sharpe and Sortino ratios."""


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "easy": {"market": {"drift": 0.0028}},
    "null": {"market": {"source": "gbm", "drift": 0.0}},
    "crisis": {"market": {"crisis_hazard": 0.002}},
}
"""Configurations by name."""

FIRST_FEATURES: Final = 50
"""Bars before the first on which all 23 features are defined."""
FIRST_REGIME: Final = 280
"""Bars before the first on which all ten regime indicators are: 256 values of rms20, and some."""


def trader_config(given: "TraderConfig | Mapping[str, Any] | str | None") -> TraderConfig:
    """Return a configuration from one, from nested plain values, or from the name of a preset.

    Raises ConfigError naming the field that is unknown or out of its range.
    """
    if isinstance(given, TraderConfig):
        return _sound(given)
    if isinstance(given, str) and given not in PRESETS:
        raise ConfigError(f"config: there is no preset {given!r}; take one of {', '.join(PRESETS)}")
    if not isinstance(given, str | Mapping | None):
        raise ConfigError(f"config: {given!r} is no configuration; give nested plain values, or the name of a preset")
    sections: dict[str, Any] = PRESETS[given] if isinstance(given, str) else dict(given or {})
    if isinstance(sections.get("body"), Mapping):
        sections = sections | {"body": {"max_weight": 0.12} | dict(sections["body"])}
    try:
        return _sound(msgspec.convert(sections, TraderConfig))
    except msgspec.ValidationError as error:
        raise ConfigError(f"config: {error}; see arena.envs.trader.config for names and ranges") from None


def _sound(config: TraderConfig) -> TraderConfig:
    """Return the configuration, or raise ConfigError for what no single field can say."""
    for name, weight in msgspec.structs.asdict(config.rewards).items():
        if not (math.isfinite(weight) and weight >= 0.0):
            raise ConfigError(f"rewards.{name}: {weight} is no weight; give a finite number of at least 0")
    if not any(msgspec.structs.asdict(config.rewards).values()):
        raise ConfigError("rewards: every weight is 0, so no action would matter; raise one")
    return config


def warmup_bars(config: TraderConfig) -> int:
    """Return how many bars pass before the first observation, so that nothing in it is filled in."""
    return max(config.market.warmup_bars, FIRST_FEATURES + config.window + N_ROWS, FIRST_REGIME)
