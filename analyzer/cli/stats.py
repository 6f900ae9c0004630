"""`analyzer stats`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.completion import complete_dimensions
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.exits import Exit
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, Command, RestoreCost
from analyzer.cli.output import OutputOptions, output_options, run_question, write
from analyzer.cli.source import SourceOptions, source_options
from analyzer.questions.options import StatsOptions

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection

DIMENSIONS = (
    "hour, day, week, month, weekday, hour_of_day, ci, team, interactive, session, hash, task, package, branch, user,"
    " source"
)


@click.command("stats", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options()
@click.option(
    "--by",
    multiple=True,
    metavar="DIM",
    shell_complete=complete_dimensions,
    help=f"Group by {DIMENSIONS}. Repeatable, or separated by commas.",
)
@click.option("--tz", default="UTC", show_default=True, help="IANA time zone of the buckets; filter times are UTC.")
@click.option("--sort", metavar="COLUMN", help="Sort groups by this column; -COLUMN for descending order.")
@click.option("--limit", type=int, metavar="N", help="Show the first N groups only.")
@click.option(
    "--explain", is_flag=True, help="Add each measure's definition, caveats and SQL; without SOURCE, show only these."
)
@click.option(
    "--restore-cost",
    "restore_ms",
    type=RestoreCost(),
    metavar="local=MS,remote=MS",
    help="How long it takes to restore an artifact; adds net savings.",
)
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions,
    selection: "Selection",
    by: tuple[str, ...],
    tz: str,
    sort: str | None,
    limit: int | None,
    explain: bool,
    restore_ms: tuple[float, float] | None,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Hit rates and time saved, of logs or of an archive.

    \b
    Examples:
      analyzer stats sample_data
      analyzer stats sample_data --by week --team web
      analyzer stats sample_data --by ci --sort hit_rate --format markdown
      analyzer stats sample_data --by day,team -o days.csv
      analyzer stats --explain
    """
    from analyzer.questions.report import with_costs  # noqa: PLC0415
    from analyzer.questions.stats import explain_measures, needs_lookups_only, stats  # noqa: PLC0415

    dimensions = tuple(name for names in by for name in names.split(","))
    options = StatsOptions(dimensions, tz, sort, limit, restore_ms, cost_per_minute is not None, explain)
    if explain and not inputs.sources:
        write(explain_measures(options), output.target(inputs))
        return Exit.OK
    return run_question(
        inputs,
        output,
        lambda log: with_costs(stats(log, selection, options), cost_per_minute),
        view=selection.view,
        lookups_only=needs_lookups_only(selection, options),
    )
