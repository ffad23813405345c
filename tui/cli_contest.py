"""Commands for vital signs, policies, evaluations, sweeps and tournaments. Only click is imported here."""

from pathlib import Path
from typing import Any

import click

from tui.options import DIRECTORY, JSON_FLAG, Commands, F, settings_options


@click.command()
@DIRECTORY
@click.option(
    "--who", default="champions", show_default=True, metavar="WHO",
    help="champions (by the run's own record), alive, fossils, or agents and policy files: 3,teal-owl-17.",
)  # fmt: skip
@click.option(
    "--against",
    metavar="NAMES",
    help="Of untrained, random, hold, trend, meanrev, oracle, flat; comma-separated. Default: all but flat.",
)
@click.option("--market", metavar="SCENARIO", help="Play on this scenario's market; default: the run's own.")
@click.option("--tape", type=click.Path(path_type=Path), metavar="FILE", help="Play on windows of recorded bars (CSV).")
@click.option("--skip-bad", is_flag=True, help="Drop and count bad rows of the tape instead of stopping.")
@click.option("--seeds", default="0:32", show_default=True, metavar="A:B", help="Held-out markets A to B - 1.")
@click.option("--ticks", type=click.IntRange(1, 10**7), default=1000, show_default=True, help="Length of each play.")
@click.option("--champions", type=click.IntRange(1, 10**6), default=8, show_default=True, help="How many champions.")
@click.option(
    "--min-rounds", type=click.IntRange(1, 10**9), default=30, show_default=True,
    help="Rounds as a trader that a champion needs.",
)  # fmt: skip
@click.option("--whole-life", is_flag=True, help="With living costs, scars and ruin, as in life.")
@click.option("--resamples", type=click.IntRange(100, 10**6), default=2000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--per-year", type=click.FloatRange(0.0, 1e9, min_open=True), default=252.0, show_default=True,
    help="Bars in a year, for annual figures.",
)  # fmt: skip
@JSON_FLAG
@click.option("--csv", "as_csv", is_flag=True, help="Print one row a figure on stdout.")
def evaluate(**given: Any) -> int:
    """Measure a run's policies, frozen, on markets that they never saw, against their untrained selves and others."""
    from tui.evaluating import EvaluateRequest, evaluate_run

    return evaluate_run(EvaluateRequest(**given))


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("agent", required=False, metavar="[AGENT]")
@click.option("--round", "round_index", type=int, metavar="N", help="As it was at the end of round N.")
@JSON_FLAG
def vitals(run: Path, agent: str | None, round_index: int | None, as_json: bool) -> int:
    """Show how the learners feel and which of their eight checks failed, or the course of one life."""
    from tui.vitals import vitals as show

    return show(run, agent, round_index, as_json=as_json)


@click.group(cls=Commands, no_args_is_help=False)
def policy() -> None:
    """List, show, export and import the policies of agents: small safetensors files."""


@policy.command("list")
@click.argument("place", type=click.Path(path_type=Path), metavar="RUN|DIR")
@JSON_FLAG
def policy_list(place: Path, as_json: bool) -> int:
    """List the policies that a run keeps (its fossils), or the files of a policy library."""
    from tui.policies import list_policies

    return list_policies(place, as_json=as_json)


@policy.command("show")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@JSON_FLAG
def policy_show(path: Path, as_json: bool) -> int:
    """Check a policy file and say what it is. Exit code 3 if it cannot be played."""
    from tui.policies import show_policy

    return show_policy(path, as_json=as_json)


@policy.command("export")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("who", nargs=-1, metavar="[AGENT]...")
@click.option("--champions", type=click.IntRange(1, 10**6), metavar="N", help="The best N by the run's own record.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: <clan>-<id>.safetensors.")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="A directory for several policies.")
@JSON_FLAG
def policy_export(**given: Any) -> int:
    """Write agents' policies as files: fossils of the dead, the newest checkpoint's of the living."""
    from tui.policies import export_policies

    return export_policies(**given)


@policy.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--into", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The library's directory.")
@JSON_FLAG
def policy_import(files: tuple[Path, ...], into: Path, as_json: bool) -> int:
    """Check policy files and put them into a library by content hash; `evaluate` and `tournament` take them by path."""
    from tui.policies import import_policies

    return import_policies(files, into, as_json=as_json)


@click.command()
@settings_options
@click.option("--vary", multiple=True, metavar="KEY=V,V", help="A key and its values; repeated: every combination.")
@click.option("--seeds", required=True, metavar="A:B", help="Every variant runs with seeds A to B - 1.")
@click.option("--rounds", type=click.IntRange(1, 10**7), help="Length of every run.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Directory of the sweep; one that this sweep has begun is gone on with.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Runs at a time.")
@click.option("--resamples", type=click.IntRange(100, 10**6), default=2000, show_default=True, help="Of the bootstrap.")
@JSON_FLAG
@click.option("--csv", "as_csv", is_flag=True, help="Print one row a run on stdout.")
def sweep(**given: Any) -> int:
    """Run variants of a scenario with the same seeds and compare them: sweep easy --vary body.fee_bps=3,10 ..."""
    from tui.sweeping import SweepRequest
    from tui.sweeping import sweep as run

    return run(SweepRequest(**given))


@click.command()
@DIRECTORY
@click.option("--market", metavar="SCENARIO", help="Play on this scenario's market; default: the run's own.")
@click.option("--seeds", default="0:16", show_default=True, metavar="A:B", help="Held-out markets A to B - 1.")
@click.option("--ticks", type=click.IntRange(1, 10**7), default=1000, show_default=True, help="Length of each play.")
@click.option(
    "--per-generation", type=click.IntRange(1, 10**5), default=16, show_default=True, help="Most newborns of a band."
)
@click.option("--resamples", type=click.IntRange(100, 10**6), default=2000, show_default=True, help="Of the bootstrap.")
@JSON_FLAG
def newborns(**given: Any) -> int:
    """Are later generations born better? Policies at birth, before they learn, frozen on markets nobody saw."""
    from tui.newborns import newborns as compare

    return compare(**given)


class Tournament(Commands):
    """A group whose first word may also be a SPEC file: then it is played."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `play` in front of what names no command."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help") and not self._is_slip(args[0]):
            args = ["play", *args]
        return super().parse_args(ctx, args)

    def _is_slip(self, word: str) -> bool:
        """Whether a word looks like a mistyped command rather than a file or an option."""
        from difflib import get_close_matches

        close = get_close_matches(word.lower(), self.commands, n=1, cutoff=0.6)
        return bool(close) and not word.startswith("-") and not Path(word).exists()


def tournament_options(command: F) -> F:
    """Add SPEC and the flags of a small tournament."""
    for option in (
        click.option("--mixes", default="alone", show_default=True, help="With --entrants: alone, pairs, together."),
        click.option(
            "--ticks", type=click.IntRange(1, 10**7), default=1000, show_default=True, help="With --entrants."
        ),
        click.option("--seeds", default="0:16", show_default=True, metavar="A:B", help="With --entrants."),
        click.option("--worlds", default="easy", show_default=True, help="With --entrants: scenarios, tapes (CSV)."),
        click.option(
            "--entrants", metavar="NAMES", help="Instead of SPEC: scripts, policy files, runs, module:Class; commas."
        ),
        click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."),
        JSON_FLAG,
        click.argument("spec", required=False, type=click.Path(path_type=Path), metavar="[SPEC]"),
    ):
        command = option(command)
    return command


@click.group(cls=Tournament, no_args_is_help=False)
def tournament() -> None:
    """Set policies, strategies and populations against each other: tournament SPEC, or plan, show, init."""


@tournament.command("play")
@tournament_options
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Who plays the matches."
)
@click.option("--address", metavar="ADDRESS", help="Of a Ray cluster; by default one on this machine is started.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Results; default: SPEC's name, .sqlite.")
@click.option("--resume", is_flag=True, help="Go on with the results that this tournament has left in FILE.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def tournament_play(**given: Any) -> int:
    """Play a tournament; `tournament SPEC` does the same. Ctrl-C once ends it after the running matches."""
    from tui.tournaments import TournamentRequest, play

    return play(TournamentRequest(**given))


@tournament.command("plan")
@tournament_options
def tournament_plan(**given: Any) -> int:
    """Check a specification, say who meets whom how often, and how long it will take."""
    from tui.tournaments import TournamentRequest, plan

    return plan(TournamentRequest(**given))


@tournament.command("show")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@JSON_FLAG
@click.option("--csv", "as_csv", is_flag=True, help="Print one row a figure on stdout.")
def tournament_show(path: Path, as_json: bool, as_csv: bool) -> int:
    """Print who won, by how much, with what certainty; of an unfinished tournament, so far."""
    from tui.tournaments import show

    return show(path, as_json=as_json, as_csv=as_csv)


@tournament.command("init")
@click.argument("path", type=click.Path(path_type=Path), metavar="[FILE]", default="tournament.toml")
def tournament_init(path: Path) -> int:
    """Write an example of a specification, every key explained."""
    from tui.tournaments import init

    return init(path)


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN|TOURNAMENT")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The report: an HTML file (extra report).")
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="The numbers behind its figures.")
@click.option("--jsonl", type=click.Path(path_type=Path), metavar="FILE", help="A run's rounds as JSON lines.")
@click.option(
    "--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="A run's rounds for TensorBoard (extra)."
)
@JSON_FLAG
def report(**given: Any) -> int:
    """Write a report of a run or a tournament: one HTML file that works without a network."""
    from tui.reporting import report as write

    return write(**given)


COMMANDS: tuple[click.Command, ...] = (vitals, evaluate, policy, sweep, newborns, tournament, report)
