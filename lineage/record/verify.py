"""Does this history hold? Four levels, each a promise of its own.

    structural     the file is whole, the guards are in place, life comes in the right order
    cryptographic  every row is under a hash, every hash and root follows from the rows
    accounting     the money adds up; every death and birth follows from the entries
    causal         played again from its seed, the same history comes out (only with `replay`)

The verifier trusts nothing in the file: damaged data is a finding, never an exception. Against
somebody who rewrites the whole file and all its hashes, only a checkpoint line or head that was
kept elsewhere helps.
"""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from arena.errors import ConfigError, StoreError
from lineage.record.findings import Findings
from lineage.record.note import Checkpoint, parse_checkpoint
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from lineage.record.verify_accounts import check_accounts
from lineage.record.verify_chain import Chain, check_chain
from lineage.record.verify_structure import check_structure

Replayer = Callable[[Path], list[str]]
"""Plays a run's directory again from its seed; returns what came out differently, a line each."""

_HEAD = re.compile(r"[0-9a-f]{64}")


class Level(NamedTuple):
    """The outcome of one level."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class VerifyReport:
    """What verify found; `ok` only if every level is."""

    directory: str
    run_id: str = ""
    n_events: int = 0
    head: str = ""  # recomputed
    root: str = ""  # recomputed
    levels: list[Level] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the history holds."""
        return bool(self.levels) and all(level.ok for level in self.levels)

    @property
    def checkpoint_line(self) -> str:
        """The line to keep elsewhere; it pins everything recorded so far."""
        return Checkpoint(self.run_id, self.n_events, self.root).line

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            "directory": self.directory,
            "run": self.run_id,
            "n_events": self.n_events,
            "head": self.head,
            "root": self.root,
            "checkpoint_line": self.checkpoint_line,
            "levels": [level._asdict() for level in self.levels],
            "findings": self.findings,
        }

    def conclude(self, out: Findings, detail: str) -> None:
        """Add the outcome of a level."""
        if out.count:
            more = f" and {out.count - 1} more" if out.count > 1 else ""
            detail = f"{out.texts[0]}{more}"
        self.levels.append(Level(out.level, out.count == 0, detail))
        self.findings += [f"{out.level}: {text}" for text in out.texts]


def verify(
    directory: Path,
    *,
    replay: bool = False,
    checkpoint: str | None = None,
    head: str | None = None,
    replayer: Replayer | None = None,
) -> VerifyReport:
    """Check the history in a run's directory and report on each level.

    checkpoint: kept from this run, as a line or in the C2SP form (record/note.py); head: 64 hex digits kept
    from it. Raises ConfigError when one of them is malformed, StoreError when there is no run at all; anything else is
    a finding.
    """
    wanted = None if checkpoint is None else parse_checkpoint(checkpoint)
    if head is not None and not _HEAD.fullmatch(head.strip()):
        raise ConfigError(f"head: {head.strip()[:80]!r} is not 64 hex digits; copy what the run printed")
    path = directory / FILE_NAME
    if not path.is_file():
        raise StoreError(f"{directory}: there is no {FILE_NAME} to verify; name a run's directory")
    report = VerifyReport(str(directory))
    structure = Findings("structural")
    try:
        connection = connect_reader(path)
    except StoreError as error:
        structure.add(str(error))
        report.conclude(structure, "")
        return report
    with closing(connection):
        _verify_database(connection, directory, report, structure, wanted, None if head is None else head.strip())
    if replay:
        causal = Findings("causal")
        with causal.reading("replay"):
            _replay(directory, replayer, causal)
        report.conclude(causal, "played again, the same history came out")
    return report


def _verify_database(
    connection: sqlite3.Connection,
    directory: Path,
    report: VerifyReport,
    structure: Findings,
    wanted: Checkpoint | None,
    head: str | None,
) -> None:
    """Run the first three levels on one snapshot, so that a run in progress can be verified."""
    with structure.reading("file"):
        connection.execute("BEGIN")
    detail = check_structure(connection, structure)
    report.conclude(structure, detail)
    hashes = Findings("cryptographic")
    with hashes.reading("table run"):
        report.run_id = str(connection.execute("SELECT run_id FROM run").fetchone()[0])
    chain, detail = check_chain(connection, directory, hashes, None if wanted is None else wanted.size)
    report.n_events, report.head, report.root = chain.n_events, chain.head, chain.root
    detail += _check_kept(chain, report.run_id, wanted, head, hashes)
    report.conclude(hashes, detail)
    books = Findings("accounting")
    report.conclude(books, check_accounts(connection, books))


def _check_kept(chain: Chain, run_id: str, wanted: Checkpoint | None, head: str | None, out: Findings) -> str:
    """Compare with what was kept elsewhere; return what to add to the detail."""
    detail = ""
    if wanted is not None:
        kept_run, size, root = wanted
        out.expect(kept_run == run_id, f"checkpoint: it is of run {kept_run}, this is run {run_id}")
        out.expect(size <= chain.n_events, f"checkpoint: it covers {size} events, {chain.n_events} are there")
        if size <= chain.n_events:
            right = root == chain.wanted_root
            out.expect(right, f"checkpoint: the first {size} events have another root: history was rewritten")
        detail += f", extends the checkpoint at {size} events"
    if head is not None:
        out.expect(head in chain.heads, f"head: {head[:16]}... is not in this history: it was rewritten or cut short")
        detail += ", contains the kept head" if head != chain.head else ", ends with the kept head"
    return detail


def _replay(directory: Path, replayer: Replayer | None, out: Findings) -> None:
    if replayer is None:
        out.add("no replayer was given: the history was not played again")
        return
    for difference in replayer(directory):
        out.add(difference)
