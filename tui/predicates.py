"""The filter language of the population: `gen>40 scars>=3 clan:kestrel pnl<0`, all of them at once.

    filter     = term { blank term }
    term       = ["!"] ( column op number | column (":" | "=" | "!=") text | text )
    op         = > >= < <= = != :

A bare text is looked for in the clan's name, `#12` is the agent with that id. `!` turns a term around.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

NUMBERS: Final[Mapping[str, str]] = {
    "id": "agent id", "gen": "generations since the founder, from 0", "age": "age in rounds",
    "equity": "cash and shares at the close", "pnl": "equity above the endowment",
    "draw": "drawdown in percent", "damage": "points of damage", "scars": "scars received in life",
    "trades": "closed trades", "win": "won trades in percent", "kids": "children", "market": "market",
    "reward": "reward of the round", "loss": "loss of the learner", "entropy": "entropy of its actions",
    "eps": "exploration in percent",
}  # fmt: skip
TEXTS: Final[Mapping[str, str]] = {"clan": "name of the clan", "status": "paper, real or dead"}

_OPERATORS: Final[Mapping[str, Callable[..., Bools]]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
    "=": operator.eq, ":": operator.eq,
}  # fmt: skip
_TERM: Final = re.compile(r"(!?)([a-z]+)(>=|<=|!=|>|<|=|:)(.*)", re.IGNORECASE)


class FilterError(ValueError):
    """A filter that cannot be read; the message says where and what would do."""


@dataclass(frozen=True, slots=True)
class Term:
    """One predicate."""

    column: str
    relation: str
    number: float = math.nan
    text: str = ""
    negated: bool = False

    def holds(self, columns: Mapping[str, np.ndarray]) -> Bools:
        """Return [N] for whom it holds; a value that is not known satisfies nothing, not even a negation."""
        values = columns[self.column]
        if self.column in TEXTS:
            turned = self.negated != (self.relation == "!=")
            return np.array([(self.text in str(value).lower()) != turned for value in values], dtype=np.bool_)
        known = np.isfinite(values)
        result: Bools = known & (_OPERATORS[self.relation](values, self.number) != self.negated)
        return result


Filter = tuple[Term, ...]


def parse(text: str) -> Filter:
    """Return the predicates of a filter text, () for an empty one. Raises FilterError."""
    return tuple(_term(word) for word in text.split())


def _term(word: str) -> Term:
    match = _TERM.fullmatch(word)
    if match is None:
        negated, bare = word.startswith("!"), word.removeprefix("!").lower()
        if not bare:
            raise FilterError("'!' alone: nothing to turn around; write !clan:kestrel")
        if re.fullmatch(r"#[0-9]{1,18}", bare):
            return Term("id", "=", float(bare[1:]), negated=negated)
        return Term("clan", ":", text=bare, negated=negated)
    bang, column, relation, value = match.groups()
    column = column.lower()
    if column in TEXTS:
        if relation not in (":", "=", "!="):
            raise FilterError(f"{word}: {column} is a text; write {column}:{value or 'name'}")
        if not value:
            raise FilterError(f"{word}: a text is missing after {relation!r}")
        return Term(column, relation, text=value.lower(), negated=bool(bang))
    if column not in NUMBERS:
        from lineage.settings_text import nearest

        raise FilterError(f"{word}: no column {column!r}; {nearest(column, (*NUMBERS, *TEXTS))}")
    try:
        number = float(value.replace("_", "") if value.isascii() else "")
    except ValueError:
        raise FilterError(f"{word}: {value!r} is not a number") from None
    if not math.isfinite(number):
        raise FilterError(f"{word}: {value!r} is not a finite number")
    return Term(column, relation, number, negated=bool(bang))


def matching(terms: Filter, columns: Mapping[str, np.ndarray], count: int) -> Bools:
    """Return [count] for whom every predicate holds."""
    found = np.ones(count, dtype=np.bool_)
    for term in terms:
        found &= term.holds(columns)
    return found
