"""`analyzer doctor`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, run_question
from analyzer.cli.source import SourceOptions, source_options

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("doctor", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options()
@filter_options
@output_options
def command(inputs: SourceOptions, selection: "Selection", output: OutputOptions) -> int:
    """Find problems with the log itself, and what to do about them.

    Findings about files cover the whole log, whatever the filters; the others cover the selected lookups.

    \b
    Examples:
      analyzer doctor sample_data
      analyzer doctor sample_data --since 2026-11-01
      analyzer doctor sample_data --format json
    """
    from analyzer.questions.doctor.report import doctor  # noqa: PLC0415

    return run_question(inputs, output, lambda log: doctor(log, selection), view=selection.view)
