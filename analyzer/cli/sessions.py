"""`analyzer sessions`."""

from dataclasses import replace

from analyzer.cli.groups import TZ, by_option
from analyzer.cli.options import RETENTION, limit_option
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.cli.source import split_ids
from analyzer.questions.options import GroupOptions, SessionsOptions


@question_command(
    "sessions",
    limit_option(SessionsOptions().limit, "How many sessions to show of each kind."),
    by_option(),
    TZ,
    RETENTION,
    source="[SOURCE]... [ID]",
)
def command(arguments: QuestionArguments, limit: int, by: tuple[str, ...], tz: str, retention: float) -> int:
    """Show the sessions that stand out and percentiles of all, or all lookups of the session ID.

    ID is the id of a session or of a run, or a unique prefix of one. --by groups the percentiles; a session belongs to
    the bucket of its first lookup.

    \b
    Examples:
      analyzer sessions sample_data
      analyzer sessions sample_data --team web --limit 3
      analyzer sessions sample_data --by week -o weeks.csv
      analyzer sessions sample_data 3LxjHboe
    """
    from analyzer.archive.open_log import Needs  # noqa: PLC0415
    from analyzer.questions.sessions import one_session, sessions  # noqa: PLC0415

    options = SessionsOptions(limit, retention, GroupOptions(by, tz))
    inputs, ids = split_ids(arguments.inputs, 1)
    if not inputs.sources or not ids:
        needs = Needs(selection=arguments.selection)
        return arguments.answer(lambda log: sessions(log, arguments.selection, options), needs)
    arguments = replace(arguments, inputs=inputs)
    return arguments.answer(lambda log: one_session(log, arguments.selection, ids[0], options))
