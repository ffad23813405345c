"""The genesis of a run: one hash over configuration, seed, builds and inputs. Every chain starts from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lineage.record.digests import canonical, config_text, sha256_text


@dataclass(frozen=True, slots=True)
class RunRow:
    """The one row of table `run`: everything that, with the build, determines the history."""

    run_id: str  # first 16 hex digits of genesis
    seed: int
    scenario: str
    config_json: str
    versions_json: str
    inputs_json: str
    genesis: str


def genesis_of(seed: int, config_json: str, versions_json: str, inputs_json: str) -> str:
    """Return the genesis hash (hex) from the stored texts."""
    parts: dict[str, int | str] = {
        "config_sha256": sha256_text(config_json),
        "inputs_sha256": sha256_text(inputs_json),
        "seed": seed,
        "versions_sha256": sha256_text(versions_json),
    }
    return sha256_text("lineage-arena genesis 1\n" + canonical(parts, "genesis"))


def run_row(
    config: Mapping[str, Any], seed: int, versions: Mapping[str, str], inputs: Mapping[str, int | str]
) -> RunRow:
    """Return the run's row; `config` is plain (floats allowed), `inputs` names the tapes' hashes."""
    texts = config_text(config), canonical(versions, "versions"), canonical(inputs, "inputs")
    genesis = genesis_of(seed, *texts)
    return RunRow(genesis[:16], seed, str(config.get("scenario", "")), *texts, genesis)


def genesis_hash(
    config_plain: Mapping[str, Any], seed: int, versions: Mapping[str, str], inputs: Mapping[str, int | str]
) -> str:
    """Return the hash (hex) that every chain of a run starts from."""
    return run_row(config_plain, seed, versions, inputs).genesis
