"""`analyzer doctor`."""

from analyzer.cli.question import QuestionArguments, question_command


@question_command("doctor", has_costs=False)
def command(arguments: QuestionArguments) -> int:
    """Find problems with the log itself, and what to do about them.

    Findings about files cover the whole log, whatever the filters; the others cover the selected lookups.

    \b
    Examples:
      analyzer doctor sample_data
      analyzer doctor sample_data --since 2026-11-01
      analyzer doctor sample_data --format json
    """
    from analyzer.questions.doctor.report import doctor  # noqa: PLC0415

    return arguments.answer(lambda log: doctor(log, arguments.selection))
