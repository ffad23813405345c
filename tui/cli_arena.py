"""Commands for environments for other people's code. Only click is imported here."""

import click

from tui.options import JSON_FLAG, MAX_SEED


@click.command()
@click.argument("environment", required=False, metavar="[MODULE:ENV]")
@click.option("--kwargs", "keywords", default="{}", metavar="JSON", help="Keyword arguments that make it, as JSON.")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), default=3, show_default=True, help="Of the episodes.")
@click.option("--steps", type=click.IntRange(2, 100_000), default=100, show_default=True, help="Most steps an episode.")
@JSON_FLAG
def check(environment: str | None, keywords: str, seed: int, steps: int, as_json: bool) -> int:
    """Check an environment (MODULE:ENV or a Gymnasium id; ours when none is given) against its interface and time.

    PettingZoo's and Gymnasium's own tests with warnings as errors, and ours: the contract of births and deaths,
    whole episodes equal across processes, look-ahead, conservation, permutation. Exit code 3 if a check fails.
    """
    from tui.checking import check_environments

    return check_environments(environment, keywords, seed, steps, as_json=as_json)


COMMANDS: tuple[click.Command, ...] = (check,)
