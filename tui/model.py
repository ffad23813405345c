"""What the person is looking at: pure values and functions on them, without a terminal.

A `View` is the person's side (what is selected, sorted, filtered), a `Frame` the run's; the engine's side of an own
run is a `Link`. Rules that need two of them live here: who is listed and in which order, who is followed, which mode
the header shows, what is to be read next.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lineage.ask.archive import Wish
from lineage.ask.frames import DIED, PAPER, Frame
from tui.predicates import Filter, matching

RESORT_SECONDS: Final = 2.0
"""Rows change places at most this often, so that the eye and the cursor can follow."""


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of the engine that this app started; `none` when it started none."""

    state: str = "none"  # none | starting | playing | paused | stopping | ended | gone
    round: int = 0
    speed: float = 0.0  # rounds a second that were asked for, 0: as fast as it goes
    rounds_per_s: float = math.nan
    updates_per_s: float = math.nan
    steps_per_s: float = math.nan
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    message: str = ""  # its last words when it is gone

    @property
    def running(self) -> bool:
        """Return whether it takes commands."""
        return self.state in ("playing", "paused")


@dataclass(slots=True)
class View:
    """What the person has chosen; everything else follows from the frame."""

    screen: str = "arena"
    at: int | None = None  # time travel: the round shown, None for the newest
    playing: bool = False  # time travel goes on by itself
    selected: int | None = None  # agent under the cursor
    followed: int | None = None  # agent that the cursor is pinned to, and its heirs
    filter_text: str = ""
    filter: Filter = ()
    sort: str = "equity"
    descending: bool = True
    market: int = 0
    marks: tuple[int, ...] = ()  # up to two agents, for their common ancestor
    whole_tree: bool = False  # the lineage screen shows the dead lines too
    log_scale: bool = False
    notice: str = ""  # said once, by what just happened
    banner: str = ""  # stays until it is over: the run's file is in trouble
    still: bool = False  # nobody has written a round for some time
    dossier_of: int | None = None  # an agent whose life a dialogue needs
    order: "Order" = field(default_factory=lambda: Order(()))

    def select(self, agent_id: int) -> None:
        """Put the cursor on an agent, whether it is listed or not; following goes along."""
        self.selected = agent_id
        if self.followed is not None:
            self.followed = agent_id

    def wish(self) -> Wish:
        """Return what has to be read for what is shown."""
        agent = self.dossier_of or (self.selected if self.screen == "agent" else None)
        return Wish(self.at, self.market, agent)


class Pace:
    """How fast a run that somebody writes goes on, over the last rounds that were seen."""

    def __init__(self, silent: float = 0.0) -> None:
        """Begin with a run that nobody has written for some seconds."""
        self._silent = silent
        self._seen: deque[tuple[float, int]] = deque(maxlen=30)
        self._rounds_per_s = math.nan

    def note(self, now: float, newest: int) -> float:
        """Take a moment in; return rounds a second, NaN until a second has passed."""
        if not self._seen or self._seen[-1][1] != newest:
            self._seen.append((now, newest))
            began, first = self._seen[0]
            if now - began > 1.0:
                self._rounds_per_s = (newest - first) / (now - began)
        return self._rounds_per_s

    def still_for(self, now: float) -> float:
        """Return the seconds since a round was new, 0 before the first one."""
        before = self._silent if len(self._seen) == 1 else 0.0
        return now - self._seen[-1][0] + before if self._seen else 0.0


COLUMN_DIRECTION: Final[Mapping[str, bool]] = {"id": False, "clan": False, "age": True}
"""Columns that do not begin with their largest value."""


def columns_of(frame: Frame) -> dict[str, np.ndarray]:
    """Return what can be sorted and filtered by: [N] of the agents of a frame."""
    seats, people = frame.seats, frame.people
    rows = seats["agent_id"].astype(np.int64) - 1
    trades = seats["closed_trades"]
    status = np.array(["?", "paper", "real", "dead"])[np.clip(seats["status"].astype(np.int64), 0, 3)]
    return {
        "id": seats["agent_id"],
        "gen": people.depth[rows].astype(np.float64),
        "age": seats["age_rounds"],
        "equity": seats["equity"],
        "pnl": seats["equity"] - frame.info.endowment,
        "draw": 100.0 * seats["drawdown"],
        "damage": seats["damage"],
        "scars": seats["scars"],
        "trades": trades,
        "win": np.where(trades > 0, 100.0 * seats["won_trades"] / np.maximum(trades, 1), np.nan),
        "kids": seats["offspring"],
        "market": seats["market"],
        "reward": seats["reward"],
        "loss": seats["loss"],
        "entropy": seats["entropy"],
        "eps": 100.0 * seats["epsilon"],
        "weight": np.where(seats["equity"] > 0, (seats["equity"] - seats["cash"]) / seats["equity"], 0.0),
        "clan": np.array([people.clan(int(row)) for row in rows], dtype=object),
        "status": status,
    }


@dataclass(frozen=True, slots=True)
class Order:
    """Who is listed, in which order: indices into a frame's seats, and what it was made for."""

    ids: tuple[int, ...]
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # [n] into the frame's seats
    made_at: float = -math.inf  # when the places were last dealt out
    made_for: tuple[str, bool, Filter] = ("", True, ())
    kept: bool = False  # everybody kept their place: not sorted for this moment


def ranked(frame: Frame, view: View, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return indices into the seats, sorted as the view asks; those who trade real money first, the dead last."""
    values = columns.get(view.sort, columns["equity"])
    if view.sort == "clan":
        _, values = np.unique(values.astype(str), return_inverse=True)
    key = np.where(np.isfinite(values), values.astype(np.float64), -np.inf if view.descending else np.inf)
    status = frame.seats["status"]
    place = np.where(status == DIED, 2, np.where(status == PAPER, 1, 0)) if view.sort == "equity" else status == DIED
    found: np.ndarray = np.lexsort((columns["id"], -key if view.descending else key, place))
    return found


def reorder(old: Order, frame: Frame, view: View, now: float, columns: Mapping[str, np.ndarray] | None = None) -> Order:
    """Return the list for a new frame: sorted anew when asked or after two seconds, else everybody keeps their place.

    Newcomers are appended and the gone close their gaps; a filter always applies at once. Nothing moves any more in a
    run that has ended, so that its last order is the right one. columns: of the frame, where they are known already.
    """
    columns = columns_of(frame) if columns is None else columns
    wanted = (view.sort, view.descending, view.filter)
    listed = matching(view.filter, columns, len(columns["id"]))
    moving = view.at is None and not frame.closed  # in time travel every moment is sorted on its own
    if not moving or wanted != old.made_for or now - old.made_at >= RESORT_SECONDS or now < old.made_at:
        rows, made_at, kept = ranked(frame, view, columns), now, False
    else:
        ids = columns["id"].astype(np.int64)
        place = {agent_id: index for index, agent_id in enumerate(old.ids)}
        keys = np.array([place.get(int(one), len(place)) for one in ids], dtype=np.int64)
        rows = np.lexsort((ids, keys))
        made_at, kept = old.made_at, True
    rows = rows[listed[rows]]
    return Order(tuple(columns["id"][rows].astype(np.int64).tolist()), rows, made_at, wanted, kept)


def settle(frame: Frame, view: View) -> None:
    """Let the selection follow: a followed agent's heir after its death, anybody when nobody is selected."""
    if view.followed is not None and view.at is None:
        row = view.followed - 1
        if row < frame.people.born_by(frame.round) and not frame.people.alive_at(frame.round)[row]:
            heir = frame.people.heir(row, frame.round)
            if heir is None:
                view.notice = f"#{view.followed} died and nobody carries its line on: following ends"
                view.followed = None
            else:
                view.notice = f"#{view.followed} died: now following its heir #{heir + 1}"
                view.followed = view.selected = heir + 1
        else:
            view.selected = view.followed
    if view.selected is not None and view.selected > frame.people.born_by(frame.round):
        view.selected = None  # not born yet, back in time
    if view.selected is None and view.order.ids:
        view.selected = view.order.ids[0]


@dataclass(frozen=True, slots=True)
class Mode:
    """What the header says about time."""

    name: str  # starting | empty | live | waiting | paused | replay | finished | extinct | gone | stopping | trouble
    text: str
    role: str


def mode_of(frame: Frame | None, view: View, link: Link) -> Mode:
    """Return which mode the app is in; trouble before time travel before the engine's state."""
    if view.banner and link.state != "starting":
        return Mode("trouble", "DISCONNECTED", "loss")
    if link.state == "gone":
        return Mode("gone", "ENGINE GONE", "loss")
    if frame is None or frame.round < 0:
        return Mode("starting", "STARTING" if link.state in ("starting", "playing", "paused") else "EMPTY", "dim")
    if view.at is not None and frame.round < frame.newest:
        return Mode("replay", "PLAYING" if view.playing else f"REPLAY -{frame.newest - frame.round}", "warn")
    if frame.closed:
        return Mode("finished", "FINISHED", "accent") if frame.alive else Mode("extinct", "EXTINCT", "loss")
    if link.state == "paused":
        return Mode("paused", "PAUSED", "warn")
    if link.state == "stopping":
        return Mode("stopping", "STOPPING", "warn")
    if not frame.alive and not frame.info.config.life.immigration_per_round:
        return Mode("extinct", "EXTINCT", "loss")
    if link.state == "ended":
        return Mode("finished", "STOPPED", "warn")
    if view.still and link.state == "none":
        return Mode("waiting", "WAITING", "dim")
    return Mode("live", "LIVE", "birth")


def epitaph(frame: Frame) -> str:
    """Return what became of a run that has ended, "" while it goes on."""
    if frame.round < 0 or not frame.closed:
        return ""
    people = frame.people
    lived = f"{frame.newest + 1:,} rounds, {len(people):,} born"
    living = np.flatnonzero(people.alive_at(frame.newest))
    if not len(living):
        return f"extinct: {lived}"
    clans = len(np.unique(people.founder[living]))
    return f"over: {lived}, {len(living)} alive in {clans} clan{'s' * (clans > 1)}"
