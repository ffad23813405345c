"""Commands for watching a run in the terminal. Only click is imported here."""

import click

COMMANDS: tuple[click.Command, ...] = ()
