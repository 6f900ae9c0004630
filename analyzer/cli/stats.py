"""`analyzer stats`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.completion import dimensions
from analyzer.cli.cost import COST_PER_MINUTE, RestoreCost
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.exits import Exit
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.number import COUNTED
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection

DIMENSIONS = (
    "hour, day, week, month, weekday, hour_of_day, ci, team, interactive, session, hash, task, package, branch, user,"
    " source"
)


@click.command("stats", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@click.option(
    "--by",
    multiple=True,
    metavar="DIM",
    shell_complete=dimensions,
    help=f"Group by {DIMENSIONS}. Repeatable, or with commas.",
)
@click.option("--tz", default="UTC", show_default=True, help="IANA time zone of the buckets; times of filters are UTC.")
@click.option("--sort", metavar="COLUMN", help="Sort groups by this column; -COLUMN for the largest first.")
@click.option("--limit", type=COUNTED, metavar="N", help="Show only the first so many groups.")
@click.option(
    "--explain", is_flag=True, help="Add each measure's definition, caveats and SQL; without SOURCE, print these alone."
)
@click.option(
    "--restore-cost", "restore_ms", type=RestoreCost(), metavar="local=MS,remote=MS",
    help="What restoring an artifact takes; adds net savings.",
)  # fmt: skip
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", by: tuple[str, ...], tz: str, sort: str | None, limit: int | None,
    explain: bool, restore_ms: tuple[float, float] | None, cost_per_minute: float | None,
    output: OutputOptions,
) -> int:  # fmt: skip
    """Hit rates and time saved, of logs or of an archive.

    \b
    Examples:
      analyzer stats sample_data
      analyzer stats sample_data --by week --team web
      analyzer stats sample_data --by ci --sort hit_rate --format markdown
      analyzer stats sample_data --by day,team -o days.csv
      analyzer stats --explain
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.metrics.stats import Grouping  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.stats import explained, needs_lookups_only, stats  # noqa: PLC0415

    target = output.target(inputs)
    names = [name for group in by for name in group.split(",")]
    grouping = Grouping(names, tz, sort, limit, restore_ms, priced=cost_per_minute is not None)
    if explain and not inputs.sources:
        write(explained(grouping), target)
        return Exit.OK
    purpose = Purpose(selection.view, lookups_only=needs_lookups_only(selection, grouping))
    with open_source(inputs, progress(), purpose) as opened:
        write(priced(stats(opened, selection, grouping, explain=explain), cost_per_minute), target)
        return code_of(opened.intake)
