"""Why something happened: the chain from an event back to what the agent saw, as far as it is recorded or recomputed.

Each step says what it rests on: the ledger, the rows of a round, or a trace (lineage/ask/trace.py). Nothing is guessed:
a step whose figures are not there says what would bring them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from arena.spec import ACTIONS, COLUMNS, SEVERITIES
from lineage.ask.frames import Dossier, Everybody, Happening, RunInfo
from lineage.ask.trace import Decision, Trace

Source = Literal["ledger", "rounds", "recomputed", "missing"]

_FORMULA: Final = {column.name: column.formula for column in COLUMNS}
_MOST: Final = 6  # lines of a list


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain, from the effect towards the cause."""

    title: str
    source: Source
    lines: tuple[str, ...]


def explain(
    event: Happening, dossier: Dossier, info: RunInfo, people: Everybody, trace: Trace | None
) -> tuple[Step, ...]:
    """Return the chain of an agent's event; `dossier` is that agent's, `trace` the event's round where there is one."""
    steps = [_event(event, dossier)]
    if event.kind in ("birth", "graduation", "spawn"):
        return (*steps, *_birth(event, dossier, info, people))
    steps += [_account(event, dossier, info), *_recomputed(event, dossier, trace)]
    return (*steps, _beginning(event, dossier))


def _money(cents: int | str) -> str:
    return f"{int(cents) / 100:,.2f}" if str(cents).lstrip("-").isdigit() else "?"


def _event(event: Happening, dossier: Dossier) -> Step:
    """The ledger's own words."""
    say = event.payload
    lines = [f"event {event.event_id}: {event.kind} of agent {event.agent_id}, round {event.round}, tick {event.tick}"]
    if event.kind == "death":
        rule = {
            "bankrupt": f"equity {_money(say.get('equity_cents', '?'))} fell below the ruin line "
            f"{_money(say.get('ruin_cents', '?'))}",
            "terminal_damage": f"damage {say.get('damage')} reached the deadly 100",
            "retired": f"age {say.get('age_rounds')} rounds reached the limit of this scenario",
        }.get(str(say.get("cause")), "the cause is none that this build knows")
        lines += [
            f"cause {say.get('cause')}: {rule}",
            f"equity left to the estate: {_money(say.get('equity_cents', '?'))}",
        ]
    elif event.kind == "scar":
        lines += [
            f"{_scar(event)} points, {say.get('total_damage')} in all",
            f"drawdown {int(say.get('drawdown_bps', 0)) / 100:.2f} % below the peak, "
            f"equity {_money(say.get('equity_cents', '?'))}",
        ]
    lines.append(
        f"its chain: {dossier.chain_note}" if dossier.chain_ok else f"ITS CHAIN IS BROKEN: {dossier.chain_note}"
    )
    return Step("What the ledger says", "ledger", tuple(lines))


def _account(event: Happening, dossier: Dossier, info: RunInfo) -> Step:
    """Equity round by round up to the event."""
    life = dossier.life
    rounds = life["round"].astype(np.int64)
    until = np.flatnonzero(rounds <= event.round)
    if not len(until):
        return Step("The account", "missing", ("no round of this agent is recorded before the event",))
    last = until[-1]
    equity = life["equity"]
    real = np.flatnonzero(life["status"][: last + 1] != 1)
    first = int(real[0]) if len(real) else 0
    peak = first + int(np.argmax(equity[first : last + 1]))
    fallen = 100 * (equity[last] / max(equity[peak], 1e-9) - 1)
    lines = [
        f"endowment {info.endowment:,.0f}; best round {rounds[peak]} with {equity[peak]:,.2f}; "
        f"round {rounds[last]} ended with {equity[last]:,.2f} ({fallen:+.1f} %)",
    ]
    for at in range(max(first, last - _MOST + 1), last + 1):
        change = f"{equity[at] - equity[at - 1]:+,.2f}" if at > 0 else "born"
        lines.append(
            f"round {rounds[at]}: equity {equity[at]:,.2f} ({change}), cash {life['cash'][at]:,.2f}, "
            f"{life['shares'][at]:,.2f} shares, damage {int(life['damage'][at])}"
        )
    return Step("The account", "rounds", tuple(lines))


def _recomputed(event: Happening, dossier: Dossier, trace: Trace | None) -> list[Step]:
    """Fills, the decision that cost most, and what was seen before it."""
    titles = ("What was filled", "What it decided", "What it saw")
    if trace is None:
        why = "the record keeps rounds, not ticks: recomputing this round from the checkpoint before it brings them"
        return [Step(title, "missing", (why,)) for title in titles[:1]]
    decisions = trace.decisions(dossier.agent_id)
    if not decisions:
        return [Step(titles[0], "recomputed", (trace.note, "the agent did not live in this round"))]
    at = _costliest(event, decisions)
    return [
        Step(titles[0], "recomputed", (trace.note, *_fills(decisions))),
        Step(titles[1], "recomputed", tuple(_decision(decisions[at], decisions, at))),
        Step(titles[2], "recomputed", tuple(_seen(decisions[at]))),
    ]


def _costliest(event: Happening, decisions: Sequence[Decision]) -> int:
    """Return the index of the decision at the event's own tick where it has one, else before the largest loss."""
    if event.kind == "scar" and event.payload.get("scar_kind") in (
        "stop_loss",
        "slippage",
        "market_crash",
        "liquidation",
    ):
        for index, decision in enumerate(decisions):
            if decision.tick == event.tick:
                return index
    equity = np.array([decision.equity for decision in decisions])
    return int(np.argmin(np.diff(equity, prepend=equity[0])))


def _fills(decisions: Sequence[Decision]) -> list[str]:
    traded = [one for one in decisions if one.traded]
    fees = sum(one.fee for one in decisions)
    bought, sold = sum(one.spent for one in traded), sum(one.proceeds for one in traded)
    lines = [f"{len(traded)} fills: bought for {bought:,.2f}, sold for {sold:,.2f}, fees {fees:,.2f}"]
    for one in traded[-_MOST:]:
        side = (
            f"bought for {one.spent:,.2f}" if one.spent > 0 else f"sold {one.sold:,.3f} shares for {one.proceeds:,.2f}"
        )
        lines.append(f"tick {one.tick}: {side} at {one.price:,.4f}, fee {one.fee:,.2f} ({one.reason})")
    return lines


def _decision(one: Decision, decisions: Sequence[Decision], at: int) -> list[str]:
    before = decisions[at - 1].equity if at > 0 else one.equity
    lines = [
        f"tick {one.tick}: {ACTIONS[one.action].name}, {one.reason}; equity {before:,.2f} to {one.equity:,.2f} "
        f"({one.equity - before:+,.2f}), the price went from {one.price:,.4f} to {one.close:,.4f}",
    ]
    if one.greedy >= 0:
        values = [f"{ACTIONS[a].name} {one.q[a]:+.3f}" if one.legal[a] else f"{ACTIONS[a].name} forbidden"
                  for a in np.argsort([-q for q in one.q]).tolist()]  # fmt: skip
        lines += ["Q: " + ", ".join(values[:4]), "   " + ", ".join(values[4:])]
    parts = ", ".join(f"{name} {value:+.3f}" for name, value in one.parts if value)
    lines.append(f"reward {one.reward:+.3f}{f': {parts}' if parts else ''}")
    return lines


def _seen(one: Decision) -> list[str]:
    return [f"{name} {value:+.2f}  ({_FORMULA[name]})" for name, value in one.strongest(_MOST)]


def _beginning(event: Happening, dossier: Dossier) -> Step:
    """The round in which it began: the peak before a fall, the scars before a death of wounds."""
    scars = [one for one in dossier.events if one.kind == "scar" and one.event_id < event.event_id]
    lines: list[str] = []
    if event.kind == "death" and event.payload.get("cause") == "terminal_damage":
        heavy = sorted(scars, key=lambda one: (-int(one.payload.get("damage", 0)), one.event_id))[:_MOST]
        lines.append(f"{len(scars)} scars before, the heaviest:")
        lines += [f"round {one.round}: {_scar(one)}" for one in sorted(heavy, key=lambda one: one.event_id)]
    life = dossier.life
    upto = life["round"] <= event.round
    real = upto & (life["status"] != 1)
    if real.any():
        rows = np.flatnonzero(real)
        peak = rows[int(np.argmax(life["equity"][rows]))]
        best = life["equity"][peak]
        lines.append(f"the fall began after round {int(life['round'][peak])}, at {best:,.2f}: every step of drawdown "
                     "since is counted from there")  # fmt: skip
        counts = [sum(one.payload.get("severity") == name for one in scars) for name in SEVERITIES]
        worn = ", ".join(f"{count} {name}" for count, name in zip(counts, SEVERITIES, strict=True) if count)
        lines.append(f"scars carried until then: {worn or 'none'}")
    else:
        lines.append("it never traded real money: paper accounts leave no scars of ruin")
    return Step("Where it began", "ledger", tuple(lines))


def _scar(event: Happening) -> str:
    say = event.payload
    return f"{say.get('severity')} {say.get('scar_kind')}, +{say.get('damage')}"


def _birth(event: Happening, dossier: Dossier, info: RunInfo, people: Everybody) -> list[Step]:
    """Who paid, by which right, and what was passed on."""
    row = dossier.agent_id - 1
    say = next((one.payload for one in dossier.events if one.kind == "birth"), {})
    parent = int(people.parent[row])
    life = info.config.life
    if parent < 0:
        who = "a founder: seated when the world began" if say.get("inheritance") == "founder" else (
            f"an immigrant: estate or patron paid its endowment of {_money(say.get('endowment_cents', '?'))}"
        )  # fmt: skip
        return [Step("Who paid", "ledger", (who,)), _genome(dossier)]
    rule = (
        f"the gate: equity of {life.spawn_wealth:g} x endowment, {life.spawn_min_trades} closed trades, "
        f"win rate {life.spawn_min_win_rate:g}"
    )
    paid = f"agent {parent + 1} paid {_money(say.get('endowment_cents', '?'))} out of its own cash"
    mark = int(say.get("birthmark", 0))
    passed = (
        f"inheritance {say.get('inheritance')}: "
        + {"lamarckian": "the learned weights", "baldwinian": "the parent's birth weights",
           "darwinian": "fresh weights"}.get(str(say.get("inheritance")), "the mind of a script"),
        f"birthmark: {mark} points of the parent's damage" if mark else "no birthmark",
    )  # fmt: skip
    return [Step("Who paid", "ledger", (paid, rule)), Step("What was passed on", "ledger", passed), _genome(dossier)]


def _genome(dossier: Dossier) -> Step:
    lines = []
    for name, value in dossier.genes.items():
        old = dossier.parent_genes.get(name)
        against = (
            ""
            if old is None
            else f"  parent {old:.4g} ({100 * (value / old - 1):+.1f} %)"
            if old
            else f"  parent {old:.4g}"
        )
        lines.append(f"{name} {value:.4g}{against}")
    return Step("Its genome", "rounds", tuple(lines))
