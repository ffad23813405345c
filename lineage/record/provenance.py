"""Where results come from: the builds that determine them, and the machine they were made on."""

import os
import platform
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

import lineage
from arena.spec import OBSERVATION_VERSION
from lineage.record.digests import canonical, sha256_text

_LIBRARIES = ("numpy", "torch", "mesa", "msgspec")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def versions() -> dict[str, str]:
    """Return the versions that determine results; they are part of the genesis.

    The machine is not: the same seed and build should give the same history anywhere. Where they
    do not, the session's numerics fingerprint tells why.
    """
    return {
        "lineage_arena": lineage.__version__,
        "observation": str(OBSERVATION_VERSION),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": _version("numpy"),
        "torch": _version("torch"),
    }


@dataclass(frozen=True, slots=True)
class Session:
    """One process at work on a run: a row of table `session` without number and hash."""

    started_at: str  # ISO 8601, UTC
    pid: int
    threads: int
    device: str
    numerics: str
    python: str
    torch: str
    numpy: str
    package: str
    provenance: str

    def self_hash(self, session_id: int) -> str:
        """Return the hash (hex) over number and columns: edits by hand show."""
        columns: dict[str, int | str] = {name: getattr(self, name) for name in self.__slots__}
        return sha256_text(canonical(columns | {"session_id": session_id}, "session"))


def _ascii(text: str) -> str:
    """Printable ASCII whatever the machine calls itself."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)


def provenance_document(parameters: Mapping[str, str | int]) -> dict[str, object]:
    """Return {schema_version, software, parameters, environment}, after the example of tskit.

    parameters: what the person asked for, such as the command. No host or user name is recorded.
    """
    return {
        "schema_version": "1.0.0",
        "software": {"name": "lineage-arena", "version": lineage.__version__},
        "parameters": {key: _ascii(item) if isinstance(item, str) else item for key, item in parameters.items()},
        "environment": {
            "os": {"system": platform.system(), "release": _ascii(platform.release()), "machine": platform.machine()},
            "python": {"implementation": platform.python_implementation(), "version": platform.python_version()},
            "libraries": {name: _version(name) for name in _LIBRARIES} | {"sqlite": sqlite3.sqlite_version},
        },
    }


def session(
    threads: int, device: str, numerics: str = "", parameters: Mapping[str, str | int] | None = None
) -> Session:
    """Return the session of this process; numerics: a fingerprint of what the machine computes."""
    return Session(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pid=os.getpid(),
        threads=threads,
        device=_ascii(device),
        numerics=_ascii(numerics),
        python=platform.python_version(),
        torch=_version("torch"),
        numpy=_version("numpy"),
        package=lineage.__version__,
        provenance=canonical(provenance_document(parameters or {}), "provenance"),
    )
