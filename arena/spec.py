"""The one table of actions and observation columns: names, meanings, formulas, sources.

Axes: M markets, S seats a market, P = M*S seats, D observation columns, A actions.
r_t = ln(C_t / C_{t-1}); sd = square root of the exponentially weighted mean of r^2 (half-life 100 bars; the mean
return counts as 0, as in RiskMetrics 1996; at least 1e-6). An average over n bars that has seen fewer is the plain mean
of those there are, which seeds EMAs and Wilder's averages as TA-Lib does; a span or window that reaches before the
first bar begins at the first bar. Every column is clipped to [-5, 5] and uses bars up to t only.
In the own columns equity counts as at least .001 x endowment.
"""

from typing import Final, NamedTuple

OBSERVATION_VERSION: Final = 1
"""Raised whenever a column changes meaning: policies of another version cannot play."""

CLIP: Final = 5.0


class Action(NamedTuple):
    """One of the discrete actions."""

    name: str
    effect: str


ACTIONS: Final = (
    Action("HOLD", "nothing"),
    Action("BUY_SMALL", "open with .025 x position_scale x equity"),
    Action("BUY_MEDIUM", "open with .06 x position_scale x equity"),
    Action("BUY_LARGE", "open with .09 x position_scale x equity"),
    Action("SELL_PARTIAL", "sell half; everything when the rest would be below the minimum notional"),
    Action("SELL_ALL", "sell everything"),
    Action("ADD_TO_POSITION", "buy .03 x position_scale x equity more"),
)
HOLD, BUY_SMALL, BUY_MEDIUM, BUY_LARGE, SELL_PARTIAL, SELL_ALL, ADD_TO_POSITION = range(7)
N_ACTIONS: Final = len(ACTIONS)

BUY_FRACTION: Final = (0.0, 0.025, 0.06, 0.09, 0.0, 0.0, 0.03)
"""[A] order size as a fraction of position_scale x equity."""

SCAR_KINDS: Final = ("trade_loss", "liquidation", "fee_burden", "stop_loss", "slippage", "market_crash")
TRADE_LOSS, LIQUIDATION, FEE_BURDEN, STOP_LOSS, SLIPPAGE, MARKET_CRASH = range(6)

SEVERITIES: Final = ("minor", "moderate", "severe", "fatal")
MINOR, MODERATE, SEVERE, FATAL = range(4)

DEATH_CAUSES: Final = ("bankrupt", "terminal_damage", "retired")


class Column(NamedTuple):
    """One observation column."""

    name: str
    formula: str
    source: str = ""


MARKET_COLUMNS: Final = (
    Column("return_1", "r_t / sd"),
    Column("return_2", "ln(C_t/C_{t-2}) / (sd sqrt 2)"),
    Column("return_5", "ln(C_t/C_{t-5}) / (sd sqrt 5)"),
    Column("return_10", "ln(C_t/C_{t-10}) / (sd sqrt 10)"),
    Column("return_25", "ln(C_t/C_{t-25}) / (sd sqrt 25)"),
    Column("return_50", "ln(C_t/C_{t-50}) / (sd sqrt 50)"),
    Column("return_100", "ln(C_t/C_{t-100}) / (sd sqrt 100)"),
    Column("ema_gap_10", "ln(C_t/EMA10) / (sd sqrt 10)"),
    Column("ema_gap_25", "ln(C_t/EMA25) / (sd sqrt 25)"),
    Column("ema_gap_50", "ln(C_t/EMA50) / (sd sqrt 50)"),
    Column("ema_gap_100", "ln(C_t/EMA100) / (sd sqrt 100)"),
    Column(
        "drift_filter",
        "2 P(up | r_1..r_t) - 1: two hidden states, stay .99, drift +-.14 sd, Student-t(4) density of r/sd",
        "Hamilton 1989",
    ),
    Column("rsi_14", "RSI14/50 - 1, Wilder smoothing, 0 without any move", "Wilder 1978; TA-Lib RSI"),
    Column("atr_14", "ATR14 / C_t / sd - 1", "Wilder 1978; TA-Lib ATR"),
    Column("volatility_ratio", "ln(root mean square of the last 20 r / sd)"),
    Column(
        "variance_ratio",
        "VR(5) - 1 over the last 100 r, overlapping, unbiased; 0 with fewer than 10 r",
        "Lo & MacKinlay 1988",
    ),
    Column("high_drawdown", "ln(C_t / max of the last 100 highs) / (sd sqrt 100)"),
    Column("bar_range", "ln(H_t/L_t) / sd - 1.5"),
    Column("close_location", "2 (C-L)/(H-L) - 1, 0 when H = L"),
    Column("volume_ratio", "ln((SMA5(V)+1) / (SMA50(V)+1))"),
    Column("crowding", "2 x share of living agents that hold shares - 1, before this decision"),
)

OWN_COLUMNS: Final = (
    Column("weight", "shares x C / equity"),
    Column("cash_share", "cash / equity"),
    Column("unrealised", "ln(C_t / entry price) / (10 sd), 0 when flat"),
    Column("drawdown", "-10 x (1 - equity/peak equity), as last marked"),
    Column("log_wealth", "ln(equity / endowment)"),
    Column("win_rate", "2 (wins + 5) / (closed trades + 10) - 1; the paper account's while on paper"),
    Column("age", "min(age in rounds / 500, 1)"),
    Column("damage", "damage / 100"),
    Column("fee_multiplier", "what damage adds to the fees of real trading: damage / 100, 0 while on paper"),
    Column("holding_time", "min(ticks held / 50, 1)"),
    Column("apprentice", "1 while trading on paper"),
)

COLUMNS: Final = MARKET_COLUMNS + OWN_COLUMNS
N_MARKET: Final = len(MARKET_COLUMNS)
N_OWN: Final = len(OWN_COLUMNS)
OBS_DIM: Final = len(COLUMNS)
COLUMN_INDEX: Final = {column.name: index for index, column in enumerate(COLUMNS)}
