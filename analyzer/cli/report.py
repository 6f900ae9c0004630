"""`analyzer report`."""

import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from analyzer.cli.cost import COST_PER_MINUTE
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.keeping import RETENTION
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, options_with, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options
from analyzer.text import shown

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection


@click.command("report", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@click.option("--tz", default="UTC", show_default=True, help="IANA time zone of days and hours.")
@RETENTION
@COST_PER_MINUTE
@filter_options
@options_with(default="markdown")
def command(
    inputs: SourceOptions, selection: "Selection", tz: str, retention: float, cost_per_minute: float | None,
    output: OutputOptions,
) -> int:  # fmt: skip
    """Put every answer on one page: HTML, or Markdown.

    The HTML is one file that needs no network; Markdown is for pull requests and CI step summaries.

    \b
    Examples:
      analyzer report sample_data -o report.html
      analyzer report sample_data --since 2026-10-01 --team web -o web.html
      analyzer report sample_data/runs --format markdown
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.report.cost import priced  # noqa: PLC0415
    from analyzer.report.page.page import page  # noqa: PLC0415
    from analyzer.report.page.question import Question  # noqa: PLC0415

    target = output.target(inputs)
    said = shown(shlex.join(["analyzer", *sys.argv[1:]]))
    question = Question(retention, tz, said, datetime.now(UTC).replace(tzinfo=None))
    with open_source(inputs, progress(), Purpose(selection.view)) as opened:
        write(priced(page(opened, selection, question), cost_per_minute), target)
        return code_of(opened.intake)
