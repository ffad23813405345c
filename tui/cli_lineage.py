"""Commands for asking a run about ancestry, exporting it, proving it. Only click is imported here."""

from pathlib import Path
from typing import Any

import click

from tui.cli_asking import lineage, query
from tui.options import DIRECTORY, JSON_FLAG

OUT = click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="A new file; stdout when not given.")
CHECKPOINT = click.option("--checkpoint", "kept", metavar="CHECKPOINT", help="A checkpoint that you kept, or its file.")


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--format", "form", required=True,
    type=click.Choice(["alife", "newick", "nexus", "graphml", "parquet", "csv", "muller", "svg", "html"]),
    help="alife, csv, graphml, parquet: an agent a row; newick, nexus: trees; muller: clans by round; svg, html: drawn",
)  # fmt: skip
@OUT
@click.option("--at", type=click.IntRange(0), metavar="ROUND", help="The run as it was known at the end of this round.")
@click.option("--unit", type=click.Choice(["tick", "round"]), help="Times of alife, newick, nexus; ticks by default.")
@click.option("--lives", is_flag=True, help="newick, nexus: every agent a tip at its end, every inner node a birth.")
@click.option(
    "--rows", "most", type=click.IntRange(1, 20_000), default=1000, show_default=True,
    help="svg, html: most agents that are drawn; those with the most descendants are.",
)  # fmt: skip
def export(path: Path, **given: Any) -> int:
    """Export a run (or a phylogeny FILE.csv in the ALife standard) for other tools, or as a picture."""
    from tui.exporting import export_run

    return export_run(path, **given)


@click.command()
@DIRECTORY
@click.argument("what", type=click.Choice(["event", "scar", "ancestor", "checkpoint"]), required=False)
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--from", "older", metavar="CHECKPOINT", help="Prove that history only grew since this checkpoint.")
@CHECKPOINT
@OUT
@JSON_FLAG
def prove(directory: Path, what: str | None, names: tuple[str, ...], **given: Any) -> int:
    """Prove that an event, a scar (AGENT or AGENT.NUMBER) or an ancestor is in a run's history; print a checkpoint.

    The proof needs no database: `verify-proof` checks it against a checkpoint that you keep elsewhere.
    """
    from tui.proving import prove_run

    return prove_run(directory, what, names, **given)


@click.command("verify-proof")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@CHECKPOINT
@JSON_FLAG
def verify_proof(file: Path, **given: Any) -> int:
    """Check a proof that `prove` wrote, without the run. Exit code 4 if it does not hold."""
    from tui import proving

    return proving.verify_proof(file, **given)


COMMANDS: tuple[click.Command, ...] = (lineage, query, export, prove, verify_proof)
