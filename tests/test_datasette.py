"""Other people's tools open a run: Datasette with our metadata and canned queries, sqlite-utils; without a warning."""

import asyncio
import json
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from lineage.record.schema import TABLES
from lineage.record.store import FILE_NAME
from tests.datamodel import METADATA, relations
from tests.runs import lively, play

datasette_app = pytest.importorskip("datasette.app")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a real run."""
    directory = tmp_path_factory.mktemp("served") / "run"
    play(directory, lively())
    return directory / FILE_NAME


def answers(run: Path, paths: list[str], *, immutable: bool) -> list[tuple[int, Any]]:
    """Return (status, JSON) of each path as Datasette serves it."""
    files = [str(run)]

    async def ask() -> list[tuple[int, Any]]:
        served = datasette_app.Datasette(
            [] if immutable else files, immutables=files if immutable else [], metadata=json.loads(METADATA.read_text())
        )
        await served.invoke_startup()
        found = []
        for path in paths:
            response = await served.client.get(path)
            kind = response.headers["content-type"]
            found.append((response.status_code, response.json() if kind.startswith("application/json") else None))
        for database in list(served.databases.values()):
            database.close()
        served.executor.shutdown()
        return found

    work: Coroutine[Any, Any, list[tuple[int, Any]]] = ask()
    return asyncio.run(work)


NO_POLICIES = {"policy", "policy_blob", "fossil"}
"""Empty in a run that keeps none."""

QUERIES = json.loads(METADATA.read_text())["databases"]["run"]["queries"]


@pytest.mark.parametrize("immutable", [True, False])
def test_datasette_serves_every_table_and_view(run: Path, immutable: bool) -> None:
    """As a finished file and as one that may grow; descriptions come with it; the file is not changed."""
    before = run.read_bytes()
    names = list(relations())
    found = answers(run, [f"/run/{name}.json?_size=3" for name in names], immutable=immutable)
    assert [status for status, _ in found] == [200] * len(names)
    empty = {name for name, (_, told) in zip(names, found, strict=True) if not told["rows"]}
    assert empty <= NO_POLICIES
    pages = answers(run, ["/", "/run", "/run/agent"], immutable=immutable)
    assert [status for status, _ in pages] == [200, 200, 200]
    assert run.read_bytes() == before


def test_datasette_runs_every_canned_query(run: Path) -> None:
    """Each answers with rows or none, never with an error, with agent 1 and 2 asked for."""
    known = {"agent": "1", "other": "2", "rows": "5", "round": "3"}
    paths = []
    for name, query in QUERIES.items():
        pairs = [f"{parameter}={known.get(parameter, '1')}" for parameter in query.get("params", [])]
        paths.append(f"/run/{name}.json?{'&'.join([*pairs, '_shape=objects'])}")
    found = answers(run, paths, immutable=True)
    assert len(found) >= 10
    for path, (status, told) in zip(paths, found, strict=True):
        assert status == 200, path
        assert told.get("ok", True) is True, (path, told)
        assert not told.get("error"), (path, told)


def test_a_canned_query_that_does_not_run_would_be_found(run: Path) -> None:
    """Sabotage: a table that is not there is an error for Datasette too."""
    ((status, told),) = answers(run, ["/run.json?sql=select+*+from+luck"], immutable=True)
    assert status == 400
    assert "luck" in told["error"]


def test_sqlite_utils_opens_and_describes_it(run: Path, tmp_path: Path) -> None:
    """Tables, views, keys, strictness, as the library sees them; a copy without the log beside it too."""
    copy = tmp_path / "published.sqlite"
    shutil.copyfile(run, copy)
    for path in (run, copy):
        database = sqlite_utils.Database(path)
        try:
            assert set(TABLES) <= set(database.table_names())
            assert {"agent", "event", "agent_life", "extant", "clan_summary"} <= set(database.view_names())
            assert all(database.table(table).strict for table in TABLES)
            assert database.table("stored_agent").pks == ["agent_id"]
            keys = {key.column for key in database.table("stored_agent").foreign_keys}
            assert keys == {"parent_id", "founder_id", "jump_id"}
            assert next(iter(database["agent_life"].rows))["agent_id"] == 1
        finally:
            database.close()
