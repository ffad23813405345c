"""`verify`: the four levels in plain words, and the exit code that says whether history is whole."""

import json
import re
from pathlib import Path

from arena.errors import ConfigError
from lineage.record.store import FILE_NAME
from lineage.record.verify import verify
from lineage.settings_text import shown
from tui.diagnostics import ExitCode, emit, error


def verify_run(directory: Path, *, replay: bool, checkpoint: str | None, head: str | None, as_json: bool) -> int:
    """Verify a run and print what each level found; 4 when anything does not hold."""
    if head is not None and not re.fullmatch(r"[0-9a-f]{64}", head):
        raise ConfigError(f"--head {shown(head)}: not 64 hex digits; copy the head that `run` printed")
    if checkpoint is not None and not re.fullmatch(r"lineage-arena/[0-9a-f]{16} \d{1,18} [0-9a-f]{64}", checkpoint):
        raise ConfigError(
            f"--checkpoint {shown(checkpoint)}: not of the form 'lineage-arena/<run> <events> <root>'; "
            "quote the whole line that `run` printed"
        )
    if not (directory / FILE_NAME).exists():
        raise ConfigError(f"{directory}: no run is recorded here (no {FILE_NAME}); give the directory of a run")
    report = verify(directory, replay=replay, checkpoint=checkpoint, head=head, replayer=_play_again)
    if as_json:
        emit(json.dumps(report.as_dict(), indent=2, default=str))
    else:
        for name, ok, detail in report.levels:
            emit(f"{'ok   ' if ok else 'FAIL '}{name:<14}{detail}")
        emit(f"head {report.head}")
    if not report.ok:
        broken = ", ".join(name for name, ok, _ in report.levels if not ok)
        error(f"{directory}: the history does not verify ({broken}); do not trust it, keep the file for inspection")
        return ExitCode.STORE
    return ExitCode.OK


def _play_again(directory: Path) -> list[str]:
    """Play the run again from its seed and return what differs; only here is the engine needed."""
    from lineage.engine import replay

    identical, found = replay(directory)
    return [] if identical else [found]
