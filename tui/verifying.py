"""`verify`: the four levels in plain words, and the exit code that says whether history is whole."""

import json
import re
from pathlib import Path

from arena.errors import BuildError, ConfigError, EnvironmentFault
from lineage.record.note import given_checkpoint
from lineage.record.store import FILE_NAME
from lineage.record.verify import verify
from lineage.settings_text import shown
from tui.diagnostics import ExitCode, emit, error


def verify_run(directory: Path, *, replay: bool, checkpoint: str | None, head: str | None, as_json: bool) -> int:
    """Verify a run and print what each level found; 4 when anything does not hold."""
    if head is not None and not re.fullmatch(r"[0-9a-f]{64}", head):
        raise ConfigError(f"--head {shown(head)}: not 64 hex digits; copy the head that `run` printed")
    kept = None if checkpoint is None else given_checkpoint(checkpoint).line
    if not (directory / FILE_NAME).exists():
        raise ConfigError(f"{directory}: no run is recorded here (no {FILE_NAME}); give the directory of a run")
    faults: list[EnvironmentFault | BuildError] = []

    def play_again(run: Path) -> list[str]:
        try:
            return _play_again(run)
        except (EnvironmentFault, BuildError) as fault:  # says nothing about the history: it cannot be played here
            faults.append(fault)
            return [str(fault)]

    report = verify(directory, replay=replay, checkpoint=kept, head=head, replayer=play_again)
    if as_json:
        emit(json.dumps(report.as_dict(), indent=2, default=str))
    else:
        for name, ok, detail in report.levels:
            emit(f"{'ok   ' if ok else 'FAIL '}{name:<14}{detail}")
        emit(f"head {report.head}")
    if not report.ok:
        broken = ", ".join(name for name, ok, _ in report.levels if not ok)
        if faults and broken == "causal":
            raise faults[0]
        error(f"{directory}: the history does not verify ({broken}); do not trust it, keep the file for inspection")
        return ExitCode.STORE
    return ExitCode.OK


def _play_again(directory: Path) -> list[str]:
    """Play the run again from its seed and return what differs; only here is the engine needed."""
    from lineage.engine import replay

    identical, found = replay(directory)
    return [] if identical else [found]
