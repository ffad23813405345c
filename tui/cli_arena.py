"""Commands for environments for other people's code. Only click is imported here."""

import click

COMMANDS: tuple[click.Command, ...] = ()
