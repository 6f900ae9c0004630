"""`analyzer report`."""

import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, RETENTION, Command
from analyzer.cli.output import OutputOptions, output_options_with, run_question
from analyzer.cli.source import SourceOptions, source_options
from analyzer.questions.options import PageOptions
from analyzer.text import replace_surrogates

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("report", cls=Command, epilog=f"{FILTERS_HELP} {EXITS}")
@source_options()
@click.option("--tz", default="UTC", show_default=True, help="IANA time zone of days and hours.")
@RETENTION
@COST_PER_MINUTE
@filter_options
@output_options_with(default="markdown")
def command(
    inputs: SourceOptions,
    selection: "Selection",
    tz: str,
    retention: float,
    cost_per_minute: float | None,
    output: OutputOptions,
) -> int:
    """Put every answer on one page, as HTML or Markdown.

    The HTML page is one file that needs no network; Markdown is for pull requests and CI step summaries.

    \b
    Examples:
      analyzer report sample_data -o report.html
      analyzer report sample_data --since 2026-10-01 --team web -o web.html
      analyzer report sample_data/runs --format markdown
    """
    from analyzer.questions.page.page import build_page  # noqa: PLC0415
    from analyzer.questions.report import with_costs  # noqa: PLC0415

    command_line = replace_surrogates(shlex.join(["analyzer", *sys.argv[1:]]))
    options = PageOptions(retention, tz, command_line, datetime.now(UTC).replace(tzinfo=None))
    return run_question(
        inputs,
        output,
        lambda log: with_costs(build_page(log, selection, options), cost_per_minute),
        view=selection.view,
    )
