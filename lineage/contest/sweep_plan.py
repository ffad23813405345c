"""What a sweep consists of: every variant of a configuration with every seed, and the directory that holds them."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from arena.errors import ConfigError, EnvironmentFault
from lineage import settings
from lineage.config import RunConfig, to_plain
from lineage.record.digests import config_text, sha256_text
from lineage.record.provenance import versions
from lineage.settings_text import shown

PLAN_NAME: Final = "sweep.json"
MOST_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of the values that are varied."""

    name: str  # "inheritance=darwinian"; also its directory
    values: dict[str, object]  # {"lineage.inheritance": "darwinian"}
    config: RunConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """Every run of a sweep: all variants with all seeds."""

    variants: tuple[Variant, ...]
    seeds: range

    @property
    def tasks(self) -> list["Task"]:
        """All runs, seed by seed, so that an unfinished sweep still holds pairs."""
        return [Task(variant.name, variant.config, seed) for seed in self.seeds for variant in self.variants]

    def identity(self) -> dict[str, object]:
        """Return what must agree for a directory to go on with this sweep; more seeds may be added later."""
        variants = {variant.name: sha256_text(config_text(to_plain(variant.config))) for variant in self.variants}
        return {"format": 1, "variants": variants, "versions": versions()}


@dataclass(frozen=True, slots=True)
class Task:
    """One run of a sweep."""

    variant: str
    config: RunConfig
    seed: int

    def directory(self, root: Path) -> Path:
        """Return where the run lies in a sweep's directory."""
        return root / self.variant / f"seed-{self.seed}"


def make_plan(
    scenario: str | None, vary: Iterable[str], seeds: range, rounds: int | None,
    file: Path | None = None, assignments: Iterable[str] = (),
) -> Plan:  # fmt: skip
    """Return the plan of "key=value,value,..." texts. Raises ConfigError naming key, value and cure."""
    axes = [_axis(text) for text in vary]
    keys = [key for key, _ in axes]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigError(f"--vary {doubled[0]}: given twice; write all its values behind one --vary")
    if not axes or all(len(values) < 2 for _, values in axes):
        one = f"--vary {keys[0]}: a single value" if keys else "--vary: no key"
        raise ConfigError(f"{one} compares nothing; give at least two values, key=value,value")
    base = {} if rounds is None else {"rounds": (rounds, f"--rounds {rounds}")}
    variants = []
    for values in product(*(values for _, values in axes)):
        chosen = dict(zip(keys, values, strict=True))
        flags = base | {key: (value, f"--vary {key}={_word(value)}") for key, value in chosen.items()}
        config = settings.load(scenario, file=file, assignments=assignments, flags=flags).config
        variants.append(Variant(_name(chosen), chosen, config))
    if len({variant.name for variant in variants}) < len(variants):
        raise ConfigError("--vary: two variants would share a directory's name; shorten or drop one of the values")
    if len(variants) * len(seeds) > MOST_RUNS:
        raise ConfigError(f"--vary: {len(variants)} variants and {len(seeds)} seeds are more than {MOST_RUNS} runs")
    return Plan(tuple(variants), seeds)


def _axis(text: str) -> tuple[str, list[object]]:
    """Return key and values of one --vary."""
    key, equals, rest = text.partition("=")
    key = key.strip()
    if not equals or not key or not rest.strip():
        raise ConfigError(f"--vary {shown(text)}: not of the form key=value,value; e.g. --vary body.fee_bps=3,10")
    place = f"--vary {shown(key)[1:-1]}"
    settings.check_key(key, place)
    if key in ("rounds", "scenario"):
        raise ConfigError(f"{place}: runs of different {key} have nothing to be paired by; sweep them apart")
    values: list[object] = []
    for word in _split(rest):
        given = settings.read_assignment(f"{key}={word}")
        settings.check_type(settings.Given(key, given.value, place, place))
        if given.value in values:
            raise ConfigError(f"{place}: {shown(word)} stands twice; name each value once")
        values.append(given.value)
    return key, values


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    words, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and depth <= 0:
            words.append("")
        else:
            words[-1] += char
    return [word.strip() for word in words]


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name(values: Mapping[str, object]) -> str:
    """Return a name for people and file systems: the last part of each key and its value."""
    parts = [f"{key.rpartition('.')[2]}={_word(value)}" for key, value in values.items()]
    return re.sub(r"[^A-Za-z0-9.=_+-]+", "_", "+".join(parts))[:120]


def claim(directory: Path, plan: Plan) -> None:
    """Make a sweep's directory, or accept the one that this sweep has begun. Raises ConfigError on any other."""
    path = directory / PLAN_NAME
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path}: is damaged ({error}); choose another --out") from None
        if known != plan.identity():
            raise ConfigError(f"{directory}: {_difference(known, plan.identity())}; choose another --out")
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory}: is not empty and holds no sweep; choose an empty or new directory for --out")
    directory.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(plan.identity(), indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a small file that is there completely or as it was. Raises EnvironmentFault naming it."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise EnvironmentFault(f"{path}: {error.strerror}; free space or choose another --out") from error


def _difference(known: Any, mine: dict[str, Any]) -> str:
    if not isinstance(known, dict) or known.get("format") != mine["format"]:
        return "holds a sweep of another format"
    if known.get("versions") != mine["versions"]:
        return "holds a sweep that another build began"
    theirs = known.get("variants", {})
    if odd := sorted(set(theirs) ^ set(mine["variants"])):
        return f"holds another sweep ({odd[0]} is only in one of them)"
    return "holds another sweep (same values, another configuration around them)"
