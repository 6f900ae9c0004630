"""`analyzer retention`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli.cost import COST_PER_MINUTE
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.keeping import RETENTION
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("retention", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@RETENTION
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", retention: float, cost_per_minute: float | None,
    output: OutputOptions,
) -> int:  # fmt: skip
    """Hit rate and time saved by how long artifacts are kept.

    The lookups of the remote cache are replayed against caches that keep artifacts for 1 to 90 days, counted from
    their upload (absolute, as Vercel's) or from their last use (sliding).

    \b
    Examples:
      analyzer retention sample_data
      analyzer retention sample_data --retention 14 --team platform
      analyzer retention sample_data -o curve.csv
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.retention import retention as answer  # noqa: PLC0415

    target = output.target(inputs)
    with open_source(inputs, progress(), Purpose(selection.view)) as opened:
        write(priced(answer(opened, selection, retention), cost_per_minute), target)
        return code_of(opened.intake)
