"""Configuration as text: rules in words, values in TOML, field docstrings, the JSON schema."""

import ast
import difflib
import inspect
import json
import textwrap
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from arena.config import Section
from lineage.config import RunConfig


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return "did you mean ...?" for the closest choice, or the list of all when none is close."""
    known = list(choices)
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.55)
    return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(known)}"


def shown(value: object, limit: int = 60) -> str:
    """Return a value on one line, cut to `limit` characters, control characters escaped."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


@cache
def leaves() -> dict[str, Any]:
    """Return {"market.drift": its annotated type} for every value that can be set, in order of definition."""
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(RunConfig, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            for inner, inner_kind in get_type_hints(kind, include_extras=True).items():
                found[f"{name}.{inner}"] = inner_kind
        elif not name.startswith("__"):
            found[name] = kind
    return {key: kind for key, kind in found.items() if key.rpartition(".")[2] in _field_names()}


@cache
def _field_names() -> frozenset[str]:
    sections: list[type[Section]] = [RunConfig, *sections_of(RunConfig).values()]
    return frozenset(field.name for section in sections for field in msgspec.structs.fields(section))


@cache
def sections_of(kind: type[Section]) -> dict[str, type[Section]]:
    """Return {"market": MarketConfig, ...} for a composed configuration."""
    return {
        field.name: field.type
        for field in msgspec.structs.fields(kind)
        if isinstance(field.type, type) and issubclass(field.type, Section)
    }


def rule_of(kind: Any) -> str:
    """Return the rule of an annotated type in words: "a number >= 0 and <= 1"."""
    bounds = ""
    if get_origin(kind) is Annotated:
        kind, *metas = get_args(kind)
        bounds = " and ".join(_bounds_of(meta) for meta in metas if isinstance(meta, Meta) and _bounds_of(meta))
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in args)
    if origin is tuple:
        return f"a list of {len(args)}, each {rule_of(args[0])}"
    if isinstance(kind, UnionType):
        return " or ".join(rule_of(arg) for arg in args)
    return f"{_NOUNS.get(kind, str(kind))} {bounds}".rstrip()


_NOUNS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text in quotes"}


def _bounds_of(meta: Meta) -> str:
    pairs = ((">", meta.gt), (">=", meta.ge), ("<", meta.lt), ("<=", meta.le))
    return " and ".join(f"{sign} {bound:.15g}" for sign, bound in pairs if bound is not None)


def toml_value(value: object) -> str:
    """Return a scalar or a list of scalars as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    raise TypeError(f"no TOML for {type(value).__name__}")


def to_toml(config: RunConfig, notes: dict[str, str] | None = None, *, explain: bool = False) -> str:
    """Return a whole configuration as TOML, which the settings loader reads back to an equal one.

    notes: {"market.drift": text} put behind a value as a comment; explain: field docstrings above each value.
    """
    lines = _toml_lines("", config, notes or {}, explain)
    for name, kind in sections_of(RunConfig).items():
        section = getattr(config, name)
        lines += ["", *(_comment(inspect.getdoc(kind) or "") if explain else []), f"[{name}]"]
        lines += _toml_lines(f"{name}.", section, notes or {}, explain)
    return "\n".join(lines) + "\n"


def _toml_lines(prefix: str, section: Section, notes: dict[str, str], explain: bool) -> list[str]:
    lines = []
    for field in msgspec.structs.fields(type(section)):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            continue
        if explain:
            lines += _comment(field_docs(type(section)).get(field.name, ""))
        line = f"{field.name} = {toml_value(value)}"
        note = notes.get(prefix + field.name)
        lines.append(f"{line}  # {note}" if note else line)
    return lines


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 110)]


@cache
def field_docs(kind: type[Section]) -> dict[str, str]:
    """Return {field: the docstring under it} of a section, read from its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    docs: dict[str, str] = {}
    last = ""
    for node in body.body if isinstance(body, ast.ClassDef) else []:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            docs[last] = " ".join(str(node.value.value).split())
            last = ""
    return docs


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario or configuration file, field docstrings as descriptions."""
    schema = msgspec.json.schema(RunConfig)
    definitions = schema["$defs"]
    kinds: list[type[Section]] = [RunConfig, *sections_of(RunConfig).values()]
    for kind in kinds:
        for name, doc in field_docs(kind).items():
            described = definitions[kind.__name__]["properties"][name]
            if "$ref" not in described:  # siblings of $ref are ignored by older readers
                described["description"] = doc
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "lineage-arena", **schema}
