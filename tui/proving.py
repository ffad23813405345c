"""`prove` and `verify-proof`: proofs as files that anybody can check, with or without the run."""

import json
import re
import sys
from pathlib import Path

from arena.errors import ConfigError
from lineage.ask import prove
from lineage.ask.prove_file import Proven, check_proof, read_proof_file
from lineage.ask.reading import resolve
from lineage.record.note import given_checkpoint
from lineage.settings_text import shown
from tui.diagnostics import ExitCode, emit, one_line, say
from tui.outputs import deliver

FORMS = {
    "event": "event NUMBER",
    "scar": "scar AGENT[.NUMBER]",
    "ancestor": "ancestor [ANCESTOR] DESCENDANT",
    "checkpoint": "checkpoint",
}
"""What can be asked for, and how."""


def prove_run(
    directory: Path, what: str | None, names: tuple[str, ...], *,
    older: str | None, kept: str | None, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Write a proof, or the newest checkpoint, to stdout or a file."""
    if older is not None:
        if what is not None or kept is not None:
            raise ConfigError("--from: a consistency proof stands alone; give neither WHAT nor --checkpoint with it")
        text = prove.prove_consistency(directory, given_checkpoint(older, "--from"))
    elif what is None:
        raise ConfigError(f"prove: say what, one of: {'; '.join(FORMS.values())}; or --from CHECKPOINT")
    else:
        _check_form(what, names)
        with prove.open_history(directory, None if kept is None else given_checkpoint(kept)) as history:
            text = _proof(history, what, names, as_json)
    deliver(text, out)
    if out is not None:
        say(f"wrote {out}" + ("" if what == "checkpoint" else f"; check it with: lineage-arena verify-proof {out}"))
    return ExitCode.OK


def _check_form(what: str, names: tuple[str, ...]) -> None:
    """Raise ConfigError when there are too many ids, or too few."""
    wanted = {"event": (1,), "scar": (1,), "ancestor": (1, 2), "checkpoint": (0,)}[what]
    if len(names) not in wanted:
        raise ConfigError(f"prove {what}: {len(names)} ids are given; the form is: {FORMS[what]}")


def _proof(history: prove.History, what: str, names: tuple[str, ...], as_json: bool) -> str:
    if what == "event":
        if not re.fullmatch(r"[0-9]{1,18}", names[0]):
            raise ConfigError(f"prove event: {shown(names[0])} is not the number of an event; events count from 0")
        return prove.prove_event(history, int(names[0]))
    if what == "scar":
        name, _, number = names[0].partition(".")
        if not re.fullmatch(r"[0-9]{0,9}", number):
            raise ConfigError(f"prove scar: {shown(names[0])}: scars count from 1; the form is: {FORMS[what]}")
        return prove.prove_scars(history, resolve(history.connection, name), int(number) if number else None)
    if what == "ancestor":
        agents = [resolve(history.connection, name) for name in names]
        return prove.prove_ancestor(history, agents[0] if len(agents) > 1 else None, agents[-1])
    kept = history.checkpoint
    if not as_json:
        return kept.note
    plain = {"run": kept.run_id, "size": kept.size, "root": kept.root, "line": kept.line, "note": kept.note}
    return json.dumps(plain, indent=2) + "\n"


def verify_proof(file: Path, *, kept: str | None, as_json: bool) -> int:
    """Check a proof without any database; 3 when it is none, 4 when it does not hold."""
    checkpoint = None if kept is None else given_checkpoint(kept)
    piped = str(file) == "-"
    data = sys.stdin.buffer.read() if piped else read_proof_file(file)
    proven = check_proof(data, checkpoint, "stdin" if piped else str(file))
    if as_json:
        emit(json.dumps(_as_dict(proven, checkpoint is not None), indent=2))
        return ExitCode.OK
    emit(f"holds: {proven.claim}")
    for event in proven.events:
        emit(f"  {event['event_id']:>8}  round {event['round']:<6} {event['kind']:<11} {_details(event)}")
    emit(f"root  {proven.checkpoint.line}")
    if checkpoint is None:
        say("the root is the proof's own word: compare it with one that you kept (--checkpoint)")
    else:
        say("the root is the one that you kept")
    return ExitCode.OK


def _details(event: dict[str, object]) -> str:
    payload = event["payload"]
    pairs = payload.items() if isinstance(payload, dict) else ()
    who = f"agent {event['agent']}" if event["agent"] else "the run"
    shown = [f"{name}={value}" for name, value in pairs if not (isinstance(value, str) and len(value) == 64)]
    return one_line(f"{who}: {', '.join(shown)}")


def _as_dict(proven: Proven, is_kept: bool) -> dict[str, object]:
    return {
        "holds": True,
        "kind": proven.kind,
        "claim": proven.claim,
        "run": proven.checkpoint.run_id,
        "size": proven.checkpoint.size,
        "root": proven.checkpoint.root,
        "from": None if proven.older is None else proven.older.line,
        "root_is_the_kept_one": is_kept,
        "events": proven.events,
    }
