"""`lineage` and `query`: questions to a run, in words and in SQL. Only click is imported here."""

from pathlib import Path
from typing import Any

import click

from tui.options import JSON_FLAG, MAX_SEED, Commands, F

RUN = click.argument("path", type=click.Path(path_type=Path), metavar="RUN")
CSV_FLAG = click.option("--csv", "as_csv", is_flag=True, help="Print CSV; what could be a formula gets a ' in front.")
EVERY = click.option("--every", type=click.IntRange(1), metavar="N", help="A row every N rounds; else some 20 rows.")
WHO = click.argument("who", metavar="AGENT")
MAYBE_WHO = click.argument("who", metavar="[AGENT]", required=False)


def asking_options(command: F) -> F:
    """Add what every question takes: --at, --limit, --skip, --json, --csv."""
    for option in (
        CSV_FLAG,
        JSON_FLAG,
        click.option("--skip", type=click.IntRange(0), default=0, help="Leave out the first rows."),
        click.option(
            "--limit",
            "most",
            type=click.IntRange(1, 10_000_000),
            default=50,
            show_default=True,
            help="Most rows.",
        ),
        click.option("--at", type=click.IntRange(0), metavar="ROUND", help="As it was known at the end of this round."),
    ):
        command = option(command)
    return command


@click.group(cls=Commands)
@RUN
@click.pass_context
def lineage(ctx: click.Context, path: Path) -> None:
    """Ask who descends from whom, who lives how long, and whether it is more than luck.

    AGENT is an id (17), a clan (teal-owl: its founder) or a member of one (teal-owl-17). For tree, clans, metrics,
    ltt, diversity, muller and neutral, RUN may be a phylogeny FILE.csv in the ALife standard.
    """
    ctx.obj = path


@lineage.command()
@WHO
@asking_options
@click.pass_obj
def ancestors(path: Path, /, **given: Any) -> int:
    """The line of descent, the agent first, its founder last."""
    from tui import asking

    return asking.ancestors(path=path, **given)


@lineage.command()
@WHO
@asking_options
@click.pass_obj
def descendants(path: Path, /, **given: Any) -> int:
    """Who descends from an agent, nearest generation first."""
    from tui import asking

    return asking.descendants(path=path, **given)


@lineage.command()
@click.argument("whom", metavar="AGENT AGENT...", nargs=-1)
@asking_options
@click.pass_obj
def mrca(path: Path, /, **given: Any) -> int:
    """The most recent common ancestor of agents."""
    from tui import asking

    return asking.mrca(path=path, **given)


@lineage.command()
@MAYBE_WHO
@click.option("--levels", type=click.IntRange(0), metavar="N", help="Most generations; what fits by default.")
@asking_options
@click.pass_obj
def tree(path: Path, /, **given: Any) -> int:
    """The family tree, drawn: the largest clans first, what is hidden counted."""
    from tui import asking_trees

    return asking_trees.tree(path=path, **given)


@lineage.command()
@MAYBE_WHO
@asking_options
@click.pass_obj
def scars(path: Path, /, **given: Any) -> int:
    """Own and inherited damage: along an agent's line, or by generation."""
    from tui import asking

    return asking.scars(path=path, **given)


@lineage.command()
@asking_options
@click.pass_obj
def graveyard(path: Path, /, **given: Any) -> int:
    """The dead, newest grave first."""
    from tui import asking

    return asking.graveyard(path=path, **given)


@lineage.command()
@asking_options
@click.pass_obj
def clans(path: Path, /, **given: Any) -> int:
    """The clans, the largest first."""
    from tui import asking_trees

    return asking_trees.clans(path=path, **given)


@lineage.command()
@click.option(
    "--by", type=click.Choice(["growth", "children", "age", "damage"]), default="growth", show_default=True,
    help="What makes a champion.",
)  # fmt: skip
@asking_options
@click.pass_obj
def champions(path: Path, /, **given: Any) -> int:
    """The best of all times, alive or dead."""
    from tui import asking

    return asking.champions(path=path, **given)


@lineage.command()
@click.option(
    "--by", type=click.Choice(["all", "generation", "inherited", "damage", "birthmark"]), default="all",
    show_default=True,
    help="all, generation, inherited (damage at birth): curves; damage, birthmark: hazards",
)  # fmt: skip
@asking_options
@click.pass_obj
def survival(path: Path, /, **given: Any) -> int:
    """How long lives last: Kaplan-Meier curves, and hazards by damage."""
    from tui import asking

    return asking.survival(path=path, **given)


@lineage.command()
@click.option("--lengths", type=click.Choice(["time", "unit"]), default="time", show_default=True, help="Of a branch.")
@click.option(
    "--living", type=click.Choice(["nodes", "tips"]), default="nodes", show_default=True,
    help="Living ancestors: inner nodes of the genealogy, or tips of the reconstructed tree.",
)  # fmt: skip
@click.option("--stem/--no-stem", default=True, help="Whether a clan's stem counts.")
@asking_options
@click.pass_obj
def metrics(path: Path, /, **given: Any) -> int:
    """Diversity, distances, distinctiveness and balance of the tree of the living."""
    from tui import asking_trees

    return asking_trees.metrics(path=path, **given)


@lineage.command()
@EVERY
@asking_options
@click.pass_obj
def ltt(path: Path, /, **given: Any) -> int:
    """Lineages through time."""
    from tui import asking_trees

    return asking_trees.ltt(path=path, **given)


@lineage.command()
@EVERY
@asking_options
@click.pass_obj
def diversity(path: Path, /, **given: Any) -> int:
    """Diversity of clans through time: Shannon, Simpson, effective number."""
    from tui import asking_trees

    return asking_trees.diversity(path=path, **given)


@lineage.command()
@click.option("--of", "who", metavar="AGENT", help="Clades of this agent's children instead of clans.")
@click.option("--top", type=click.IntRange(1, 1000), default=12, show_default=True, help="Groups shown by themselves.")
@EVERY
@asking_options
@click.pass_obj
def muller(path: Path, /, **given: Any) -> int:
    """Sizes of clans or clades through time, as a Muller plot wants them."""
    from tui import asking_trees

    return asking_trees.muller(path=path, **given)


@lineage.command()
@click.option(
    "--statistic", type=click.Choice(["born", "alive"]), default="born", show_default=True,
    help="Heirs ever born, or members alive.",
)  # fmt: skip
@click.option("--replicates", type=click.IntRange(19, 1_000_000), default=999, show_default=True)
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=1, show_default=True)
@asking_options
@click.pass_obj
def neutral(path: Path, /, **given: Any) -> int:
    """Which clans did better than luck: the same births and deaths with parents drawn at random."""
    from tui import asking_trees

    return asking_trees.neutral(path=path, **given)


@click.command()
@RUN
@click.argument("statement", metavar="SQL|NAME|-|list")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="The value of :NAME; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 10_000_000), default=1000, show_default=True, help="Most rows.")
@click.option(
    "--timeout", type=click.FloatRange(0.0, 3600.0, min_open=True), default=10.0, show_default=True, help="Seconds.",
)  # fmt: skip
@JSON_FLAG
@CSV_FLAG
def query(path: Path, statement: str, params: tuple[str, ...], **given: Any) -> int:
    """Ask a run in SQL: a statement, a canned query (`query RUN list`), or - for stdin. It can only read."""
    from tui.querying import query as run_query

    return run_query(path, statement, params, **given)
