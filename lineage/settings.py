"""Where a configuration comes from: defaults < scenario < file < LINEAGE_ARENA_* environment < flags.

Every value remembers the place it came from, so that an error can name it and `config show` can list it.
"""

import contextlib
import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from arena.errors import ConfigError
from lineage.config import RunConfig
from lineage.scenarios import scenario_names, scenario_path
from lineage.settings_rules import check_rules
from lineage.settings_text import leaves, nearest, rule_of, sections_of, shown, toml_value

PREFIX = "LINEAGE_ARENA_"
NOT_SETTINGS = ("SEED", "THREADS", "DEVICE", "LEARNER")
"""Variables with the prefix that the command line reads itself: they are no part of a configuration."""

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Given:
    """One value that somebody gave, and where."""

    key: str  # "market.drift"
    value: object
    place: str  # for an error: "my.toml:3: market.drift" or "--set market.drift=x"
    source: str  # for `config show`: "my.toml:3"


@dataclass(frozen=True)
class Settings:
    """A checked configuration and the origin of every value in it that is not a default."""

    config: RunConfig
    origins: dict[str, str] = field(default_factory=dict)  # {"market.drift": "easy.toml:4"}


def load(
    scenario: str | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    assignments: Iterable[str] = (),
    flags: Mapping[str, tuple[object, str]] | None = None,
) -> Settings:
    """Return the configuration that results from all layers, the later ones winning.

    assignments: texts "market.drift=0.002" of `--set`; flags: {"rounds": (300, "--rounds 300")}; both are one
    layer, flags last. environment: defaults to the process's. Raises ConfigError naming place, value, rule, cure.
    """
    environment = os.environ if environment is None else environment
    from_file = read_file(file) if file is not None else []
    from_environment = read_environment(environment)
    from_flags = [read_assignment(text) for text in assignments]
    from_flags += [Given(key, value, place, place) for key, (value, place) in (flags or {}).items()]
    base = scenario
    for given in (*from_flags, *from_environment, *from_file):
        if given.key == "scenario" and base is None:
            check_type(given)
            if str(given.value) not in scenario_names():
                raise ConfigError(f"{given.place}: no scenario {shown(given.value)}; "
                                  f"{nearest(str(given.value), scenario_names())}")  # fmt: skip
            base = str(given.value)
    base = base if base is not None else "default"
    from_scenario = read_file(scenario_path(base))
    return resolve(base, [*from_scenario, *from_file, *from_environment, *from_flags])


def resolve(scenario: str, layers: Iterable[Given]) -> Settings:
    """Return the settings of values given in ascending order of precedence. Raises ConfigError."""
    strongest: dict[str, Given] = {}
    for given in layers:
        check_type(given)
        strongest[given.key] = given
    strongest["scenario"] = Given("scenario", scenario, "scenario", "scenario")
    tree: dict[str, Any] = {}
    for key, given in strongest.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = given.value
    config = msgspec.convert(tree, RunConfig)
    check_rules(config, {key: given.place for key, given in strongest.items()})
    return Settings(config, {key: given.source for key, given in strongest.items()})


def check_type(given: Given) -> None:
    """Raise ConfigError unless the value fits the type and range of its key."""
    kind = leaves()[given.key]
    try:
        value = msgspec.convert(given.value, kind)
    except msgspec.ValidationError:
        raise _misfit(given, rule_of(kind)) from None
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(math.isfinite(number) for number in numbers if isinstance(number, int | float)):
        raise _misfit(given, "finite")


def _misfit(given: Given, rule: str) -> ConfigError:
    default: Any = RunConfig()
    for name in given.key.split("."):
        default = getattr(default, name)
    return ConfigError(f"{given.place}: {shown(given.value)} is not {rule}; the default is {toml_value(default)}")


def check_key(key: str, place: str) -> None:
    """Raise ConfigError naming the nearest key unless `key` is a value that can be set."""
    if key in leaves():
        return
    sections = sections_of(RunConfig)
    if key in sections:
        inside = [name.partition(".")[2] for name in leaves() if name.startswith(f"{key}.")]
        raise ConfigError(f"{place}: {key!r} is a section, not a value; set one of its keys: {', '.join(inside)}")
    section, _, name = key.rpartition(".")
    same_name = [known for known in leaves() if known.rpartition(".")[2] == name]
    if same_name:
        raise ConfigError(f"{place}: unknown key {shown(key)}; did you mean {same_name[0]!r}?")
    inside = [known for known in leaves() if known.startswith(f"{section}.")] if section in sections else list(leaves())
    by_name = {known.rpartition(".")[2]: known for known in inside}
    close = difflib.get_close_matches(key, inside, n=1, cutoff=0.6)
    close = close or [by_name[word] for word in difflib.get_close_matches(name, by_name, n=1, cutoff=0.6)]
    cure = f"did you mean {close[0]!r}?" if close else f"`config show` lists all; sections: {', '.join(sections)}"
    raise ConfigError(f"{place}: unknown key {shown(key)}; {cure}")


def read_file(path: Path) -> list[Given]:
    """Return every value of a TOML file, keys checked. Raises ConfigError naming file and line."""
    text = _text_of(path)
    shown_path = _short(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found_at = re.search(r"\(at line (\d+), column \d+\)", str(error))
        place = f"{shown_path}:{found_at[1]}" if found_at else f"{shown_path}:{text.count(chr(10)) + 1}"
        problem = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise ConfigError(f"{place}: not valid TOML: {problem}; correct the line") from None
    except (RecursionError, ValueError) as error:
        problem = "nested too deep" if isinstance(error, RecursionError) else "a number is too long"
        raise ConfigError(f"{shown_path}: not usable TOML: {problem}; write plain keys and values") from None
    found = []
    sections = sections_of(RunConfig)
    for name, value in document.items():
        if name in sections and isinstance(value, dict):
            pairs = [(f"{name}.{inner}", inner_value) for inner, inner_value in value.items()]
        elif isinstance(value, dict) and name not in leaves():
            line = f"{shown_path}:{_line_of(text, name, '')}"
            raise ConfigError(f"{line}: unknown section {shown(name)}; {nearest(name, sections)}")
        else:
            pairs = [(name, value)]
        for key, inner_value in pairs:
            source = f"{shown_path}:{_line_of(text, *key.rpartition('.')[::2])}"
            place = f"{source}: {key}"
            check_key(key, source)
            found.append(Given(key, inner_value, place, source))
    return found


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: {'not a file' if path.exists() else 'no such file'}; name a TOML file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than 1 MiB; a configuration is a short TOML file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; a configuration is a TOML file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown(str(path))}: cannot be read: {error}; check the path and its permissions") from None


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError, OSError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _line_of(text: str, section: str, key: str) -> int:
    """Return the line (from 1) on which a key, or the header of a section, stands; 1 when it is written inline."""
    current, header = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"""\s*\[\s*["']?([\w-]+)["']?\s*\]""", line):
            current = match[1]
            header = number if current == section else header
        elif match := re.match(r"""\s*["']?([\w-]+)["']?\s*(\.\s*["']?([\w-]+)["']?\s*)?=""", line):
            dotted = (match[1], match[3]) if match[3] and not current else (current, match[1])
            if dotted == (section, key) or (not key and not current and match[1] == section):
                return number
    return header


def read_environment(environment: Mapping[str, str]) -> list[Given]:
    """Return every LINEAGE_ARENA_<SECTION>_<KEY> value. Raises ConfigError on an unknown one."""
    names = {key.replace(".", "_").upper(): key for key in leaves()}
    found = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in NOT_SETTINGS:
            continue
        if name not in names:
            close = difflib.get_close_matches(name, [*names, *NOT_SETTINGS], n=1, cutoff=0.6)
            cure = f"did you mean {PREFIX}{close[0]}?" if close else "unset it"
            raise ConfigError(f"environment: unknown variable {shown(variable)}; {cure}")
        key = names[name]
        found.append(Given(key, _value_of(environment[variable], key), variable, variable))
    return found


def read_assignment(text: str) -> Given:
    """Return the value of one `--set section.key=value`. Raises ConfigError on a bad form or an unknown key."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {shown(text)}: not of the form section.key=value; e.g. --set market.drift=0.002")
    place = f"--set {shown(key)[1:-1]}"
    check_key(key, place)
    return Given(key, _value_of(value.strip(), key), place, place)


def _value_of(text: str, key: str) -> object:
    """Return a value typed on a command line: TOML where it is TOML, else the bare text."""
    if leaves()[key] is not str:
        with contextlib.suppress(ValueError, RecursionError):
            document = tomllib.loads("value = " + re.sub(r"(?<![\w.])\.(?=\d)", "0.", text))  # .5 is fine in a shell
            if list(document) == ["value"]:
                return document["value"]
    return text.strip("\"'") if leaves()[key] is str else text
