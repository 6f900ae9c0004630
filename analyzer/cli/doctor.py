"""`analyzer doctor`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("doctor", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@filter_options
@output_options
def command(inputs: SourceOptions, selection: "Selection", output: OutputOptions) -> int:
    """Examine the log itself: what is wrong with it, and what to do.

    Findings about files are of the whole log, whatever the filters; the others of the lookups that filters leave.

    \b
    Examples:
      analyzer doctor sample_data
      analyzer doctor sample_data --since 2026-11-01
      analyzer doctor sample_data --format json
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.doctor import doctor  # noqa: PLC0415

    target = output.target(inputs)
    with open_source(inputs, progress(), Purpose(selection.view)) as opened:
        write(doctor(opened, selection), target)
        return code_of(opened.intake)
