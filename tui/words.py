"""Events, scars and fates in words, each with the glyph and the role that stand for it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from lineage.ask.frames import Everybody, Happening
from tui.paint import clean
from tui.theme import Symbols

CAUSES: Final[Mapping[str, str]] = {
    "bankrupt": "bankrupt", "terminal_damage": "of its wounds", "retired": "of old age",
}  # fmt: skip
SCARS: Final[Mapping[str, str]] = {
    "trade_loss": "a losing streak", "liquidation": "a forced sale", "fee_burden": "the burden of fees",
    "stop_loss": "a stop that fired", "slippage": "a slipped fill", "market_crash": "a crash",
}  # fmt: skip


class Sentence(NamedTuple):
    """An event for people."""

    glyph: str
    role: str
    text: str


def money(cents: int | str) -> str:
    """Return cents as whole money, "?" for what is no number."""
    try:
        return f"{int(cents) / 100:,.0f}"
    except (ValueError, OverflowError):
        return "?"


def describe(event: Happening, people: Everybody, symbols: Symbols) -> Sentence:
    """Return an event as a short sentence; a payload that lacks something, or holds something else, is no error."""
    who = f"#{event.agent_id}"
    say = {key: clean(value) for key, value in event.payload.items()}
    if event.kind == "birth":
        from_whom = ", a founder" if say.get("parent", "0") in ("", "0", "None") else f" to #{say['parent']}"
        name = clean(people.clan(event.agent_id - 1)) if event.agent_id and event.agent_id <= len(people) else ""
        return Sentence(symbols.born, "birth", f"{who} {name} is born{from_whom}")
    if event.kind == "death":
        cause = say.get("cause", "?")
        how, left = CAUSES.get(cause, cause), money(say.get("equity_cents", "?"))
        return Sentence(symbols.dead, "death", f"{who} dies {how} at {say.get('age_rounds', '?')}, {left} left")
    if event.kind == "scar":
        kind = say.get("scar_kind", "?")
        what = f"{say.get('severity', '?')}: {SCARS.get(kind, kind)}"
        damage = f"+{say.get('damage', '?')} to {say.get('total_damage', '?')}"
        return Sentence(symbols.scar, "scar", f"{who} {what}, {damage}")
    if event.kind == "spawn":
        return Sentence(
            symbols.born, "birth", f"{who} pays {money(say.get('endowment_cents', '?'))} for #{say.get('child', '?')}"
        )
    if event.kind == "graduation":
        return Sentence(symbols.grown, "accent", f"{who} graduates to real money")
    if event.kind == "immigration":
        return Sentence(
            symbols.grown, "birth", f"#{say.get('child', '?')} arrives, paid by the {say.get('payer', '?')}"
        )
    if event.kind == "alarm":
        return Sentence(symbols.alarm, "warn", f"{who} alarm: {say.get('check', '?')}")
    if event.kind == "censored":
        return Sentence(symbols.alive, "dim", f"{who} outlives the run")
    if event.kind == "closed":
        return Sentence(symbols.done, "dim", "the run is closed")
    return Sentence(symbols.flat, "dim", f"{clean(event.kind)} {'' if event.agent_id is None else who}")


def scar_meter(damage: float, symbols: Symbols) -> tuple[str, str]:
    """Return damage as five marks of twenty points, and its role."""
    marks = min(5, max(0, -(-int(damage) // 20))) if damage == damage else 0
    role = "death" if damage >= 60 else "scar" if damage >= 20 else "dim"
    return symbols.scar * marks + symbols.flat * (5 - marks), role
