"""`doctor`: what this machine offers and what stands in the way."""

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tui import packages
from tui.diagnostics import ExitCode, emit, error

REQUIRED = (
    "numpy", "torch", "mesa", "gymnasium", "pettingzoo", "sqlite-utils", "rich", "textual", "click", "msgspec",
    "safetensors", "platformdirs",
)  # fmt: skip
EXTRAS = {
    "ray": "ray", "report": "matplotlib", "parquet": "pyarrow", "sb3": "stable-baselines3",
    "tensorboard": "tensorboard", "serve": "datasette",
}  # fmt: skip
"""{extra of pyproject.toml: the distribution that it brings}"""


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str


def check_python() -> Check:
    """3.11 is the oldest that the code is written for."""
    text = f"{platform.python_version()} at {sys.executable}"
    return Check("python", "ok" if sys.version_info >= (3, 11) else "fail", text)


def check_packages() -> Check:
    """The four names have to be ours, wherever else they are claimed."""
    if conflict := packages.find_conflict():
        return Check("packages", "fail", conflict)
    claims = {name: sorted(set(packages.owners(name)) - {packages.DISTRIBUTION}) for name in packages.NAMES}
    rivals = [f"{name} also belongs to {', '.join(others)}" for name, others in claims.items() if others]
    if rivals:
        return Check("packages", "fail", "; ".join(rivals) + f"; give {packages.DISTRIBUTION} its own environment")
    return Check("packages", "ok", f"{', '.join(packages.NAMES)} from {Path(__file__).resolve().parent.parent}")


def check_dependencies() -> Check:
    """Every core dependency is installed; which extras are."""
    found, missing = [], []
    for name in REQUIRED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("dependencies", "fail", f"missing: {', '.join(missing)}; install {packages.DISTRIBUTION} again")
    return Check("dependencies", "ok", ", ".join(found))


def check_extras() -> Check:
    """Extras are optional: their absence is no fault."""
    have = [extra for extra, name in EXTRAS.items() if _installed(name)]
    rest = [extra for extra in EXTRAS if extra not in have]
    return Check("extras", "ok", f"installed: {', '.join(have) or 'none'}; not installed: {', '.join(rest) or 'none'}")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_sqlite() -> Check:
    """STRICT tables need 3.37; before 3.51.3 two connections that checkpoint at once can corrupt a WAL."""
    version, text = sqlite3.sqlite_version_info, sqlite3.sqlite_version
    if version < (3, 37, 0):
        return Check("sqlite", "fail", f"{text} is older than 3.37 (STRICT tables); use a newer Python")
    if version < (3, 51, 3):
        return Check("sqlite", "warn", f"{text}: keep to one writer a run (WAL-reset bug before 3.51.3)")
    return Check("sqlite", "ok", text)


def check_torch() -> Check:
    """Version, threads and devices of the tensor library; importing it is the test."""
    try:
        import torch
    except (ImportError, OSError) as problem:
        return Check("torch", "fail", f"cannot be imported: {problem}; install it through constraints.txt")
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    detail = f"{torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, CUDA device: {cuda}"
    return Check("torch", "ok", detail)


def check_learner() -> Check:
    """Whether the fused kernel can be compiled here; without it runs are slower, not worse."""
    try:
        from agents.fused import resolve
    except (ImportError, OSError) as problem:
        return Check("learner", "fail", f"cannot be imported: {problem}; see torch")
    learner, reason = resolve("auto")
    return Check("learner", "ok" if learner == "fused" else "warn", f"{learner}: {reason}")


def check_ticks() -> Check:
    """Whether the kernel of the arena can be compiled here; without it ticks take longer and come out the same."""
    from arena.kernel.binding import find

    found = find()
    if isinstance(found, str):
        return Check("ticks", "warn", f"numpy: {found}")
    return Check("ticks", "ok", "C: compiled here and equal to numpy")


def check_disk() -> Check:
    """Runs are written under the current directory unless --out says otherwise."""
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 2**30
    try:
        with tempfile.TemporaryFile(dir=here):
            pass
    except OSError as problem:
        return Check("disk", "fail", f"{here} is not writable ({problem.strerror}); change directory or use --out")
    detail = f"{free:.1f} GiB free in {here}"
    return Check("disk", "ok" if free >= 1.0 else "warn", detail)


def check_scenarios() -> Check:
    """The built-in scenarios are found and each of them is valid."""
    from arena.errors import ArenaError
    from lineage.scenarios import scenario_names
    from lineage.settings import load

    try:
        names = scenario_names()
        for name in names:
            load(name, environment={})
    except ArenaError as problem:
        return Check("scenarios", "fail", str(problem))
    return Check("scenarios", "ok", ", ".join(names))


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python, check_packages, check_dependencies, check_extras, check_sqlite, check_torch, check_learner,
    check_ticks, check_disk, check_scenarios,
)  # fmt: skip


def report(*, as_json: bool) -> int:
    """Print every check; exit code 5 when one of them fails."""
    checks = [check() for check in CHECKS]
    if as_json:
        emit(json.dumps({"ok": all(one.state != "fail" for one in checks), "checks": [asdict(one) for one in checks]},
                        indent=2))  # fmt: skip
    else:
        for one in checks:
            emit(f"{one.state:<5}{one.name:<14}{one.detail}")
    failed = [one.name for one in checks if one.state == "fail"]
    if failed:
        error(f"doctor: {', '.join(failed)}: see above for the cure")
    return ExitCode.ENVIRONMENT if failed else ExitCode.OK
