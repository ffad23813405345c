"""Configuration of the world: market, costs, scars, life, reward. Every field says its unit."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]

MarketSource = Literal["franke_westerhoff", "gbm", "tape"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all configuration sections: frozen, strict, keyword-only."""


class ArenaConfig(Section, frozen=True):
    """Size of the world and of its round."""

    markets: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Markets, each with its own seats, house and estate."""
    seats: Annotated[int, Meta(ge=1, le=65536)] = 64
    """Seats in each market."""
    ticks_per_round: Annotated[int, Meta(ge=1, le=10000)] = 40
    """Ticks in a round."""


class MarketConfig(Section, frozen=True):
    """Price formation of every market."""

    source: MarketSource = "franke_westerhoff"
    """Where the background reservation price comes from."""
    impact_bps: NonNegative = 4.0
    """Price move of one full-size order of a fresh agent, basis points at any price; 0 = no impact (pure replay)."""
    collar: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.10
    """Largest |ln price - reservation price|; beyond it the heavy side is rationed."""
    start_price: Positive = 100.0
    """First price, cash units a share."""
    drift: NonNegative = 0.002
    """|log drift| a tick, g0; its sign follows a two-state Markov chain. gbm at 0: the price is a martingale."""
    drift_stay: Fraction = 0.99
    """Probability that the drift keeps its sign from one tick to the next."""
    volatility: Positive = 0.01
    """gbm: standard deviation of the log return a tick; volume model: the typical |return|."""
    tail_df: Annotated[float, Meta(gt=2.0)] = 4.0
    """franke_westerhoff: degrees of freedom of the unit-variance Student-t shocks."""
    sub_ticks: Annotated[int, Meta(ge=1, le=64)] = 4
    """Auctions in one bar: the opening one with agents, the rest background only."""
    warmup_bars: Annotated[int, Meta(ge=128, le=100000)] = 256
    """Bars that pass before the first agent acts, so that every indicator is defined."""
    crisis_hazard: Fraction = 0.0
    """Probability a tick that a crisis begins."""
    crisis_jump: Annotated[float, Meta(ge=-1.0, le=0.0)] = -0.08
    """Log jump of the reservation price at the onset of a crisis."""
    crisis_volatility: Annotated[float, Meta(ge=1.0, le=10.0)] = 2.5
    """Factor on the shocks while a crisis lasts."""
    crisis_ticks: Positive = 40.0
    """Mean length of a crisis, ticks."""
    tape_name: str = ""
    """tape: file name of the recorded bars, kept in the run's directory."""
    tape_sha256: str = ""
    """tape: SHA-256 of the file's bytes, so that the same history means the same prices."""
    tape_skip_bad: bool = False
    """tape: drop and count bad rows instead of stopping."""


class BodyConfig(Section, frozen=True):
    """Accounts and what things cost."""

    endowment: Positive = 10_000.0
    """W0: what every agent starts real trading with, cash units."""
    fee_bps: Annotated[float, Meta(ge=0.0, le=1000.0)] = 2.0
    """Fee on the notional of each fill, basis points, before the damage multiplier."""
    living_cost_bps: Annotated[float, Meta(ge=0.0, le=5000.0)] = 20.0
    """Living cost a round, basis points of the endowment, before the damage multiplier."""
    wealth_cost_bps: Annotated[float, Meta(ge=0.0, le=5000.0)] = 10.0
    """Living cost a round on equity above the endowment, basis points, before the multiplier."""
    aging_rounds: NonNegative = 150.0
    """Age at which living costs twice as much as at birth, growing linearly; 0 = age costs nothing."""
    min_notional: NonNegative = 10.0
    """Smallest order and smallest rest of a position, cash units."""
    max_weight: Fraction = 1.0
    """Largest share of equity in the position of an undamaged agent."""


class ScarConfig(Section, frozen=True):
    """What leaves a scar and what a scar does."""

    minor_points: Count = 1
    moderate_points: Count = 5
    severe_points: Count = 20
    fatal_points: Count = 100
    drawdown_step: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.12
    """Drawdown of one step below the peak: 1st step minor, 2nd moderate, further ones severe."""
    slippage_limit: Positive = 0.02
    """A fill further than this from the reservation price scars (minor)."""
    crash_return: Annotated[float, Meta(lt=0.0)] = -0.06
    """A log return of a bar at or below this, while invested, scars (moderate)."""
    fee_burden_bps: Positive = 100.0
    """Trading costs of one round at or above this share of equity scar (minor)."""
    heritability: Fraction = 0.25
    """Share of the parent's damage that a child is born with."""
    buy_large_limit: Count = 20
    """From this damage on BUY_LARGE is no longer possible."""
    add_limit: Count = 50
    """From this damage on ADD_TO_POSITION is no longer possible."""


class LifeConfig(Section, frozen=True):
    """Birth, apprenticeship and death."""

    ruin_fraction: Fraction = 0.5
    """Equity under this share of the endowment at a round's end is bankruptcy."""
    max_age_rounds: Count = 0
    """Age in rounds since birth at which an agent retires; 0 = never."""
    spawn_wealth: Annotated[float, Meta(gt=1.0)] = 2.0
    """A parent needs this many endowments of equity, and one endowment in cash."""
    spawn_min_trades: Count = 10
    """Closed real trades that a parent needs."""
    spawn_min_win_rate: Fraction = 0.4
    """Share of won trades that a parent needs."""
    spawn_max_severe: Count = 3
    """A parent has fewer severe scars than this."""
    spawn_cooldown_rounds: Count = 40
    """Rounds between two births of one parent."""
    dispersal: Fraction = 0.1
    """Probability that a child is born in another market."""
    founder_apprentice_rounds: Count = 60
    """Rounds on paper for founders and immigrants."""
    heir_apprentice_rounds: Count = 5
    """Rounds on paper for heirs."""
    founders_fraction: Fraction = 0.75
    """Share of the seats taken by founders at the start."""
    immigration_per_round: NonNegative = 0.1
    """Most immigrants a round and market, paid by the estate; the fraction is a probability."""
    patron: bool = False
    """Whether a patron may pay for immigrants when the estate cannot."""


class RewardConfig(Section, frozen=True):
    """Reward of one tick; the default's weights are genes."""

    preset: Literal["log_equity", "lineage5"] = "log_equity"
    reference_volatility: Positive = 0.01
    """Log-equity changes are measured in this unit."""
    clip: Positive = 5.0
    """Bound of the summed reward, both signs."""
    benchmark_weight: Fraction = 0.0
    """log_equity: growth counts above that of this share of wealth held in the market; .5 halves a learner's noise."""
