"""The option that says how long the cache keeps artifacts; the same in every command that asks why it lost one."""

import click

from analyzer.cli.number import Number
from analyzer.moment import MOST_DAYS

RETENTION = click.option(
    "--retention",
    type=Number(min=0, max=MOST_DAYS, min_open=True),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="How long the cache keeps artifacts now.",
)
