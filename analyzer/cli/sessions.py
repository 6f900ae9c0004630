"""`analyzer sessions`."""

from dataclasses import replace
from glob import has_magic
from pathlib import Path

from analyzer.cli.options import RETENTION, limit_option
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import SessionsOptions
from analyzer.readers.objects import is_url


@question_command(
    "sessions",
    limit_option(SessionsOptions().limit, "How many sessions to show of each kind."),
    RETENTION,
    source="[SOURCE]... [ID]",
)
def command(arguments: QuestionArguments, limit: int, retention: float) -> int:
    """Show the sessions that stand out, or all lookups of the session ID.

    ID is the id of a session or of a run, or a unique prefix of one.

    \b
    Examples:
      analyzer sessions sample_data
      analyzer sessions sample_data --team web --limit 3
      analyzer sessions sample_data a315ad4f
    """
    from analyzer.archive.open_log import Needs  # noqa: PLC0415
    from analyzer.questions.sessions import one_session, sessions  # noqa: PLC0415

    options = SessionsOptions(limit, retention)
    *sources, last = arguments.inputs.sources or ("",)
    # The last argument is an id unless it can be a source.
    if not sources or last == "-" or has_magic(last) or is_url(last) or Path(last).exists():
        needs = Needs(selection=arguments.selection)
        return arguments.answer(lambda log: sessions(log, arguments.selection, options), needs)
    arguments = replace(arguments, inputs=replace(arguments.inputs, sources=tuple(sources)))
    return arguments.answer(lambda log: one_session(log, arguments.selection, last, options))
