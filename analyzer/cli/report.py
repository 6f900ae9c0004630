"""`analyzer report`."""

import shlex
import sys
from datetime import UTC, datetime

import click

from analyzer.cli.options import RETENTION
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import PageOptions
from analyzer.text import replace_surrogates


@question_command(
    "report",
    click.option("--tz", default="UTC", show_default=True, help="IANA time zone of days and hours."),
    RETENTION,
    default_format="markdown",
)
def command(arguments: QuestionArguments, tz: str, retention: float) -> int:
    """Put every answer on one page, as HTML or Markdown.

    The HTML page is one file that needs no network; Markdown is for pull requests and CI step summaries.

    \b
    Examples:
      analyzer report sample_data -o report.html
      analyzer report sample_data --since 2026-10-01 --team web -o web.html
      analyzer report sample_data/acme/runs.ndjson.zst --format markdown
    """
    from analyzer.questions.page import build_page  # noqa: PLC0415

    command_line = replace_surrogates(shlex.join(["analyzer", *sys.argv[1:]]))
    options = PageOptions(retention, tz, command_line, datetime.now(UTC).replace(tzinfo=None))
    return arguments.answer(lambda log: build_page(log, arguments.selection, options))
