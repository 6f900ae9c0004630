"""`analyzer retention`."""

from analyzer.cli.options import RETENTION
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import RetentionOptions


@question_command("retention", RETENTION)
def command(arguments: QuestionArguments, retention: float) -> int:
    """Hit rate and time saved by how long artifacts are kept.

    Replays the lookups of the remote cache against caches that keep artifacts for 1 to 90 days, counted from their
    upload (absolute, like Vercel's) or from their last use (sliding).

    \b
    Examples:
      analyzer retention sample_data
      analyzer retention sample_data --retention 14 --team platform
      analyzer retention sample_data -o curve.csv
    """
    from analyzer.questions import retention as question  # noqa: PLC0415

    options = RetentionOptions(retention)
    return arguments.answer(lambda log: question.retention(log, arguments.selection, options))
