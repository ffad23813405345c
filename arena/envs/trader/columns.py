"""The tables of the trading environment: what every number of an observation means, its formula, source and bounds.

O, H, L, C, V: the bar's open, high, low, close, volume; P = C_{t-1}; r_t = ln(C_t/P); rms_n = root mean square of the
last n r; E equity, W0 endowment. Only bars up to t are used. Indicators start as TA-Lib's do.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from gymnasium import spaces

from arena import spec


class Feature(NamedTuple):
    """One of the 23 columns of `technical`, before normalisation."""

    name: str
    group: str  # ohlcv, technical, sentiment or temporal
    formula: str
    source: str = ""


class Reading(NamedTuple):
    """One number of another block, with its bounds."""

    name: str
    formula: str
    low: float
    high: float
    source: str = ""


FEATURES: Final = (
    Feature("open", "ohlcv", "ln(O/P)"),
    Feature("high", "ohlcv", "ln(H/P)"),
    Feature("low", "ohlcv", "ln(L/P)"),
    Feature("close", "ohlcv", "ln(C/P)"),
    Feature("volume", "ohlcv", "ln((V+1) / (SMA20(V)+1))"),
    Feature("vwap", "ohlcv", "ln(VWAP/C); on a tape VWAP = (H+L+C)/3"),
    Feature("rsi_14", "technical", "RSI14/50 - 1; 0 without any move", "Wilder 1978; TA-Lib RSI"),
    Feature("macd", "technical", "(EMA12 - EMA26)/C", "Appel 2005; TA-Lib MACD(12,26,9)"),
    Feature("macd_signal", "technical", "EMA9 of MACD, / C", "Appel 2005; TA-Lib MACD(12,26,9)"),
    Feature("macd_histogram", "technical", "(MACD - signal)/C", "Appel 2005; TA-Lib MACD(12,26,9)"),
    Feature("atr_14", "technical", "ATR14/C", "Wilder 1978; TA-Lib ATR"),
    Feature("bollinger_place", "technical", "%b - .5; 0 at no width", "Bollinger 2001; TA-Lib BBANDS(20,2,2)"),
    Feature("bollinger_width", "technical", "(upper - lower)/middle", "Bollinger 2001; TA-Lib BBANDS(20,2,2)"),
    Feature("adx_14", "technical", "ADX14/100", "Wilder 1978; TA-Lib ADX"),
    Feature("direction_14", "technical", "(+DI14 - -DI14)/100", "Wilder 1978; TA-Lib PLUS_DI, MINUS_DI"),
    Feature("stochastic_14", "technical", "fast %K14/50 - 1; 0 without range", "Lane 1984; TA-Lib STOCHF(14,1)"),
    Feature("cci_20", "technical", "CCI20/200, mean absolute deviation, .015", "Lambert 1980; TA-Lib CCI"),
    Feature("mfi_14", "technical", "MFI14/50 - 1; 0 without flow", "Quong & Soudack 1989; TA-Lib MFI"),
    Feature("roc_10", "technical", "C/C_{t-10} - 1", "TA-Lib ROC / 100"),
    Feature("ema_gap_50", "technical", "ln(C/EMA50)", "TA-Lib EMA"),
    Feature("sentiment", "sentiment", "fundamentalists - chartists in bar t; a tape's given column; else 0",
            "Franke & Westerhoff 2012"),
    Feature("time_sin", "temporal", "sin(2 pi phase): phase = hour/24 where bars have a clock, else weekday/7"),
    Feature("time_cos", "temporal", "cos(2 pi phase); without dates a bar is a weekday and bar 0 a Monday"),
)  # fmt: skip

REGIME: Final = (
    Reading("volatility_trend", "tanh ln(rms20/rms100)", -1.0, 1.0),
    Reading("volatility_rank", "2 x share of the last 256 rms20 at or below this one - 1", -1.0, 1.0),
    Reading("range_volatility", "tanh ln(Parkinson20/rms20)", -1.0, 1.0, "Parkinson 1980"),
    Reading("trend_50", "tanh(ln(C/C_{t-50}) / (2 rms50 sqrt 50))", -1.0, 1.0),
    Reading("trend_10", "tanh(ln(C/C_{t-10}) / (rms20 sqrt 10))", -1.0, 1.0),
    Reading("efficiency_20", "ln(C/C_{t-20}) / sum of the last 20 |r|", -1.0, 1.0, "Kaufman 1995"),
    Reading("variance_ratio_5", "VR(5) - 1 of the last 100 r, clipped", -1.0, 1.0, "Lo & MacKinlay 1988"),
    Reading("hurst", "2H - 1 = ln VR(16)/ln 16 of the last 256 r, clipped", -1.0, 1.0, "from Var ~ q^2H"),
    Reading("high_drawdown_100", "max(C / max of the last 100 closes - 1, -.2)/.2", -1.0, 0.0),
    Reading("volume_trend", "tanh ln((SMA5(V)+1)/(SMA50(V)+1))", -1.0, 1.0),
)

POSITION: Final = (
    Reading("entry_gap", "entry price/C - 1, 0 when flat; the entry price contains the fee", -1.0, 5.0),
    Reading("weight", "shares x C / E", 0.0, 1.0),
    Reading("unrealised", "C/entry price - 1, 0 when flat", -1.0, 5.0),
    Reading("holding_time", "min(bars held/240, 1)", 0.0, 1.0),
    Reading("side", "1 while invested, else 0: long only", 0.0, 1.0),
)

PORTFOLIO: Final = (
    Reading("log_wealth", "ln(E/W0)", -5.0, 5.0),
    Reading("drawdown", "1 - E/peak E", 0.0, 1.0),
    Reading("sharpe", "tanh(Sharpe/3), a year's, of the episode so far; 0 before 20 bars", -1.0, 1.0, "Sharpe 1994"),
    Reading("sortino", "tanh(Sortino/3), likewise, target 0", -1.0, 1.0, "Sortino & Price 1994"),
    Reading("realised", "profit of closed trades / W0", -5.0, 5.0),
    Reading("trades", "ln(1 + closed trades)/7", 0.0, 2.0),
    Reading("mean_duration", "min(mean bars of a closed trade/240, 1)", 0.0, 1.0),
    Reading("win_rate", "won / closed trades, 0 without", 0.0, 1.0),
)

N_FEATURES: Final = len(FEATURES)
N_SIGNALS: Final = 3
N_ROWS: Final = 24
"""Bars in `technical`, the oldest first."""
FEATURE_INDEX: Final = {feature.name: index for index, feature in enumerate(FEATURES)}
TIMELESS: Final = tuple(i for i, feature in enumerate(FEATURES) if feature.group != "temporal")
"""Columns that are normalised; the temporal ones are bounded by nature."""
BLOCKS: Final = ("technical", "sl_probs", "position", "portfolio", "regime")
RATIO_BARS: Final = 20
"""Bars that a Sharpe or Sortino ratio needs before it says anything."""


def _box(readings: tuple[Reading, ...]) -> spaces.Box:
    low = np.array([reading.low for reading in readings], dtype=np.float32)
    high = np.array([reading.high for reading in readings], dtype=np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def observation_space(bound: float) -> spaces.Dict:
    """Return the space of one observation; `bound` is what the normalisation keeps `technical` within."""
    return spaces.Dict({
        "technical": spaces.Box(-bound, bound, (N_ROWS, N_FEATURES), np.float32),
        "sl_probs": spaces.Box(0.0, 1.0, (N_SIGNALS,), np.float32),
        "position": _box(POSITION),
        "portfolio": _box(PORTFOLIO),
        "regime": _box(REGIME),
    })  # fmt: skip


def action_space() -> spaces.Discrete:
    """Return the space of one action: arena.spec.ACTIONS."""
    return spaces.Discrete(spec.N_ACTIONS)


Observation = dict[str, Any]
"""{block: array}; single [.] or batched [M,.] f32."""
