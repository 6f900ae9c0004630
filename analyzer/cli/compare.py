"""`analyzer compare`."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from analyzer.cli.cost import COST_PER_MINUTE
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.number import COUNTED
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options
from analyzer.text import shown

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("compare", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options("[SOURCE]... [A B]")
@click.option(
    "--limit", type=COUNTED, metavar="N", default=5, show_default=True, help="Groups shown of each dimension."
)
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions,
    selection: "Selection",
    limit: int,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Compare two periods, filters or sources.

    It tells whether the hit rate changed or only the mix of lookups, by how much at least, where, and since when.
    In brackets: 95 % intervals. X → Y: X in A, Y in B.

    A and B are FROM..UNTIL, or NAME=VALUE (team, ci, interactive, session, hash, status), or both with commas. Two
    sources and nothing else are compared with each other. Without sides, the last 7 days of the log are compared with
    the 7 before.

    \b
    Examples:
      analyzer compare sample_data
      analyzer compare sample_data 2026-10-12..2026-10-26 2026-10-26..2026-11-09
      analyzer compare sample_data team=web team=platform --since 2026-11-01
      analyzer compare sample_data/acme-until-09-15.ndjson.gz sample_data/acme-until-10-15.parquet
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.compare import Sample, compare  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.sides import sides  # noqa: PLC0415

    target = output.target(inputs)
    sources, samples = sides(inputs.sources, datetime.now(UTC))
    apart = [sources]
    if samples is None and len(sources) == 2:  # noqa: PLR2004  (A and B)
        apart = [(one,) for one in sources]
        samples = (Sample(f"A: {shown(sources[0])}", {}), Sample(f"B: {shown(sources[1])}", {}))
    with ExitStack() as stack:
        inputs_apart = [replace(inputs, sources=tuple(one)) for one in apart]
        opened = [stack.enter_context(open_source(one, progress(), Purpose(selection.view))) for one in inputs_apart]
        write(priced(compare(opened, selection, samples, limit), cost_per_minute), target)
        return max(code_of(one.intake) for one in opened)
