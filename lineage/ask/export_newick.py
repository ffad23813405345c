"""Newick and NEXUS: forests as trees for the tools of phylogenetics. Iterative: any depth.

Two ways to make a tree of people who live on after they had children:

    agents   every agent is a node, its length the time from its parent's birth to its own: the genealogy itself, with
             inner nodes that have names, single children and several children at once
    lives    every agent is a tip at its death or at the present, every inner node a birth: a time tree with two
             branches at each node, as tools for species want it; living ancestors are tips like anybody else

Labels are CLAN-ID. Times are those of the tree that was read.
"""

import re
from collections.abc import Iterator
from typing import IO, Final, Literal

import numpy as np

from lineage.ask.tree import Tree

Style = Literal["agents", "lives"]

_BARE: Final = re.compile(r"[A-Za-z0-9.-]+")
_BARE_NEXUS: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")


def label_of(tree: Tree, row: int) -> str:
    """Return the unique label of an agent: its clan and its id."""
    return f"{tree.name(row)}-{tree.ids[row]}"


def quoted(label: str, bare: re.Pattern[str] = _BARE) -> str:
    """Return a label as Newick and NEXUS spell it: in single quotes, doubled inside, unless it needs none.

    Line breaks and other control characters have no place in either format: they are written as escapes.
    """
    if bare.fullmatch(label):
        return label
    clean = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in label)
    return "'" + clean.replace("'", "''") + "'"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


class _Forest:
    """A tree as plain lists, which are quicker than arrays one element at a time."""

    def __init__(self, tree: Tree, bare: re.Pattern[str]) -> None:
        self.parent: list[int] = tree.parent.tolist()
        self.born: list[float] = tree.origin_time.tolist()
        self.end: list[float] = np.where(tree.extant, tree.present, tree.destruction_time).tolist()
        ids, founders = tree.ids.tolist(), tree.ids[tree.founder].tolist()
        clans = {founder: tree.clans.get(founder, f"#{founder}") for founder in set(founders)}
        self.labels = [quoted(f"{clans[f]}-{agent}", bare) for f, agent in zip(founders, ids, strict=True)]
        has_parent = np.flatnonzero(tree.parent >= 0)
        order = np.lexsort((has_parent, tree.origin_time[has_parent], tree.parent[has_parent]))
        self._children: list[int] = has_parent[order].tolist()  # of each row in order of birth
        self._starts = np.searchsorted(tree.parent[has_parent][order], np.arange(len(tree) + 1)).tolist()

    def children(self, row: int) -> list[int]:
        """Return the rows of an agent's children in order of birth."""
        return self._children[self._starts[row] : self._starts[row + 1]]


def newick_lines(tree: Tree, style: Style = "agents", bare: re.Pattern[str] = _BARE) -> Iterator[tuple[int, str]]:
    """Yield (row of the founder, Newick text with its semicolon) for each tree of the forest, by founder."""
    forest = _Forest(tree, bare)
    spell = _agents if style == "agents" else _lives
    for founder in np.flatnonzero(tree.parent < 0).tolist():
        yield founder, "".join(spell(forest, founder)) + ";"


def _agents(forest: _Forest, founder: int) -> Iterator[str]:
    """Yield the pieces of a tree whose nodes are agents; the founder's own length is 0."""
    stack = [(founder, iter(forest.children(founder)))]
    fresh = True  # whether the newest node on the stack has shown no child yet
    while stack:
        row, rest = stack[-1]
        child = next(rest, None)
        if child is not None:
            yield "(" if fresh else ","
            stack.append((child, iter(forest.children(child))))
            fresh = True
            continue
        stack.pop()
        if not fresh:
            yield ")"
        length = forest.born[row] - forest.born[forest.parent[row]] if stack else 0.0
        yield f"{forest.labels[row]}:{_number(length)}"
        fresh = False


def _lives(forest: _Forest, founder: int) -> Iterator[str]:
    """Yield the pieces of a tree whose tips are agents: each birth splits the parent's line in two."""
    stack: list[tuple[int, list[int], int]] = [(founder, forest.children(founder), 0)]
    while stack:
        row, children, done = stack.pop()
        if done:
            yield ","
        if done < len(children):
            yield "("
            stack.append((row, children, done + 1))
            child = children[done]
            stack.append((child, forest.children(child), 0))
            continue
        times = [forest.born[row], *(forest.born[child] for child in children)]
        yield f"{forest.labels[row]}:{_number(forest.end[row] - times[-1])}"
        for later, earlier in zip(times[:0:-1], times[-2::-1], strict=True):
            yield f"):{_number(later - earlier)}"


def write_newick(tree: Tree, file: IO[bytes], style: Style = "agents") -> None:
    """Write one tree a line."""
    for _, text in newick_lines(tree, style):
        file.write(f"{text}\n".encode("utf-8", "replace"))


def write_nexus(tree: Tree, file: IO[bytes], style: Style = "agents") -> None:
    """Write a TAXA block with the tips and a TREES block with one rooted tree a founder."""
    is_tip = np.ones(len(tree), dtype=np.bool_)
    if style == "agents":
        is_tip[tree.parent[tree.parent >= 0]] = False
    tips = np.flatnonzero(is_tip).tolist()
    file.write(f"#NEXUS\nBEGIN TAXA;\n  DIMENSIONS NTAX={len(tips)};\n  TAXLABELS\n".encode())
    for row in tips:
        file.write(f"    {quoted(label_of(tree, row), _BARE_NEXUS)}\n".encode("utf-8", "replace"))
    file.write(b"  ;\nEND;\nBEGIN TREES;\n")
    for founder, text in newick_lines(tree, style, _BARE_NEXUS):
        name = quoted(label_of(tree, founder), _BARE_NEXUS)
        file.write(f"  TREE {name} = [&R] {text}\n".encode("utf-8", "replace"))
    file.write(b"END;\n")
