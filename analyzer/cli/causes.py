"""`analyzer causes`."""

from dataclasses import replace

import click

from analyzer.cli.options import limit_option
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.cli.source import split_ids
from analyzer.questions.options import CausesOptions


@question_command(
    "causes",
    click.option("--task", metavar="PACKAGE#TASK", help="Of RUN, show this task alone."),
    limit_option(CausesOptions().limit, "How many causes to show."),
    source="[SOURCE]... [RUN] [BASE]",
    has_engine=False,  # it is about run summaries, which are not divided
)
def command(arguments: QuestionArguments, task: str | None, limit: int) -> int:
    """Show which inputs changed the hashes of tasks that missed, or what changed in the run RUN.

    Reads run summaries (turbo run … --summarize). RUN is the id of a run or of its session, or a unique prefix of one;
    each task of it is compared with the latest earlier run of the task, on the same branch if there is one, or with the
    run BASE.

    \b
    Examples:
      analyzer causes sample_data
      analyzer causes sample_data --team web --last 7d
      analyzer causes sample_data 3LxjHboe --task @acme/editor#test
    """
    from analyzer.questions.causes import causes  # noqa: PLC0415
    from analyzer.questions.run_changes import one_run  # noqa: PLC0415

    options = CausesOptions(limit, task)
    inputs, ids = split_ids(arguments.inputs, 2)
    if not inputs.sources or not ids:
        return arguments.answer(lambda log: causes(log, arguments.selection, options))
    arguments = replace(arguments, inputs=inputs)
    return arguments.answer(lambda log: one_run(log, arguments.selection, ids, options))
