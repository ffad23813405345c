"""The neutral null: is a clan's success more than luck?

The births and deaths of the run stay as they are, agent by agent; only who the parent was is drawn anew, at each
birth of an heir evenly among all who were then alive and trading (the real parent always among them). Founders and
immigrants stay founders. What is left is a Moran-like process (Moran 1958) with the recorded demography, in which a
clan grows by luck alone. A clan's p-value is the share of replicates, the real run counted as one of them, in which it
did at least as well (Davison & Hinkley 1997, eq. 4.11), so it is never 0; Holm 1979 corrects for asking about many.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from arena.errors import ConfigError
from arena.rng import stream
from lineage.ask.tree import Floats, Ints, Tree

Statistic = Literal["born", "alive"]
_CELLS: Final = 20_000_000
"""Most clan sizes held at once: more replicates are computed in portions."""


@dataclass(frozen=True, slots=True, eq=False)
class NeutralTest:
    """One row a clan that could have had heirs; arrays [c]."""

    founder: Ints  # row of the clan's founder
    observed: Ints  # heirs ever born, or members alive now
    expected: Floats  # mean of the replicates
    low: Floats  # 2.5 % and
    high: Floats  # 97.5 % quantile of the replicates
    p_value: Floats
    p_adjusted: Floats  # Holm, over all rows
    replicates: int
    births: int  # heirs whose parent was drawn
    largest_p: float | None  # of the size of the largest clan, whichever it is; None without births
    statistic: Statistic


def neutral_test(
    tree: Tree, graduation: Ints | None = None, *, statistic: Statistic = "born", replicates: int = 999, seed: int = 1
) -> NeutralTest:
    """Return how often chance alone gives each clan what it has.

    graduation: [n] round from which an agent could be a parent, -1 never; without it birth is enough. The result is a
    function of the tree, the replicates and the seed.
    """
    founders = np.flatnonzero(tree.parent < 0)
    if not len(founders):
        raise ConfigError("the neutral null needs a history with at least one agent; this one is empty")
    schedule = _schedule(tree, graduation)
    portion = max(1, min(replicates, _CELLS // max(len(founders), schedule.peak)))
    parts = []
    for number, start in enumerate(range(0, replicates, portion)):
        rng = stream(seed, "neutral null", number)
        parts.append(_replicates(tree, schedule, min(portion, replicates - start), rng, statistic))
    drawn = np.concatenate(parts)  # [R,c]
    counted = tree.parent >= 0 if statistic == "born" else tree.extant
    observed = np.bincount(tree.founder[counted], minlength=len(tree))[founders]
    p_value = (1.0 + (drawn >= observed).sum(axis=0)) / (replicates + 1.0)
    births = int((tree.parent >= 0).sum())
    largest = (1.0 + (drawn.max(axis=1) >= observed.max()).sum()) / (replicates + 1.0) if births else None
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return NeutralTest(
        founders, observed, drawn.mean(axis=0), low, high, p_value, holm(p_value), replicates, births,
        None if largest is None else float(largest), statistic,
    )  # fmt: skip


def holm(p_value: Floats) -> Floats:
    """Return p-values corrected for their number, step-down (Holm 1979)."""
    order = np.argsort(p_value, kind="stable")
    raised = np.maximum.accumulate(p_value[order] * np.arange(len(p_value), 0, -1))
    adjusted = np.empty(len(p_value))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


_DEATH, _FOUNDED, _ABLE, _HEIR, _GONE = range(5)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """What happens, in order: kinds and rows, and how many are alive at most."""

    kind: list[int]
    row: list[int]
    peak: int


def _schedule(tree: Tree, graduation: Ints | None) -> _Schedule:
    """Return all moments that matter. At one time: deaths, founders, new parents, births of heirs.

    Who can be a parent from birth on becomes one after the births of that moment. The dead are drawn no more, but
    kept until their last child is born: foreign histories know posthumous ones.
    """
    since = tree.origin_time if graduation is None else np.where(graduation >= 0, graduation, np.nan)
    able = np.flatnonzero(~np.isnan(since) & ~(tree.destruction_time <= since))
    founders, heirs = np.flatnonzero(tree.parent < 0), np.flatnonzero(tree.parent >= 0)
    dead = np.flatnonzero(~tree.extant)
    mortal = able[~tree.extant[able]]
    gone = np.where(tree.extant, np.inf, tree.destruction_time)
    np.maximum.at(gone, tree.parent[heirs], tree.origin_time[heirs])
    parts = (
        (_DEATH, mortal, tree.destruction_time), (_FOUNDED, founders, tree.origin_time), (_ABLE, able, since),
        (_HEIR, heirs, tree.origin_time), (_GONE, dead, gone),
    )  # fmt: skip
    kind = np.concatenate([np.full(len(rows), number) for number, rows, _ in parts])
    row = np.concatenate([rows for _, rows, _ in parts])
    time = np.concatenate([moments[rows] for _, rows, moments in parts])
    from_birth = (kind == _ABLE) & (time <= tree.origin_time[row]) & (tree.parent[row] >= 0)
    rank = np.where(from_birth, _HEIR + 1, np.where(kind == _GONE, _HEIR + 2, kind))
    order = np.lexsort((row, rank, time))
    change = np.array([0, 1, 0, 1, -1])[kind[order]]
    return _Schedule(kind[order].tolist(), row[order].tolist(), int(np.cumsum(change).max(initial=1)))


def _replicates(
    tree: Tree, schedule: _Schedule, count: int, rng: np.random.Generator, statistic: Statistic
) -> Ints:
    """Return [count,c] the statistic of each founder's clan in `count` histories with drawn parents."""
    parent, extant, each = tree.parent.tolist(), tree.extant.tolist(), np.arange(count)
    number = np.cumsum(tree.parent < 0) - 1  # of a founder's clan
    sizes = np.zeros((count, int((tree.parent < 0).sum())), dtype=np.int64)
    clan = np.empty((schedule.peak + 1, count), dtype=np.int32)  # [slots,count] of everybody alive
    free: list[int] = list(range(schedule.peak, -1, -1))
    slot: dict[int, int] = {}  # row -> slot
    pool = np.empty(schedule.peak + 2, dtype=np.int64)  # slots of those who could be a parent, `able` of them
    able, place = 0, dict[int, int]()  # slot -> where it is in the pool
    for kind, row in zip(schedule.kind, schedule.row, strict=True):
        if kind == _GONE:
            free.append(slot.pop(row))
        elif kind == _DEATH:
            hole = place.pop(slot[row])
            able -= 1
            if hole != able:
                pool[hole] = pool[able]
                place[int(pool[hole])] = hole
        elif kind == _ABLE:
            pool[able], place[slot[row]] = slot[row], able
            able += 1
        else:
            mine = slot[row] = free.pop()
            if kind == _FOUNDED:
                clan[mine] = number[row]
                sizes[:, number[row]] += statistic == "alive" and extant[row]
                continue
            real = slot[parent[row]]
            pool[able] = real  # one more choice, if the real parent is not among them
            chosen = pool[rng.integers(0, able + (real not in place), size=count)]
            clan[mine] = clan[chosen, each]
            if statistic == "born" or extant[row]:
                sizes[each, clan[mine]] += 1
    return sizes
