"""`analyzer misses`."""

import click

from analyzer.cli.options import RETENTION, limit_option
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import MISSES_BY, MissesOptions


@question_command(
    "misses",
    RETENTION,
    click.option(
        "--by", type=click.Choice(MISSES_BY), help="Group the costliest misses by this. Default: task, if known."
    ),
    limit_option(MissesOptions().limit, "How many of the costliest misses to show."),
)
def command(arguments: QuestionArguments, retention: float, by: str | None, limit: int) -> int:
    """Why lookups missed, and what that cost.

    \b
    Examples:
      analyzer misses sample_data
      analyzer misses sample_data --team web --since 2026-11-01
      analyzer misses sample_data --by hash --limit 3 --format json
    """
    from analyzer.questions.misses import misses  # noqa: PLC0415

    options = MissesOptions(retention, by, limit)
    return arguments.answer(lambda log: misses(log, arguments.selection, options))
