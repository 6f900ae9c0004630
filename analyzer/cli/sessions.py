"""`analyzer sessions`."""

from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.cost import COST_PER_MINUTE
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.keeping import RETENTION
from analyzer.cli.number import COUNTED
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("sessions", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options("[SOURCE]... [ID]")
@click.option("--limit", type=COUNTED, metavar="N", default=10, show_default=True, help="How many of each kind.")
@RETENTION
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", limit: int, retention: float,
    cost_per_minute: float | None, output: OutputOptions,
) -> int:  # fmt: skip
    """Show runs that stand out; with the ID of one, its lookups.

    ID is the session's or the run's, or as much of its start as no other has.

    \b
    Examples:
      analyzer sessions sample_data
      analyzer sessions sample_data --team web --limit 3
      analyzer sessions sample_data a315ad4f
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.sessions import one_session, sessions  # noqa: PLC0415

    target = output.target(inputs)
    *sources, last = inputs.sources or ("",)
    is_id = bool(sources) and last != "-" and not has_magic(last) and not Path(last).exists()
    named = replace(inputs, sources=tuple(sources)) if is_id else inputs
    with open_source(named, progress(), Purpose(selection.view)) as opened:
        report = one_session(opened, selection, last, retention) if is_id else sessions(opened, selection, limit)
        write(priced(report, cost_per_minute), target)
        return code_of(opened.intake)
