"""From what a person asks for to what is played: whose policies, on which markets, under which conditions."""

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from arena.errors import ConfigError, StoreError
from arena.market.tape import Tape, read_tape
from lineage import settings
from lineage.ask.reading import resolve
from lineage.config import RunConfig
from lineage.contest import champions
from lineage.contest.entrants import OPPONENTS, UNTRAINED, check_opponent
from lineage.contest.evaluate import ORACLE, Trials
from lineage.contest.frozen import Conditions, bars_needed, path_of, windows
from lineage.record.policies import load_policy, policies_of
from lineage.record.policy import Policy
from lineage.record.policy_files import SUFFIX, read_policy
from lineage.settings_text import shown

MOST_SEEDS: Final = 4096
MOST_TICKS: Final = 1 << 26
"""Markets x ticks that one entrant may be asked to play."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose policies are played, and from how many they were chosen."""

    policies: list[Policy]
    trials: Trials
    champions: list[champions.Champion]  # empty unless champions were asked for


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an evaluation needs to know of a run besides its policies."""

    run_id: str
    seed: int
    config: RunConfig
    rounds: int  # recorded so far


def recorded(connection: sqlite3.Connection, directory: Path) -> Recorded:
    """Return what a run was. Raises StoreError when its configuration is of another build."""
    run_id, seed, text = connection.execute("SELECT run_id, seed, config_json FROM run").fetchone()
    (rounds,) = connection.execute("SELECT count(*) FROM round").fetchone()
    try:
        config = msgspec.json.decode(text, type=RunConfig)
    except msgspec.MsgspecError as error:
        raise StoreError(f"{directory}: its configuration is of another build ({error}); use that build") from None
    return Recorded(str(run_id), int(seed), config, int(rounds))


def read_seeds(text: str) -> range:
    """Return the seeds of "A:B": A to B - 1. Raises ConfigError when the range is empty, reversed or no range."""
    match = re.fullmatch(r"\s*([0-9]{1,18}):([0-9]{1,18})\s*", text)
    if match is None:
        raise ConfigError(f"--seeds {shown(text)}: not of the form A:B with whole numbers from 0; e.g. --seeds 0:32")
    first, end = int(match[1]), int(match[2])
    if end <= first:
        kind = "empty" if end == first else "reversed"
        raise ConfigError(f"--seeds {text.strip()}: the range is {kind}; A:B means A to B - 1, e.g. 0:32")
    if end - first > MOST_SEEDS:
        raise ConfigError(f"--seeds {text.strip()}: {end - first} seeds, at most {MOST_SEEDS}; give fewer")
    return range(first, end)


def read_opponents(text: str | None, conditions: Conditions) -> list[str]:
    """Return the names in "a,b,c" in order, each once; by default all but flat, on a tape without the oracle.

    Raises ConfigError for an unknown one, naming the nearest, and for an oracle on a tape: nobody knows its drift.
    """
    taped = conditions.tape is not None
    if text is None:
        return [name for name in OPPONENTS[:-1] if not (taped and name == ORACLE)]
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--against {shown(text)}: names nobody; choose of {', '.join(OPPONENTS)}")
    for name in names:
        check_opponent(name)
    if taped and ORACLE in names:
        raise ConfigError("--against oracle: a tape has no known drift that an oracle could see; leave it out")
    return list(dict.fromkeys(names))


def choose(
    connection: sqlite3.Connection,
    directory: Path,
    who: str,
    count: int = champions.COUNT,
    min_rounds: int = champions.MIN_ROUNDS,
) -> Choice:
    """Return the policies that `who` means: champions, alive, fossils, or agents and policy files, comma-separated.

    Raises ConfigError for nobody and for an agent that was never born, DataError for one without a policy.
    """
    (born,) = connection.execute("SELECT count(*) FROM agent").fetchone()
    words = list(dict.fromkeys(word.strip() for word in who.split(",") if word.strip()))
    if words == ["champions"]:
        found = champions.select(connection, count, min_rounds)
        policies = [load_policy(connection, champion.agent_id, directory) for champion in found.champions]
        return Choice(policies, Trials(found.born, found.traders, found.eligible), found.champions)
    if words == ["alive"]:
        return Choice(policies_of(connection, "alive", directory), Trials(int(born)), [])
    if words == ["fossils"]:
        return Choice(policies_of(connection, "fossils", directory), Trials(int(born)), [])
    if not words:
        raise ConfigError(f"--who {shown(who)}: names nobody; say champions, alive, fossils, or agents: --who 3,17")
    if mixed := {"champions", "alive", "fossils"} & set(words):
        raise ConfigError(f"--who {shown(who)}: {min(mixed)} stands alone; name agents or one of the three groups")
    policies = [_named(connection, directory, word) for word in words]
    unique = {policy.name: policy for policy in policies}
    if len(unique) < len(policies):
        raise ConfigError(f"--who {shown(who)}: names somebody twice; name each policy once")
    return Choice(policies, Trials(int(born)), [])


def _named(connection: sqlite3.Connection, directory: Path, word: str) -> Policy:
    """Return the policy in a file, or of an agent of the run."""
    if word.endswith(SUFFIX):
        return read_policy(Path(word))
    return load_policy(connection, resolve(connection, word), directory)


def check_untrained(opponents: list[str], policies: list[Policy]) -> None:
    """Raise ConfigError when the untrained selves of scripted agents alone are asked for: they have none."""
    if opponents == [UNTRAINED] and not any(policy.is_learner for policy in policies):
        raise ConfigError("--against untrained: only scripted agents are asked for, they were never untrained")


def conditions_of(
    run: Recorded,
    *,
    market: str | None,
    tape: Path | None,
    skip_bad: bool,
    ticks: int,
    whole_life: bool,
) -> Conditions:
    """Return the conditions under which the policies of a run are played.

    market: the scenario whose market is played, the run's own when None; tape: a price file instead. Costs, ruin and
    the round's length are the run's. On the tape that the run itself traded, only bars after its last are played.
    Raises ConfigError, or DataError when the tape is too short.
    """
    config = run.config
    if tape is not None:
        if market is not None:
            raise ConfigError(f"--market {shown(market)}: a tape is given too; drop --market or --tape")
        read = read_tape(tape, skip_bad)
        first_bar = run.rounds * config.arena.ticks_per_round if read.sha256 == config.market.tape_sha256 else 0
        source = replace(config.market, source="tape", tape_name=read.name, tape_sha256=read.sha256)
        conditions = Conditions(replace(config, market=source), ticks, whole_life, read, first_bar)
        path_of(0, conditions)
        return conditions
    if skip_bad:
        raise ConfigError("--skip-bad: there is no tape to skip rows of; give --tape FILE too")
    if market is not None:
        config = replace(config, market=settings.load(market, environment={}).config.market)
    elif config.market.source == "tape":
        raise ConfigError("--market: the run traded a tape; name a scenario's market, or a file with --tape")
    return Conditions(config, ticks, whole_life)


def check_size(seeds: range, conditions: Conditions) -> None:
    """Raise ConfigError when a single entrant could not be played in memory."""
    asked = len(seeds) * conditions.ticks
    if asked > MOST_TICKS:
        raise ConfigError(
            f"--ticks {conditions.ticks}: {len(seeds)} seeds of that length are {asked:,} ticks an entrant, "
            f"at most {MOST_TICKS:,}; give fewer of either"
        )


def side_by_side(conditions: Conditions) -> int | None:
    """Return how many windows the tape holds that share no bar in play; None without a tape."""
    tape: Tape | None = conditions.tape
    if tape is None:
        return None
    played = bars_needed(conditions) - conditions.config.market.warmup_bars
    return (windows(conditions) - 1 + played) // played
