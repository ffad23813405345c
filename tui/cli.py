"""The command line. Only click is imported here; every command imports what it needs when it runs.

stdout is data, stderr is narration (tui/diagnostics.py); each command takes --json where it prints data.
The commands that ask, contest and connect live in tui/cli_*.py, one module a theme.
"""

import sys
from pathlib import Path
from typing import Any, Literal

import click

from tui import cli_arena, cli_contest, cli_lineage, cli_watch, packages
from tui.options import (
    CONTROL,
    DEVICE,
    DIRECTORY,
    JSON_FLAG,
    LEARNER,
    MAX_SEED,
    PROGRAM,
    THREADS,
    Commands,
    settings_options,
)


def _say_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Do what `version` does, since that is what people type first."""
    if asked:
        ctx.invoke(version, as_json=False)
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="Print the version."
)
@click.pass_context
def cli(ctx: click.Context) -> int:
    """A population of trading agents with one life each: scars, inheritance, a history that cannot be edited unseen.

    Without a command: watch the default scenario live.
    """
    return int(ctx.invoke(run, live=True)) if ctx.invoked_subcommand is None else 0


@cli.command()
@settings_options
@click.option("--rounds", type=int, help="Length of the run.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=1, show_default=True, envvar="LINEAGE_ARENA_SEED")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory; must not hold a run yet.")
@click.option("--market", metavar="SOURCE", help="Price source: franke_westerhoff, gbm (or give --tape).")
@click.option("--tape", type=click.Path(path_type=Path), metavar="FILE", help="Recorded bars (CSV) as the market.")
@click.option("--skip-bad", is_flag=True, help="Drop and count bad rows of the tape instead of stopping.")
@THREADS
@DEVICE
@LEARNER
@JSON_FLAG
@click.option("--live", is_flag=True, help="Watch it in the terminal.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@CONTROL
def run(**given: Any) -> int:
    """Run a scenario (default, small, crowd, ...) into a new directory."""
    from tui.running import RunRequest, start_run

    return start_run(RunRequest(**given))


@cli.command()
@DIRECTORY
@THREADS
@DEVICE
@JSON_FLAG
@click.option("--live", is_flag=True, help="Watch it in the terminal.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
@CONTROL
def resume(**given: Any) -> int:
    """Continue an interrupted run; what is already recorded has to come out identical."""
    from tui.running import resume_run

    return resume_run(**given)


@cli.command()
@DIRECTORY
@click.option("--replay", is_flag=True, help="Also run everything again from the seed and compare.")
@click.option("--checkpoint", metavar="LINE", help="A checkpoint line that you kept elsewhere.")
@click.option("--head", metavar="HEX", help="The head of the ledger that you kept elsewhere.")
@JSON_FLAG
def verify(directory: Path, replay: bool, checkpoint: str | None, head: str | None, as_json: bool) -> int:
    """Check that nobody changed a run's history. Exit code 4 if somebody did."""
    from tui.verifying import verify_run

    return verify_run(directory, replay=replay, checkpoint=checkpoint, head=head, as_json=as_json)


@cli.group(cls=Commands, no_args_is_help=False)
def config() -> None:
    """Show, write and list configurations."""


@config.command("show")
@settings_options
@JSON_FLAG
def config_show(scenario: str | None, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> int:
    """Print the resolved configuration; a comment names where each value that is no default came from."""
    import json

    from lineage import settings, settings_text
    from lineage.config import to_plain
    from tui.diagnostics import emit

    loaded = settings.load(scenario, file=file, assignments=assignments)
    if as_json:
        emit(json.dumps({"config": to_plain(loaded.config), "origins": loaded.origins}, indent=2))
    else:
        emit(settings_text.to_toml(loaded.config, notes=loaded.origins).rstrip("\n"))
    return 0


@config.command("init")
@settings_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("arena.toml"), show_default=True, metavar="FILE")
def config_init(scenario: str | None, file: Path | None, assignments: tuple[str, ...], out: Path) -> int:
    """Write a commented configuration file to start from; never overwrites."""
    from arena.errors import ConfigError
    from lineage import settings, settings_text
    from tui.diagnostics import say

    text = settings_text.to_toml(
        settings.load(scenario, file=file, assignments=assignments, environment={}).config, explain=True
    )
    try:
        with out.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise ConfigError(f"--out {out}: exists already; choose another name") from None
    say(f"wrote {out}; use it with: {PROGRAM} run --config {out}")
    return 0


@config.command("schema")
def config_schema() -> int:
    """Print the JSON schema of configuration files."""
    import json

    from lineage.settings_text import json_schema
    from tui.diagnostics import emit

    emit(json.dumps(json_schema(), indent=2))
    return 0


@config.command("list")
@JSON_FLAG
def config_list(as_json: bool) -> int:
    """List the built-in scenarios."""
    import json

    from lineage.scenarios import scenario_names, scenario_summary
    from tui.diagnostics import emit

    summaries = {name: scenario_summary(name) for name in scenario_names()}
    if as_json:
        emit(json.dumps(summaries, indent=2))
    else:
        for name, summary in summaries.items():
            emit(f"{name:<10} {summary}")
    return 0


@cli.command()
@JSON_FLAG
def doctor(as_json: bool) -> int:
    """Check this machine: versions, package names, disk, threads. Exit code 5 if something is in the way."""
    from tui.doctor import report

    return report(as_json=as_json)


@cli.command()
@click.argument("what", type=click.Choice(["world", "loop", "all", "tui", "env"]), default="all", required=False)
@click.option(
    "--seconds", type=click.FloatRange(0.0, 3600.0, min_open=True), default=5.0, show_default=True,
    help="Time for each of the populations that are measured.",
)  # fmt: skip
@THREADS
@JSON_FLAG
def bench(
    what: Literal["world", "loop", "all", "tui", "env"], seconds: float, threads: int | None, as_json: bool
) -> int:
    """Measure this machine: world alone, whole loop with its time split by phase, both; terminal; environments."""
    if what == "tui":
        from tui.bench_tui import bench_tui

        return bench_tui(seconds, as_json=as_json)
    if what == "env":
        from tui.bench_envs import bench_envs

        return bench_envs(seconds, as_json=as_json)
    from tui.bench import bench as run_bench

    return run_bench(what, seconds, threads or 1, as_json=as_json)


@cli.command()
@JSON_FLAG
def version(as_json: bool) -> int:
    """Print the version."""
    import json

    import lineage
    from tui.diagnostics import emit

    emit(json.dumps({"version": lineage.__version__}) if as_json else f"{PROGRAM} {lineage.__version__}")
    return 0


for _module in (cli_watch, cli_lineage, cli_contest, cli_arena):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code; nothing but SystemExit-free values comes back."""
    if conflict := packages.find_conflict():
        print(f"error: {conflict}", file=sys.stderr)
        return 5
    from tui.diagnostics import guarded

    return guarded(lambda: cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False))


def main() -> None:
    """Entry point of the installed script."""
    sys.exit(invoke(sys.argv[1:]))


if __name__ == "__main__":
    main()
