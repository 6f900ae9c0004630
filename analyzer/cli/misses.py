"""`analyzer misses`."""

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


@click.command("misses", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@RETENTION
@click.option(
    "--by", type=click.Choice(["task", "hash"]), help="What the costliest are told by. Default: task, if known."
)
@click.option("--limit", type=COUNTED, metavar="N", default=10, show_default=True, help="How many of the costliest.")
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", retention: float, by: str | None, limit: int,
    cost_per_minute: float | None, output: OutputOptions,
) -> int:  # fmt: skip
    """Why lookups missed, and what that cost.

    \b
    Examples:
      analyzer misses sample_data
      analyzer misses sample_data --team web --since 2026-11-01
      analyzer misses sample_data --by hash --limit 3 --format json
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.misses import misses  # noqa: PLC0415

    target = output.target(inputs)
    with open_source(inputs, progress(), Purpose(selection.view)) as opened:
        write(priced(misses(opened, selection, retention, by, limit), cost_per_minute), target)
        return code_of(opened.intake)
