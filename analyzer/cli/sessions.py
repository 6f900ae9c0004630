"""`analyzer sessions`."""

from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, RETENTION, Command
from analyzer.cli.output import OutputOptions, output_options, run_question
from analyzer.cli.source import SourceOptions, source_options
from analyzer.questions.options import SessionsOptions

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog
    from analyzer.archive.selection import Selection
    from analyzer.questions.report import Report


@click.command("sessions", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options("[SOURCE]... [ID]")
@click.option(
    "--limit",
    type=int,
    metavar="N",
    default=SessionsOptions().limit,
    show_default=True,
    help="How many sessions to show of each kind.",
)
@RETENTION
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions,
    selection: "Selection",
    limit: int,
    retention: float,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Show the sessions that stand out, or all lookups of the session ID.

    ID is the id of a session or of a run, or a unique prefix of one.

    \b
    Examples:
      analyzer sessions sample_data
      analyzer sessions sample_data --team web --limit 3
      analyzer sessions sample_data a315ad4f
    """
    from analyzer.questions.report import with_costs  # noqa: PLC0415
    from analyzer.questions.sessions import one_session, sessions  # noqa: PLC0415

    options = SessionsOptions(limit, retention)
    *sources, last = inputs.sources or ("",)
    # The last argument is an id unless it can be a source.
    is_id = bool(sources) and last != "-" and not has_magic(last) and not Path(last).exists()
    inputs = replace(inputs, sources=tuple(sources)) if is_id else inputs

    def question(log: "OpenLog") -> "Report":
        report = one_session(log, selection, last, options) if is_id else sessions(log, selection, options)
        return with_costs(report, cost_per_minute)

    return run_question(inputs, output, question, view=selection.view)
