"""From a specification to a plan: policies are read, worlds built, classes imported, before any match is played."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from agents.scripted import STRATEGIES
from arena.errors import ConfigError, DataError
from arena.market.tape import Tape
from lineage import settings
from lineage.ask.reading import open_run
from lineage.config import RunConfig, to_plain
from lineage.contest import prepare
from lineage.contest.entrants import UNTRAINED, of_policy
from lineage.contest.frozen import path_of
from lineage.contest.tournament_plan import Ground, Plan, Player, Role, build_here, check_plan
from lineage.contest.tournament_spec import MOST_ENTRANTS, EntrantSpec, TournamentSpec, WorldSpec
from lineage.contest.userpolicy import Target, check_class, source_of
from lineage.record.digests import config_text, sha256_text
from lineage.record.policy import Policy, to_bytes
from lineage.record.policy_files import read_policy
from lineage.settings_text import shown

BASELINES: Final = (UNTRAINED, *STRATEGIES)
ORACLE: Final = "oracle"


def plan_of(spec: TournamentSpec, folder: Path, place: str) -> Plan:
    """Return the plan of a specification; relative paths are seen from `folder`, `place` names it in errors.

    Raises ConfigError and DataError for everything that can be known beforehand.
    """
    seeds = _seeds(spec.seeds, place)
    grounds = [_ground(world, folder, f"{place}: world {shown(world.name)}") for world in spec.worlds]
    players: list[Player] = []
    for entrant in spec.entrants:
        players += _players(entrant, folder, f"{place}: entrant {shown(entrant.name)}")
    known = {player.name for player in players}
    players += [_baseline(name) for name in BASELINES if name not in known]
    if len({player.name for player in players}) < len(players):
        raise ConfigError(f"{place}: two players share a name; rename an [[entrant]]")
    if len(players) > MOST_ENTRANTS:
        raise ConfigError(f"{place}: {len(players)} players, at most {MOST_ENTRANTS} fit one tournament")
    plan = Plan(
        players=tuple(players), grounds=tuple(grounds), seeds=(seeds.start, seeds.stop), ticks=spec.ticks,
        format=spec.format, mixes=spec.mixes if spec.format == "crossed" else ("pairs",), seats=spec.seats,
        whole_life=spec.whole_life, rounds=spec.rounds if spec.format == "swiss" else 0, limits=spec.limits,
        versions=build_here(),
    )  # fmt: skip
    _check_worlds(plan, place)
    try:
        check_plan(plan)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    return plan


def _seeds(text: str, place: str) -> range:
    try:
        return prepare.read_seeds(text)
    except ConfigError as error:
        raise ConfigError(f"{place}: {str(error).replace('--seeds', 'seeds')}") from None


def _ground(world: WorldSpec, folder: Path, place: str) -> Ground:
    config = _settings(world.scenario, world.assignments, place)
    if not world.tape:
        if world.skip_bad:
            raise ConfigError(f"{place}: skip_bad: there is no tape to skip rows of; leave it out")
        if config.market.source == "tape":
            raise ConfigError(f"{place}: market.source = 'tape' needs a file; give tape = \"prices.csv\"")
        return Ground(world.name, config)
    path = (folder / world.tape).resolve()
    tape: Tape | None = Ground(world.name, config, str(path), world.skip_bad).read_tape()
    if tape is None:
        raise ConfigError(f"{place}: tape: no file is named")
    market = replace(
        config.market, source="tape", tape_name=tape.name, tape_sha256=tape.sha256, tape_skip_bad=world.skip_bad
    )
    return Ground(world.name, replace(config, market=market), str(path), world.skip_bad)


def _settings(scenario: str, assignments: tuple[str, ...], place: str) -> RunConfig:
    try:
        return settings.load(scenario, assignments=assignments, environment={}).config
    except ConfigError as error:
        text = str(error).replace("--set", "set").replace("with --tape FILE", 'with tape = "prices.csv"')
        raise ConfigError(f"{place}: {text}") from None


def _baseline(name: str) -> Player:
    if name == UNTRAINED:
        about = "a founder's network that has learned nothing, another one for every seed"
        return Player(name, "untrained", "baseline", sha256_text(name), about)
    return _scripted(name, name, 0.0)


def _scripted(name: str, script: str, noise: float) -> Player:
    role: Role = "baseline" if name == script and not noise else "entrant"
    about = f"script {script}" + (f", a random action with probability {noise:g}" if noise else "")
    about += " (sees the true drift)" if script == ORACLE else ""
    return Player(name, "script", role, sha256_text(f"{script} {noise!r}"), about, script=script, noise=noise)


def _players(entrant: EntrantSpec, folder: Path, place: str) -> Iterator[Player]:
    if entrant.name in BASELINES and (entrant.kind, entrant.script, entrant.noise) != ("script", entrant.name, 0.0):
        raise ConfigError(f"{place}: is the name of a baseline, which takes part anyway; choose another name")
    if entrant.kind == "script":
        yield _scripted(entrant.name, entrant.script, entrant.noise)
    elif entrant.kind == "policy":
        policy = read_policy(folder / entrant.policy)
        yield _learner(entrant.name, policy, f"policy file of {_described(policy)}", None)
    elif entrant.kind == "run":
        yield from _of_run(entrant, folder / entrant.run, place)
    elif entrant.kind == "class":
        target = Target(entrant.class_name, str(folder.resolve()), config_text(entrant.options))
        check_class(target, place)
        digest = sha256_text(f"{target.name} {sha256_text(source_of(target).hex())}")
        yield Player(
            entrant.name, "class", "entrant", digest, f"class {target.name}", target=target.name,
            folder=target.folder, options=target.options,
        )  # fmt: skip
    else:
        config = _settings(entrant.scenario, entrant.assignments, place)
        about = f"population of scenario {entrant.scenario}, {entrant.rounds} rounds"
        about += f", {' '.join(entrant.assignments)}" if entrant.assignments else ""
        yield Player(
            entrant.name, "scenario", "entrant", sha256_text(config_text(to_plain(config))), about, config=config,
            rounds=entrant.rounds,
        )  # fmt: skip


def _described(policy: Policy) -> str:
    return f"{policy.name} of run {policy.run_id} ({policy.reason}, round {policy.round})"


def _learner(name: str, policy: Policy, about: str, behind: int | None) -> Player:
    of_policy(policy)  # refuses another observation version
    data = to_bytes(policy)
    return Player(name, "policy", "entrant", sha256_text(data.hex()), about, behind=behind, policy=data)


def _of_run(entrant: EntrantSpec, directory: Path, place: str) -> Iterator[Player]:
    """Yield the chosen agents of a run, each for itself."""
    try:
        with open_run(directory) as connection:
            choice = prepare.choose(connection, directory, entrant.who, entrant.count)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    except DataError as error:
        cure = str(error).replace("lower --min-rounds or name agents with --who ID", 'name agents: who = "3,17"')
        raise DataError(f"{place}: {cure}") from None
    policies = choice.policies if "," in entrant.who else choice.policies[: entrant.count]
    scripts = [policy.name for policy in policies if not policy.is_learner]
    if scripts:
        raise ConfigError(f'{place}: {scripts[0]} is a script, not a learner; enter it as script = "..."')
    behind = choice.trials.born if choice.champions else None
    for number, policy in enumerate(policies, 1):
        name = entrant.name if len(policies) == 1 else f"{entrant.name} {policy.name}"
        about = _described(policy)
        if choice.champions:
            about = (f"champion {number} of {choice.trials.eligible} that lived long enough, of "
                     f"{choice.trials.traders} traders, of {behind} agents ever born: {about}")  # fmt: skip
        yield _learner(name, policy, about, behind)


def _check_worlds(plan: Plan, place: str) -> None:
    """Raise unless every tape holds a window and every evolving population can live in every world."""
    for index, ground in enumerate(plan.grounds):
        tape = ground.read_tape()
        where = f"{place}: world {shown(ground.name)}"
        if tape is not None and plan.league("frozen"):
            path_of(0, plan.conditions(index, tape))
        for player in (plan.players[number] for number in plan.league("evolving")):
            config = evolving_config(player, ground)
            per_round = config.arena.ticks_per_round
            longest = player.rounds
            if tape is not None:
                longest = max(0, (len(tape.times) - config.market.warmup_bars) // per_round)
            if player.rounds > longest:
                raise ConfigError(f"{where}: entrant {shown(player.name)}: {player.rounds} rounds of {per_round} ticks "
                                  f"are more than the tape holds; give rounds = {longest} or less")  # fmt: skip


def evolving_config(player: Player, ground: Ground) -> RunConfig:
    """Return the configuration of a population in a world: its own minds and lives, the world's market and costs."""
    if player.config is None:
        raise ValueError(f"{player.name} is no population")
    return replace(player.config, market=ground.config.market, body=ground.config.body, rounds=player.rounds)


def described(plan: Plan) -> list[dict[str, object]]:
    """Return one plain row a player, for tables and files."""
    return [
        {"name": p.name, "kind": p.kind, "role": p.role, "league": p.league, "behind": p.behind, "about": p.about,
         "sha256": p.sha256}
        for p in plan.players
    ]  # fmt: skip
