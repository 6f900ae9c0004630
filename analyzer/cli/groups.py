"""The options of commands whose answers can be grouped."""

import click

from analyzer.cli.completion import complete_dimensions
from analyzer.cli.options import Decorator

DIMENSIONS = (
    "hour, day, week, month, weekday, hour_of_day, ci, team, interactive, session, hash, task, package, branch, user"
)


def by_option(*more: str) -> Decorator:
    """Return the option --by: dimensions, separated by commas or given by several options; `more` are their names."""
    return click.option(
        "--by", multiple=True, metavar="DIM", shell_complete=complete_dimensions,
        callback=lambda _context, _option, values: tuple(name for names in values for name in names.split(",")),
        help=f"Group by {', '.join((DIMENSIONS, *more))}. Repeatable, or separated by commas.",
    )  # fmt: skip


TZ = click.option("--tz", default="UTC", show_default=True, help="IANA time zone of the buckets; filter times are UTC.")
SORT = click.option(
    "--sort", metavar="COLUMNS", help="Sort groups by columns, separated by commas; -COLUMN is descending."
)
MIN_LOOKUPS = click.option("--min-lookups", type=int, metavar="N", help="Leave out groups with fewer lookups.")
