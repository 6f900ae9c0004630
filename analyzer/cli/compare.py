"""`analyzer compare`."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options
from analyzer.questions.options import CompareOptions
from analyzer.text import replace_surrogates

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("compare", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options("[SOURCE]... [A B]")
@click.option(
    "--limit",
    type=int,
    metavar="N",
    default=CompareOptions().limit,
    show_default=True,
    help="How many groups of each dimension to show.",
)
@COST_PER_MINUTE
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", limit: int, cost_per_minute: float | None, output: OutputOptions
) -> int:
    """Compare two periods, filters or sources.

    Shows whether the hit rate changed or only the mix of lookups, by how much at least, where, and since when. Numbers
    in brackets are 95 % intervals. X → Y means X in A and Y in B.

    A and B are FROM..UNTIL, or NAME=VALUE (team, ci, interactive, session, hash, status), or both separated by commas.
    Two sources alone are compared with each other. Without A and B, the last 7 days of the log are compared with the 7
    days before.

    \b
    Examples:
      analyzer compare sample_data
      analyzer compare sample_data 2026-10-12..2026-10-26 2026-10-26..2026-11-09
      analyzer compare sample_data team=web team=platform --since 2026-11-01
      analyzer compare sample_data/acme-until-09-15.ndjson.gz sample_data/acme-until-10-15.parquet
    """
    from analyzer.questions.compare import compare  # noqa: PLC0415
    from analyzer.questions.comparison_sides import ComparisonSide, parse_sides  # noqa: PLC0415
    from analyzer.questions.report import with_costs  # noqa: PLC0415

    options = CompareOptions(limit)
    target = output.target(inputs)
    sources, sides = parse_sides(inputs.sources, datetime.now(UTC))
    logs_sources = [sources]
    if sides is None and len(sources) == 2:  # noqa: PLR2004  (A and B)
        a, b = sources
        logs_sources = [(a,), (b,)]
        sides = ComparisonSide(f"A: {replace_surrogates(a)}", {}), ComparisonSide(f"B: {replace_surrogates(b)}", {})
    with ExitStack() as stack:
        logs = [stack.enter_context(open_source(replace(inputs, sources=one), selection.view)) for one in logs_sources]
        write(with_costs(compare(logs, selection, sides, options), cost_per_minute), target)
        return max(exit_code(log.load_result) for log in logs)
