"""Commands for asking a run about ancestry, exporting it, proving it. Only click is imported here."""

import click

COMMANDS: tuple[click.Command, ...] = ()
