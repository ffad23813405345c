"""docs/data-model.md as data: the tables it describes, the statements and commands in it, and Datasette's metadata.

    python -m tests.datamodel        # write data/datasette.json anew, after a change of the page or of data/sql
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from lineage.ask.canned import canned_queries

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "data-model.md"
METADATA = ROOT / "data" / "datasette.json"


class Described(NamedTuple):
    """One column as the page describes it."""

    type: str
    unit: str
    meaning: str


class Relation(NamedTuple):
    """One table or view as the page describes it."""

    about: str
    columns: dict[str, Described]


def relations(text: str | None = None) -> dict[str, Relation]:
    """Return {table or view: what the page says about it}."""
    found = {}
    parts = re.split(r"^### `(\w+)`$", text or PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        body = re.split(r"^## ", body, flags=re.MULTILINE)[0]
        about = body.strip().partition("\n\n")[0].replace("\n", " ")
        rows = re.findall(r"^\| `(\w+)` \| ([A-Z]*) ?\| ([^|]*?) ?\| (.+) \|$", body, flags=re.MULTILINE)
        found[name] = Relation(about, {column: Described(*rest) for column, *rest in rows})
    return found


def payloads(text: str | None = None) -> dict[str, set[str]]:
    """Return {kind of event: keys of its payload} as the page lists them."""
    section = re.split(r"^## ", text or PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    events = next(part for part in section if part.startswith("Events\n"))
    rows = re.findall(r"^\| `(\w+)` \| (?:agent|run) \| (.+) \|$", events, flags=re.MULTILINE)
    return {kind: set(re.findall(r"`(\w+)`", keys)) for kind, keys in rows}


def metadata() -> dict[str, object]:
    """Return Datasette's metadata for a `run.sqlite`: descriptions from the page, queries from data/sql."""
    tables = {
        name: {
            "description": relation.about.replace("`", ""),
            "columns": {
                column: f"{described.meaning}{f' ({described.unit})' if described.unit else ''}".replace("`", "")
                for column, described in relation.columns.items()
            },
        }
        for name, relation in relations().items()
    }
    queries = {
        (f"{name}_query" if name in tables else name): {  # Datasette serves a query before a table of its name
            "title": query.title,
            "sql": "\n".join(line for line in query.sql.splitlines() if not line.startswith("--")).strip(),
            **({"params": [parameter.name for parameter in query.parameters]} if query.parameters else {}),
            **(
                {"description": "; ".join(f":{parameter.name} = {parameter.meaning}" for parameter in query.parameters)}
                if query.parameters
                else {}
            ),
        }
        for name, query in canned_queries().items()
    }
    return {
        "title": "lineage-arena",
        "description": "The history of a population of learning traders with one life each.",
        "license": "MIT",
        "databases": {"run": {"description": "One run: docs/data-model.md", "tables": tables, "queries": queries}},
    }


def metadata_text() -> str:
    """Return the text of data/datasette.json."""
    return json.dumps(metadata(), indent=1) + "\n"


if __name__ == "__main__":
    METADATA.write_text(metadata_text(), encoding="utf-8")
