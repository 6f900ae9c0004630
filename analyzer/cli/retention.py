"""`analyzer retention`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, RETENTION, Command
from analyzer.cli.output import OutputOptions, output_options, run_question
from analyzer.cli.source import SourceOptions, source_options
from analyzer.questions.options import RetentionOptions

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("retention", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options()
@RETENTION
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions,
    selection: "Selection",
    retention: float,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Hit rate and time saved by how long artifacts are kept.

    Replays the lookups of the remote cache against caches that keep artifacts for 1 to 90 days, counted from their
    upload (absolute, like Vercel's) or from their last use (sliding).

    \b
    Examples:
      analyzer retention sample_data
      analyzer retention sample_data --retention 14 --team platform
      analyzer retention sample_data -o curve.csv
    """
    from analyzer.questions import retention as question  # noqa: PLC0415
    from analyzer.questions.report import with_costs  # noqa: PLC0415

    options = RetentionOptions(retention)
    return run_question(
        inputs,
        output,
        lambda log: with_costs(question.retention(log, selection, options), cost_per_minute),
        view=selection.view,
    )
