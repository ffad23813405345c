"""A tournament as it is played: who, where, and every match, all of it checked and pinned down by one hash."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, Literal

import msgspec
from msgspec import Struct

from agents.fused import resolve
from arena.errors import ConfigError
from arena.market.tape import Tape, read_tape
from lineage.config import RunConfig, to_plain
from lineage.contest.frozen import Conditions
from lineage.contest.tournament_spec import Format, LimitSpec, Mix
from lineage.record.digests import config_text, sha256_text
from lineage.record.provenance import versions

MOST_TICKS: Final = 1 << 26
"""Seats x ticks of one match of frozen policies."""

FORMAT: Final = 2
"""Raised whenever the same plan would give other results."""

Kind = Literal["script", "policy", "untrained", "class", "scenario"]
Role = Literal["entrant", "baseline"]


class Player(Struct, frozen=True):
    """One who takes part."""

    name: str
    kind: Kind
    role: Role
    sha256: str  # of what decides: policy file, module source, configuration, or the script's name
    about: str  # one line for people
    behind: int | None = None  # agents from whom it was chosen as one of the best
    script: str = ""
    noise: float = 0.0
    policy: bytes = b""  # a policy file
    target: str = ""  # module:Class
    folder: str = ""  # where its module lies; no part of the identity
    options: str = "{}"
    config: RunConfig | None = None  # of a population that lives on
    rounds: int = 0

    @property
    def evolving(self) -> bool:
        """Whether it is a whole population that lives on."""
        return self.kind == "scenario"

    @property
    def league(self) -> str:
        """Who is ranked with whom: frozen policies do not learn or pay for their lives."""
        return "evolving" if self.evolving else "frozen"


class Ground(Struct, frozen=True):
    """A world: its market and its costs."""

    name: str
    config: RunConfig
    tape: str = ""  # path; no part of the identity, the bytes' hash in `config` is
    skip_bad: bool = False

    def read_tape(self) -> Tape | None:
        """Return the recorded bars. Raises DataError."""
        from pathlib import Path

        return read_tape(Path(self.tape), self.skip_bad) if self.tape else None


class Match(Struct, frozen=True):
    """One market and who sits in it; `key` names it among all matches of the tournament."""

    key: str
    ground: int
    seed: int
    mix: str  # alone, pairs, together, evolving
    seating: tuple[int, ...]  # player of each seat; of an evolving one its index alone


class Plan(Struct, frozen=True):
    """Everything that, with the build, determines all results."""

    players: tuple[Player, ...]
    grounds: tuple[Ground, ...]
    seeds: tuple[int, int]  # A to B - 1
    ticks: int
    format: Format
    mixes: tuple[Mix, ...]
    seats: int
    whole_life: bool
    rounds: int  # of a Swiss tournament
    limits: LimitSpec
    versions: dict[str, str]
    number: int = FORMAT

    def identity(self) -> str:
        """Return the SHA-256 hex of all that determines results; where files lie does not."""
        players = [
            {"name": p.name, "kind": p.kind, "sha256": p.sha256, "noise": p.noise, "options": p.options,
             "rounds": p.rounds, "script": p.script, "target": p.target, "role": p.role}
            for p in self.players
        ]  # fmt: skip
        grounds = [{"name": g.name, "config": to_plain(g.config)} for g in self.grounds]
        rest = msgspec.to_builtins(self)
        return sha256_text(config_text(rest | {"players": players, "grounds": grounds}))

    def conditions(self, ground: int, tape: Tape | None) -> Conditions:
        """Return what holds for the frozen in a world."""
        return Conditions(self.grounds[ground].config, self.ticks, self.whole_life, tape)

    def league(self, name: str) -> list[int]:
        """Return the players of a league."""
        return [index for index, player in enumerate(self.players) if player.league == name]

    def can_play(self, player: int, ground: int) -> bool:
        """Whether a player has a place in a world: on a tape an oracle knows nothing."""
        return not (self.players[player].script == "oracle" and self.grounds[ground].tape)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield every (ground, seed), seed by seed, so that a tournament that is cut short is still balanced."""
        for seed in range(*self.seeds):
            for ground in range(len(self.grounds)):
                yield ground, seed


def build_here() -> dict[str, str]:
    """Return what determines results besides the plan: versions, and who teaches and decides here (its rounding)."""
    return versions() | {"learner": resolve("auto")[0]}


def other_build(theirs: Mapping[str, str], mine: Mapping[str, str]) -> str:
    """Return in words by what two builds differ, "" if by nothing."""
    names = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
    return ", ".join(f"{name} {theirs.get(name, 'unknown')}, here {mine.get(name, 'unknown')}" for name in names)


def encode(plan: Plan) -> bytes:
    """Return a plan as bytes for another process."""
    return msgspec.json.encode(plan)


def decode(data: bytes) -> Plan:
    """Return the plan of `encode`."""
    return msgspec.json.decode(data, type=Plan)


def matches_of(plan: Plan) -> list[Match]:
    """Return every match of a crossed tournament, and those of evolving players in any format."""
    found: list[Match] = []
    for ground, seed in plan.blocks():
        if plan.format == "crossed":
            found += _crossed(plan, ground, seed)
        for player in plan.league("evolving"):
            name = f"{plan.grounds[ground].name}/{seed}/evolving/{plan.players[player].name}"
            found.append(Match(name, ground, seed, "evolving", (player,)))
    return found


def _crossed(plan: Plan, ground: int, seed: int) -> Iterator[Match]:
    present = [player for player in plan.league("frozen") if plan.can_play(player, ground)]
    place = f"{plan.grounds[ground].name}/{seed}"
    for mix in plan.mixes:
        if mix == "alone":
            for player in present:
                yield Match(f"{place}/alone/{plan.players[player].name}", ground, seed, mix, (player,))
        elif mix == "pairs":
            for one, other in combinations(present, 2):
                yield pair(plan, place, ground, seed, one, other)
        else:
            turn = seed % len(present)  # whoever has one seat more than others has it in turn
            dealt = tuple(present[(turn + seat) % len(present)] for seat in range(plan.seats))
            yield Match(f"{place}/together", ground, seed, mix, dealt)


def pair(plan: Plan, place: str, ground: int, seed: int, one: int, other: int) -> Match:
    """Return the match in which two players share a market, each in every second seat."""
    one, other = sorted((one, other))
    names = f"{plan.players[one].name} & {plan.players[other].name}"
    return Match(f"{place}/pairs/{names}", ground, seed, "pairs", (one, other) * (plan.seats // 2))


def check_plan(plan: Plan) -> None:
    """Raise ConfigError for what can be seen before anything is played."""
    frozen = len(plan.league("frozen"))
    if "together" in plan.mixes and plan.format == "crossed" and plan.seats < frozen:
        raise ConfigError(f"seats = {plan.seats}: {frozen} players (baselines included) share a market in mix "
                          f"'together'; give at least as many seats")  # fmt: skip
    most = plan.seats if plan.mixes != ("alone",) else 1
    if frozen and most * plan.ticks > MOST_TICKS:
        raise ConfigError(f"ticks = {plan.ticks}: a match of {most} seats and that length does not fit memory, at most "
                          f"{MOST_TICKS // most:,}; give fewer")  # fmt: skip
    keys = [match.key for match in matches_of(plan)]
    if len(set(keys)) < len(keys):
        raise ConfigError("names: two matches would have the same name; rename an entrant")


def encode_matches(matches: Sequence[Match]) -> bytes:
    """Return matches as bytes for another process."""
    return msgspec.json.encode(matches)


def decode_matches(data: bytes) -> list[Match]:
    """Return the matches of `encode_matches`."""
    return msgspec.json.decode(data, type=list[Match])
