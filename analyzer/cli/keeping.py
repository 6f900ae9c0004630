"""The option that says how long the cache keeps artifacts; the same in every command that asks why it lost one."""

import click

from analyzer.cli.number import Number

RETENTION = click.option(
    "--retention",
    type=Number(min=0, max=3650, min_open=True),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="How long the cache keeps artifacts now.",
)
