"""`analyzer misses`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, RETENTION, Command
from analyzer.cli.output import OutputOptions, output_options, run_question
from analyzer.cli.source import SourceOptions, source_options
from analyzer.questions.options import MISSES_BY, MissesOptions

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("misses", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options()
@RETENTION
@click.option("--by", type=click.Choice(MISSES_BY), help="Group the costliest misses by this. Default: task, if known.")
@click.option(
    "--limit",
    type=int,
    metavar="N",
    default=MissesOptions().limit,
    show_default=True,
    help="How many of the costliest misses to show.",
)
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions,
    selection: "Selection",
    retention: float,
    by: str | None,
    limit: int,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Why lookups missed, and what that cost.

    \b
    Examples:
      analyzer misses sample_data
      analyzer misses sample_data --team web --since 2026-11-01
      analyzer misses sample_data --by hash --limit 3 --format json
    """
    from analyzer.questions.misses import misses  # noqa: PLC0415
    from analyzer.questions.report import with_costs  # noqa: PLC0415

    options = MissesOptions(retention, by, limit)
    return run_question(
        inputs, output, lambda log: with_costs(misses(log, selection, options), cost_per_minute), view=selection.view
    )
