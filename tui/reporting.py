"""`report`: a run or a tournament as one HTML page that needs nothing else, and its figures as rows."""

import json
from pathlib import Path

from arena.errors import ConfigError, EnvironmentFault
from lineage.ask.reading import open_run
from lineage.contest import report_run, report_tournament
from lineage.contest.report_page import LARGEST, Page, figures_csv, render
from lineage.contest.results import Results
from lineage.record.store import FILE_NAME
from tui.diagnostics import ExitCode, emit, say
from tui.outputs import new_file


def report(
    path: Path, out: Path | None, csv: Path | None, jsonl: Path | None, tensorboard: Path | None, as_json: bool
) -> int:
    """Write what is asked for; each file is there completely or not at all."""
    if out is None and csv is None and jsonl is None and tensorboard is None:
        raise ConfigError(
            "report: nothing to write; give --out FILE.html, --csv FILE, --jsonl FILE or --tensorboard DIR"
        )
    for target in (out, csv, jsonl):
        if target is not None and (target.exists() or target.is_symlink()):
            raise ConfigError(f"{target}: exists already; choose another name")
    written = {}
    if out is not None or csv is not None:
        page = _page(path)
        if out is not None:
            written["html"] = _write(out, render(page))
        if csv is not None:
            written["csv"] = _write(csv, figures_csv(page))
        if written.get("html", 0) > LARGEST:
            say(f"{out}: {written['html']:,} bytes, more than {LARGEST:,}: slow on a phone")
    if jsonl is not None or tensorboard is not None:
        written |= _metrics(path, jsonl, tensorboard)
    if as_json:
        emit(json.dumps({"source": str(path), "bytes": written}, indent=2))
    else:
        names = {"html": out, "csv": csv, "jsonl": jsonl, "tensorboard": tensorboard}
        for kind, count in written.items():
            emit(f"{names[kind]}  {count:,} {'scalars' if kind == 'tensorboard' else 'bytes'}")
    return ExitCode.OK


def _is_run(path: Path) -> bool:
    return path.is_dir() or path.name == FILE_NAME


def _page(path: Path) -> Page:
    """Return the report of a run's directory or of a tournament's file."""
    if _is_run(path):
        directory = path if path.is_dir() else path.parent
        with open_run(path) as connection:
            return report_run.page_of(connection, directory)
    if not path.exists():
        raise ConfigError(f"{path}: neither a run's directory nor a tournament's results; name one")
    with Results.read(path) as results:
        return report_tournament.page_of(results)


def _metrics(path: Path, jsonl: Path | None, tensorboard: Path | None) -> dict[str, int]:
    """Write a run's rounds as JSON lines and for TensorBoard (extra)."""
    if not _is_run(path):
        raise ConfigError(f"{path}: only a run has rounds; leave --jsonl and --tensorboard out")
    with open_run(path) as connection:
        rows = report_run.metrics(connection)
    written = {}
    if jsonl is not None:
        written["jsonl"] = _write(jsonl, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    if tensorboard is not None:
        written["tensorboard"] = _to_tensorboard(rows, tensorboard)
    return written


def _to_tensorboard(rows: list[dict[str, float | int | None]], directory: Path) -> int:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise EnvironmentFault(
            "--tensorboard: package 'tensorboard' is missing; install it: pip install 'lineage-arena[tensorboard]'"
        ) from None
    count = 0
    with SummaryWriter(str(directory)) as writer:
        for row in rows:
            for name, value in row.items():
                if name != "round" and value is not None:
                    writer.add_scalar(f"run/{name}", value, int(row["round"] or 0))
                    count += 1
    return count


def _write(path: Path, data: bytes) -> int:
    with new_file(path) as file:
        file.write(data)
    return len(data)
