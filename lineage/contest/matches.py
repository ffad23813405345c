"""Playing matches: many markets of one world side by side, each the same bits as if it were played alone.

A match is a function of the plan and its key. What a user's class does wrong is part of the result; what we do wrong is
a failed match with its traceback, and its neighbours are played without it.
"""

import contextlib
import traceback
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from agents.brains import founder_weights
from agents.layout import layout_of
from arena.errors import ArenaError
from arena.market.tape import Tape, read_tape
from arena.rng import purpose_key
from arena.spec import N_ACTIONS, OBS_DIM
from lineage.config import RunConfig
from lineage.contest.entrants import DQN, OUTSIDE, Entrant, of_policy, scripted
from lineage.contest.frozen import Played, Seating, market_seed, play
from lineage.contest.tournament_evolving import live
from lineage.contest.tournament_plan import Match, Plan, Player
from lineage.contest.userpolicy import Limits, Session, Target
from lineage.record.policy_files import parse_policy

CURVE_POINTS: Final = 32
"""Points of a capital curve that are kept, besides its start."""

_UNTRAINED_ID: Final = 1

Sessions = dict[tuple[int, str], Session]
"""(player, match key) -> the process that plays a user's class there."""


class SeatResult(Struct, frozen=True):
    """What became of one seat; of an evolving population of one agent that traded real money."""

    seat: int  # of an evolving population the agent's id
    player: int
    growth: float | None  # log-growth per 1,000 ticks; None: forfeited
    ticks: int  # over which it is taken
    rounds: int  # lived, of these
    died: bool
    trades: int
    invested: float  # share of the ticks
    invalid: int  # actions that the mask forbade
    drawdown: float  # deepest fall from a peak, 0 or negative
    forfeit: str = ""  # why, in one line
    curve: bytes = b""  # [<= CURVE_POINTS + 1] little-endian f32, equity in endowments


class MatchResult(Struct, frozen=True):
    """How one match ended."""

    key: str
    status: str  # done | failed
    seats: tuple[SeatResult, ...] = ()
    error: str = ""
    traceback: str = ""


def play_batch(plan: Plan, matches: Sequence[Match]) -> list[MatchResult]:
    """Play matches of one world and one number of seats; never raises for what goes wrong in one of them."""
    try:
        return _play(plan, matches)
    except Exception as error:
        if len(matches) > 1:
            return [result for match in matches for result in play_batch(plan, [match])]
        words = str(error) if isinstance(error, ArenaError) else f"{type(error).__name__}: {error}"
        line = " ".join(words.split())[:500]
        return [MatchResult(matches[0].key, "failed", (), line, traceback.format_exc())]


def _play(plan: Plan, matches: Sequence[Match]) -> list[MatchResult]:
    ground = matches[0].ground
    tape = _tape(plan.grounds[ground].tape, plan.grounds[ground].skip_bad)
    if matches[0].mix == "evolving":
        return [_evolve(plan, match, tape) for match in matches]
    with contextlib.ExitStack() as stack:
        field, seatings, sessions = _seat(plan, matches, stack)
        played = play(field, seatings, plan.conditions(ground, tape))
    per_round = plan.grounds[ground].config.arena.ticks_per_round
    found = _Found(played.log_growth, played.trades, _drawdowns(played.equity))
    return [
        MatchResult(match.key, "done", _results(match, played, found, row, per_round, sessions))
        for row, match in enumerate(matches)
    ]


def _seat(
    plan: Plan, matches: Sequence[Match], stack: contextlib.ExitStack
) -> tuple[list[Entrant], list[Seating], Sessions]:
    """Return the field, who sits where, and the open sessions of users' classes by (player, match)."""
    config = plan.grounds[matches[0].ground].config
    field: list[Entrant] = []
    place: dict[tuple[int, str], int] = {}  # (player, of which there is one for each) -> index in the field
    sessions: Sessions = {}
    seatings = []
    for match in matches:
        indices = []
        for player in match.seating:
            member = plan.players[player]
            own = (player, {"untrained": str(match.seed), "class": match.key}.get(member.kind, ""))
            if own not in place:
                place[own] = len(field)
                if member.kind == "class":
                    sessions[own] = stack.enter_context(_session(plan, member, match, player))
                field.append(_entrant(member, match.seed, config, sessions.get(own)))
            indices.append(place[own])
        seatings.append(Seating(match.seed, tuple(indices)))
    return field, seatings, sessions


def _session(plan: Plan, player: Player, match: Match, index: int) -> Session:
    seats = sum(seat == index for seat in match.seating)
    seed = int(purpose_key(market_seed(match.seed), f"class {player.name} in {match.key}")) >> 1
    limits = Limits(plan.limits.seconds, plan.limits.memory_mb)
    return Session(Target(player.target, player.folder, player.options), seats, seed, limits)


def _entrant(player: Player, seed: int, config: RunConfig, session: Session | None) -> Entrant:
    typical = scripted("flat", config.genome)
    if session is not None:
        return Entrant(player.name, OUTSIDE, typical.position_scale, typical.stop_atr, decider=session.decide)
    if player.kind == "script":
        body = (typical.position_scale, typical.stop_atr)
        return Entrant(player.name, player.script, *body, noise=player.noise)
    if player.kind == "policy":
        return _named(of_policy(parse_policy(player.policy, player.name)), player.name)
    hidden = (config.mind.hidden[0], config.mind.hidden[1])
    layout = layout_of(OBS_DIM, N_ACTIONS, hidden, config.mind.dueling)
    fresh = founder_weights(layout, market_seed(seed) >> 1, _UNTRAINED_ID)
    return Entrant(player.name, DQN, typical.position_scale, typical.stop_atr, layout, fresh)


def _named(entrant: Entrant, name: str) -> Entrant:
    return Entrant(name, entrant.mind, entrant.position_scale, entrant.stop_atr, entrant.layout, entrant.weights)


class _Found(NamedTuple):
    """What is computed for all markets of a batch at once; N markets, S seats."""

    growth: np.ndarray  # [N,S] f64
    trades: np.ndarray  # [N,S] i64
    drawdown: np.ndarray  # [N,S] f64


def _drawdowns(equity: np.ndarray) -> np.ndarray:
    """Return [N,S] f64, the deepest falls from a peak of equity [N,S,T+1]; a market at a time stays in the cache."""
    return np.array([(seats / np.maximum.accumulate(seats, axis=-1)).min(axis=-1) for seats in equity]) - 1.0


def _results(
    match: Match, played: Played, found: _Found, row: int, per_round: int, sessions: Sessions
) -> tuple[SeatResult, ...]:
    ticks = played.equity.shape[-1] - 1
    points = np.unique(np.linspace(0, ticks, min(ticks, CURVE_POINTS) + 1).round().astype(np.int64))
    curves = (played.equity[row][:, points] / played.equity[row][:, :1]).astype("<f4")
    rows = []
    for seat, player in enumerate(match.seating):
        died_at = int(played.died_at[row, seat])
        lived = ticks if died_at < 0 else died_at + 1
        session = sessions.get((player, match.key))
        forfeit = session.failure if session else ""
        rows.append(
            SeatResult(
                seat, player, None if forfeit else float(found.growth[row, seat]), ticks, -(-lived // per_round),
                died_at >= 0, int(found.trades[row, seat]), float(played.invested[row, seat]),
                int(played.invalid[row, seat]), float(found.drawdown[row, seat]), forfeit, curves[seat].tobytes(),
            )
        )  # fmt: skip
    return tuple(rows)


def _evolve(plan: Plan, match: Match, tape: Tape | None) -> MatchResult:
    """Let a population live, and return one row for everybody who traded real money."""
    player = plan.players[match.seating[0]]
    lives = live(player, plan.grounds[match.ground], match.seed, tape)
    rows = tuple(
        SeatResult(
            life.agent_id, match.seating[0], life.growth, life.ticks, life.rounds, life.died, life.trades,
            life.invested, life.invalid, life.drawdown, "", life.curve(CURVE_POINTS),
        )
        for life in lives
    )  # fmt: skip
    return MatchResult(match.key, "done", rows)


@lru_cache(maxsize=8)
def _tape(path: str, skip_bad: bool) -> Tape | None:
    return read_tape(Path(path), skip_bad) if path else None


def encode(results: Sequence[MatchResult]) -> bytes:
    """Return results as bytes for another process."""
    return msgspec.msgpack.encode(results)


def decode(data: bytes) -> list[MatchResult]:
    """Return the results of `encode`."""
    return msgspec.msgpack.decode(data, type=list[MatchResult])
