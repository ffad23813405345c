"""What a person writes down for a tournament: a TOML file, or a few flags. Read strictly, nothing is resolved here."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from agents.scripted import STRATEGIES
from arena.config import Fraction, Section
from arena.errors import ConfigError
from lineage.contest.entrants import FLAT
from lineage.settings_text import nearest, shown

MOST_ENTRANTS: Final = 200
MAX_BYTES: Final = 1 << 20
ROUNDS: Final = 5
"""Of a Swiss tournament, unless it says otherwise."""
KINDS: Final = ("script", "run", "policy", "class", "scenario")
"""The keys of which an entrant has exactly one: what it is."""

Format = Literal["crossed", "swiss", "knockout"]
Mix = Literal["alone", "pairs", "together"]
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}\Z"
Name = Annotated[str, Meta(pattern=_NAME)]


class EntrantSpec(Section, frozen=True, rename={"class_name": "class", "assignments": "set"}):
    """Who takes part; exactly one of script, run, policy, class and scenario."""

    name: Name
    script: str = ""
    noise: Fraction = 0.0
    run: str = ""
    who: str = "champions"
    count: Annotated[int, Meta(ge=1, le=64)] = 1
    policy: str = ""
    class_name: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    scenario: str = ""
    assignments: tuple[str, ...] = ()
    rounds: Annotated[int, Meta(ge=1, le=10_000_000)] = 100

    @property
    def kind(self) -> str:
        """Which of KINDS it is; the first that is given."""
        return next((kind for kind in KINDS if self.given(kind)), "")

    def given(self, kind: str) -> str:
        """Return the value of one of KINDS, "" when it is not given."""
        value: str = getattr(self, "class_name" if kind == "class" else kind)
        return value


_ONLY: Final = {
    "noise": "script", "who": "run", "count": "run", "options": "class", "assignments": "scenario",
    "rounds": "scenario",
}  # fmt: skip
"""Keys that only one kind of entrant has."""
_NOBODY: Final = EntrantSpec(name="nobody")


class WorldSpec(Section, frozen=True, rename={"assignments": "set"}):
    """A market with its costs: a scenario's, or recorded bars with a scenario's costs."""

    name: Name
    scenario: str = "easy"
    tape: str = ""
    skip_bad: bool = False
    assignments: tuple[str, ...] = ()


class LimitSpec(Section, frozen=True):
    """What a user's class may use."""

    seconds: Annotated[float, Meta(gt=0.0, le=3600.0)] = 10.0
    memory_mb: Annotated[int, Meta(ge=16, le=1 << 20)] = 1024


class TournamentSpec(Section, frozen=True, rename={"entrants": "entrant", "worlds": "world"}):
    """A whole tournament."""

    entrants: tuple[EntrantSpec, ...]
    worlds: tuple[WorldSpec, ...]
    seeds: str = "0:16"
    ticks: Annotated[int, Meta(ge=1, le=10_000_000)] = 1000
    format: Format = "crossed"
    mixes: Annotated[tuple[Mix, ...], Meta(min_length=1)] = ("alone",)
    seats: Annotated[int, Meta(ge=2, le=4096)] = 16
    whole_life: bool = False
    rounds: Annotated[int, Meta(ge=1, le=64)] = ROUNDS
    limits: LimitSpec = LimitSpec()


EXAMPLE: Final = """\
# A tournament: `lineage-arena tournament plan THIS` says what it takes, `lineage-arena tournament THIS` plays it.
# Relative paths are seen from this file.

seeds = "0:16"        # held-out markets 0 to 15 of every world; no run can have seen them
ticks = 1000          # length of a match
format = "crossed"    # everybody everywhere; or swiss, knockout: pairs share a market
mixes = ["alone"]     # alone in a market of one's own; pairs: two share one; together: all share one
seats = 16            # in a shared market
whole_life = false    # true: living costs, scars and ruin, as in life
# rounds = 5          # of format "swiss"

# Untrained, random, hold, trend, meanrev and oracle take part in any case, marked as baselines.

[[entrant]]
name = "careless oracle"
script = "oracle"     # one of random, hold, trend, meanrev, oracle, flat
noise = 0.2           # a random legal action instead, with this probability a tick

# [[entrant]]
# name = "school"
# run = "runs/easy-1" # agents or fossils of a run
# who = "champions"   # champions, alive, fossils, or agents: "3,teal-owl-17"
# count = 3           # the first three of them, each for itself

# [[entrant]]
# name = "exported"
# policy = "teal-owl-17.safetensors"

# [[entrant]]
# name = "mine"
# class = "my_policy:Momentum"     # my_policy.py lies beside this file
# options = { threshold = 0.3 }    # keyword arguments of the class

# [[entrant]]
# name = "a whole population"
# scenario = "small"  # lives on for `rounds` rounds: it learns, breeds and dies; ranked apart from the frozen
# rounds = 100
# set = ["lineage.inheritance=darwinian"]

[[world]]
name = "easy"
scenario = "easy"

[[world]]
name = "null"
scenario = "null"     # nobody can win here: a control

# [[world]]
# name = "recorded"
# tape = "prices.csv" # windows of it; costs are those of the scenario
# scenario = "default"
# set = ["market.warmup_bars=128"]

# [limits]            # of a user's class
# seconds = 10.0      # wall time of one decision
# memory_mb = 1024
"""


def read_spec(path: Path) -> TournamentSpec:
    """Return the specification in a TOML file. Raises ConfigError naming file, place, value and cure."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than 1 MiB; a tournament is a short TOML file")
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be read ({problem}); name a TOML file, `tournament init` makes one"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {' '.join(str(error).split())[:200]}; correct it") from None
    return spec_of(document, str(path))


def spec_of(document: Mapping[str, Any], place: str) -> TournamentSpec:
    """Return the specification in a parsed document; `place` names it in errors. Raises ConfigError."""
    _check_keys(document, TournamentSpec, place)
    for word, kind in (("entrant", EntrantSpec), ("world", WorldSpec)):
        tables = document.get(word, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ConfigError(f"{place}: {word}: not a list of tables; write [[{word}]] above each of them")
        for number, table in enumerate(tables, 1):
            _check_keys(table, kind, f"{place}: {_called(word, table, number)}")
    if isinstance(document.get("limits", {}), dict):
        _check_keys(document.get("limits", {}), LimitSpec, f"{place}: limits")
    missing = [word for word in ("entrant", "world") if not document.get(word)]
    if missing:
        raise ConfigError(f"{place}: no {missing[0]}; write at least one [[{missing[0]}]] with a name")
    try:
        spec = msgspec.convert(document, TournamentSpec)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {_where(str(error), document)}") from None
    _check(spec, place)
    return spec


def _check_keys(table: Mapping[str, Any], kind: type[Section], place: str) -> None:
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in table:
        if key not in known:
            raise ConfigError(f"{place}: unknown key {shown(key)}; {nearest(key, known)}")


def _called(word: str, table: Mapping[str, Any], number: int) -> str:
    return f"{word} {shown(table['name'])}" if isinstance(table.get("name"), str) else f"{word} number {number}"


def _where(message: str, document: Mapping[str, Any]) -> str:
    """Return msgspec's message with the place in the words of the file."""
    problem, _, path = message.partition(" - at `$")
    if "matching regex" in problem:  # only names have one
        problem = "a name has 1 to 40 letters, digits, spaces or any of . _ + -, and begins with a letter or digit"
    place = path.rstrip("`").lstrip(".")
    if match := re.match(r"(entrant|world)\[(\d+)\]\.?(.*)", place):
        table = document[match[1]][int(match[2])]
        key = match[3].partition("[")[0]
        value = f" = {shown(table[key])}" if key in table else ""
        return f"{_called(match[1], table, int(match[2]) + 1)}: {key}{value}: {problem}; correct it"
    key, _, rest = place.partition("[")[0].partition(".")
    given = document.get(key)
    given = given.get(rest) if rest and isinstance(given, dict) else given
    return f"{place.partition('[')[0]}{'' if given is None else f' = {shown(given)}'}: {problem}; correct it"


def _check(spec: TournamentSpec, place: str) -> None:
    """Raise ConfigError for what the types allow and nobody can mean."""
    for word, names in (("entrant", [e.name for e in spec.entrants]), ("world", [w.name for w in spec.worlds])):
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{place}: {word} {shown(doubled[0])}: the name is given twice; names must differ")
    if spec.format != "swiss" and spec.rounds != ROUNDS:
        raise ConfigError(f"{place}: rounds = {spec.rounds}: only format 'swiss' has rounds; leave it out")
    if spec.format != "crossed" and spec.mixes not in (("alone",), ("pairs",)):
        raise ConfigError(f"{place}: mixes: in format {shown(spec.format)} two players share a market; leave it out")
    if len(set(spec.mixes)) < len(spec.mixes):
        raise ConfigError(f"{place}: mixes: {', '.join(spec.mixes)} names one twice; name each once")
    if spec.seats % 2 and ("pairs" in spec.mixes or spec.format != "crossed"):
        raise ConfigError(
            f"{place}: seats = {spec.seats}: pairs share the seats of a market evenly; give an even number"
        )
    for entrant in spec.entrants:
        _check_entrant(entrant, f"{place}: entrant {shown(entrant.name)}")


def _check_entrant(entrant: EntrantSpec, place: str) -> None:
    kinds = [kind for kind in KINDS if entrant.given(kind)]
    if len(kinds) != 1:
        found = f"both {kinds[0]} and {kinds[1]}" if kinds else "nothing that plays"
        raise ConfigError(f"{place}: {found}; give exactly one of {', '.join(KINDS)}")
    scripts = (*STRATEGIES, FLAT)
    if entrant.script and entrant.script not in scripts:
        raise ConfigError(f"{place}: script {shown(entrant.script)} does not exist; {nearest(entrant.script, scripts)}")
    for key, kind in _ONLY.items():
        if getattr(entrant, key) != getattr(_NOBODY, key) and kinds != [kind]:
            word = "set" if key == "assignments" else key
            raise ConfigError(f"{place}: {word}: only an entrant with {kind} = ... has it; leave it out")
    try:
        json.dumps(entrant.options, allow_nan=False)
    except (TypeError, ValueError):
        raise ConfigError(f"{place}: options: may hold texts, finite numbers, true, false and lists of them") from None
    if entrant.class_name and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", entrant.class_name):
        raise ConfigError(f"{place}: class {shown(entrant.class_name)}: not of the form module:Class")


def spec_of_flags(
    entrants: Sequence[str], worlds: Sequence[str], seeds: str, ticks: int, mixes: Sequence[str]
) -> TournamentSpec:
    """Return the specification of a few words: scripts, policy files, runs, module:Class; scenarios and tapes."""
    for flag, words in (("--entrants", entrants), ("--worlds", worlds), ("--mixes", mixes)):
        if not words:
            raise ConfigError(f"{flag}: names nothing; give names separated by commas, or leave it out")
    tables = []
    for word in entrants:
        kind = "policy" if word.endswith(".safetensors") else "class" if ":" in word else "script"
        kind = "run" if kind == "script" and Path(word).is_dir() else kind
        name = re.sub(r"[^A-Za-z0-9 ._+-]", "-", Path(word).stem if kind in ("policy", "run") else word)
        tables.append({"name": name, kind: word})
    grounds = []
    for word in worlds:
        tape = word.lower().endswith(".csv")
        grounds.append({"name": Path(word).stem, "tape": word} if tape else {"name": word, "scenario": word})
    document = {"entrant": tables, "world": grounds, "seeds": seeds, "ticks": ticks, "mixes": list(mixes)}
    return spec_of(document, "flags")
