"""Whether the four package names are ours, here and in processes that we start. Standard library only: runs first."""

import importlib.metadata
import importlib.util
import os
from pathlib import Path

NAMES = ("arena", "agents", "lineage", "tui")
DISTRIBUTION = "lineage-arena"


def locate(name: str) -> Path | None:
    """Return the folder that `import name` would take, or None."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        return None
    return Path(spec.origin).resolve().parent


def find_conflict(expected: Path | None = None) -> str:
    """Return one line naming the distribution that shadows a package, "" when all four are ours.

    expected: the folder that holds all four; by default the one that this file was imported from.
    """
    parent = expected if expected is not None else Path(__file__).resolve().parent.parent
    for name in NAMES:
        folder = locate(name)
        if folder is None:
            return f"package {name!r} is not importable; install {DISTRIBUTION} again"
        if folder.parent != parent:
            others = sorted(set(owners(name)) - {DISTRIBUTION}) or ["something outside pip"]
            return (
                f"package {name!r} comes from {folder}, owned by {', '.join(others)}, not from {DISTRIBUTION}; "
                f"install {DISTRIBUTION} into an environment of its own"
            )
    return ""


def environment() -> dict[str, str]:
    """Return an environment in which another python finds these four packages, installed or not."""
    paths = [str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def owners(name: str) -> list[str]:
    """Return the distributions that claim a top-level name; slow (reads all metadata), for doctor and for errors."""
    return sorted(set(importlib.metadata.packages_distributions().get(name, [])))
