"""`policy`: list what a run or a library keeps, show a file, export from a run, import into a library."""

import hashlib
import json
from pathlib import Path
from typing import Any

from arena.errors import ConfigError, DataError
from lineage.ask.reading import open_run, resolve
from lineage.record.policies import load_policy
from lineage.record.policy import Policy, to_bytes
from lineage.record.policy_files import SUFFIX, parse_policy, read_bytes
from lineage.record.schema import version_of
from lineage.record.store import FILE_NAME
from lineage.settings_text import shown
from tui.diagnostics import PROGRAM, emit, say
from tui.outputs import new_file

_FOSSILS = (
    "SELECT agent_id, clan, depth, reason, round, age_rounds, bytes, blob_sha256 FROM fossil ORDER BY agent_id, reason"
)
_LIVING = (
    "SELECT count(*) FROM agent a WHERE mind = 'dqn' AND NOT EXISTS"
    " (SELECT 1 FROM event e WHERE e.agent_id = a.agent_id AND e.kind IN ('death', 'censored'))"
)
_CHECKPOINT = "SELECT max(round) FROM checkpoint"
_SHOWN_DIGITS = 16


def list_policies(place: Path, *, as_json: bool) -> int:
    """List the policies that a run keeps, or the files of a library directory."""
    if place.is_dir() and not (place / FILE_NAME).exists() and any(place.glob(f"*{SUFFIX}")):
        return _list_library(place, as_json=as_json)
    with open_run(place) as connection:
        rows: list[dict[str, Any]] = []
        if version_of(connection) >= 2:
            cursor = connection.execute(_FOSSILS)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        (living,) = connection.execute(_LIVING).fetchone()
        (checkpoint,) = connection.execute(_CHECKPOINT).fetchone()
    if as_json:
        emit(json.dumps({"policies": rows, "living": living, "checkpoint_round": checkpoint}, indent=2))
        return 0
    if rows:
        emit(f"{'agent':<28}{'depth':>6}  {'kept at':<8}{'round':>7}{'age':>6}{'bytes':>9}  sha256")
    for row in rows:
        name = f"{row['clan']}-{row['agent_id']}"
        emit(f"{name:<28}{row['depth']:>6}  {row['reason']:<8}{row['round']:>7}{row['age_rounds']:>6}"
             f"{row['bytes']:>9}  {row['blob_sha256'][:_SHOWN_DIGITS]}")  # fmt: skip
    if not rows:
        say(f"{place}: no policy is kept (no learner has died yet, or record.fossils was off)")
    if living:
        where = f"round {checkpoint}, the newest checkpoint" if checkpoint is not None else "none: no checkpoint yet"
        say(f"{living} learners live; `{PROGRAM} policy export` takes theirs from {where}")
    return 0


def _list_library(place: Path, *, as_json: bool) -> int:
    found: list[dict[str, Any]] = []
    broken = 0
    for path in sorted(place.glob(f"*{SUFFIX}")):
        try:
            data = read_bytes(path)
            found.append({"file": path.name} | describe(parse_policy(data, str(path)), data))
        except DataError as problem:
            broken += 1
            say(f"error: {problem}")
    if as_json:
        emit(json.dumps({"files": found, "broken": broken}, indent=2))
    else:
        for row in found:
            emit(f"{row['file'][:_SHOWN_DIGITS]:<18}{row['name']:<28}run {row['run_id']}  "
                 f"{row['reason']} in round {row['round']}")  # fmt: skip
    return DataError.exit_code if broken else 0


def describe(policy: Policy, data: bytes) -> dict[str, Any]:
    """Return what a policy file is, as plain values."""
    return {
        "name": policy.name,
        "agent_id": policy.agent_id,
        "clan": policy.clan,
        "run_id": policy.run_id,
        "seed": policy.seed,
        "round": policy.round,
        "reason": policy.reason,
        "mind": policy.mind,
        "hidden": list(policy.hidden),
        "dueling": policy.dueling,
        "observation_version": policy.obs_version,
        "weights": len(policy.weights),
        "genes": policy.genes,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def show_policy(path: Path, *, as_json: bool) -> int:
    """Check a policy file and print what it is."""
    data = read_bytes(path)
    row = describe(parse_policy(data, str(path)), data)
    if as_json:
        emit(json.dumps(row, indent=2))
        return 0
    genes = ", ".join(f"{name} {value:.4g}" for name, value in row.pop("genes").items())
    for name, value in row.items():
        emit(f"{name:<22}{value}")
    emit(f"{'genes':<22}{genes}")
    return 0


def export_policies(
    run: Path, who: tuple[str, ...], champions: int | None, out: Path | None, into: Path | None, *, as_json: bool
) -> int:
    """Write the policies of agents, or of the champions, as files; of the living from the newest checkpoint."""
    if bool(who) == (champions is not None):
        raise ConfigError("policy export: name agents, or give --champions N; one of the two")
    if out is not None and into is not None:
        raise ConfigError("--out and --into: one names a file, the other a directory; give one of them")
    with open_run(run) as connection:
        if champions is not None:
            from lineage.contest.champions import select

            try:
                ids = [champion.agent_id for champion in select(connection, champions).champions]
            except DataError:  # its cure is a flag of `evaluate`
                raise DataError(f"{run}: nobody has traded long enough to be a champion; name agents instead") from None
        else:
            ids = list(dict.fromkeys(resolve(connection, name) for name in who))
        if out is not None and len(ids) > 1:
            raise ConfigError(f"--out {out}: one file cannot hold {len(ids)} policies; give --into DIR")
        directory = run if run.is_dir() else run.parent
        policies = [load_policy(connection, agent_id, directory) for agent_id in ids]
    for policy in policies:
        if not policy.is_learner:
            raise DataError(f"agent {policy.name}: plays {policy.mind}, a script without a network; nothing to export")
    targets = [out or (into or Path()) / f"{policy.name}{SUFFIX}" for policy in policies]
    if taken := [path for path in targets if path.exists() or path.is_symlink()]:
        raise ConfigError(f"{taken[0]}: exists already; move it away, or choose another --out or --into")
    _emit_files([_write(policy, path) for policy, path in zip(policies, targets, strict=True)], as_json=as_json)
    return 0


def _emit_files(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print which files were written, and in JSON what they are."""
    emit(json.dumps(rows, indent=2) if as_json else "\n".join(row["file"] for row in rows))


def _write(policy: Policy, path: Path) -> dict[str, Any]:
    data = to_bytes(policy)
    parse_policy(data, f"agent {policy.name}")  # what leaves can be read again, by this build at least
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        file.write(data)
    moment = {"checkpoint": f"alive; as of round {policy.round}, the newest checkpoint"}
    what = moment.get(policy.reason, f"at its {policy.reason} in round {policy.round}")
    say(f"{policy.name}: {what.replace('its end', 'the end of the run')}")
    return {"file": str(path)} | describe(policy, data)


def import_policies(files: tuple[Path, ...], into: Path, *, as_json: bool) -> int:
    """Check policy files, all of them first, and put them into a library directory under their content's hash."""
    if into.exists() and not into.is_dir():
        raise ConfigError(f"--into {shown(str(into))}: is a file; a library is a directory")
    checked = [(path, data, parse_policy(data, str(path))) for path in files for data in [read_bytes(path)]]
    rows = []
    for path, data, policy in checked:
        row = describe(policy, data)
        target = into / f"{row['sha256']}{SUFFIX}"
        if target.exists():
            if read_bytes(target) != data:
                raise DataError(f"{target}: holds other bytes than its name says; remove it and import again")
            say(f"{path}: is in the library already")
        else:
            into.mkdir(parents=True, exist_ok=True)
            with new_file(target) as file:
                file.write(data)
        rows.append({"from": str(path), "file": str(target)} | row)
    _emit_files(rows, as_json=as_json)
    return 0
