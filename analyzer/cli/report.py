"""`analyzer report`."""

import shlex
import sys
from datetime import UTC, datetime

import click

from analyzer.cli.options import RETENTION
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.errors import UsageError
from analyzer.questions.options import PageOptions
from analyzer.text import replace_surrogates


@question_command(
    "report",
    click.option("--tz", default="UTC", show_default=True, help="IANA time zone of days and hours."),
    RETENTION,
    click.option("--full", is_flag=True, help="Write all sections to Markdown, not only the most important ones."),
    default_format="markdown",
)
def command(arguments: QuestionArguments, tz: str, retention: float, full: bool) -> int:
    """Put every answer on one page, as HTML or Markdown.

    The HTML page is one file that needs no network. Markdown is for pull requests and CI step summaries: at most 80
    lines, or everything with --full.

    \b
    Examples:
      analyzer report sample_data -o report.html
      analyzer report sample_data --since 2026-10-01 --team web -o web.html
      analyzer report sample_data/acme/runs.ndjson.zst --format markdown
      analyzer report sample_data --full -o report.md
    """
    from analyzer.questions.page import build_page  # noqa: PLC0415

    if full and arguments.output.format.name != "markdown":
        raise UsageError(f"--full is for Markdown; --format {arguments.output.format.name} has everything without it")
    command_line = replace_surrogates(shlex.join(["analyzer", *sys.argv[1:]]))
    options = PageOptions(retention, tz, full, command_line, datetime.now(UTC).replace(tzinfo=None))
    return arguments.answer(lambda log: build_page(log, arguments.selection, options))
