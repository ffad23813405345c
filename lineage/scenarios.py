"""Where the files of data/ are: next to the packages in a checkout, under share/ when installed."""

import importlib.metadata
from functools import cache
from pathlib import Path

from arena.errors import ConfigError, EnvironmentFault

DISTRIBUTION = "lineage-arena"
_SHARE = "share/lineage-arena/"


@cache
def data_files() -> dict[str, Path]:
    """Return every file of data/ as {"scenarios/easy.toml": path}. Raises EnvironmentFault when there is none."""
    checkout = Path(__file__).resolve().parent.parent / "data"
    if (checkout / "scenarios").is_dir():
        return {
            path.relative_to(checkout).as_posix(): path for path in sorted(checkout.rglob("*")) if path.is_file()
        }
    try:
        listed = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        listed = []
    found = {}
    for entry in listed:
        _, share, name = entry.as_posix().partition(_SHARE)
        if share and (path := Path(str(entry.locate())).resolve()).is_file():
            found[name] = path
    if not any(name.startswith("scenarios/") for name in found):
        raise EnvironmentFault(f"the scenarios of {DISTRIBUTION} are not installed; install it again with pip")
    return found


def scenario_names() -> list[str]:
    """Return the names of the built-in scenarios, `default` first."""
    names = [name[10:-5] for name in data_files() if name.startswith("scenarios/") and name.endswith(".toml")]
    return sorted(names, key=lambda name: (name != "default", name))


def scenario_path(name: str) -> Path:
    """Return the file of a built-in scenario. Raises ConfigError naming the nearest one."""
    path = data_files().get(f"scenarios/{name}.toml") if name in scenario_names() else None
    if path is None:
        from lineage.settings_text import nearest  # only for a message

        if name.endswith(".toml") or "/" in name:
            raise ConfigError(f"scenario {name!r} is not a built-in name; to read a file use --config {name}")
        raise ConfigError(f"scenario {name!r} does not exist; {nearest(name, scenario_names())}")
    return path


def scenario_summary(name: str) -> str:
    """Return the first comment line of a scenario file: what it is for."""
    first = scenario_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()
