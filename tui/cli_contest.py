"""Commands for vital signs, policies, evaluations, sweeps and tournaments. Only click is imported here."""

import click

COMMANDS: tuple[click.Command, ...] = ()
