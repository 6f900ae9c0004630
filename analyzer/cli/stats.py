"""`analyzer stats`."""

import click

from analyzer.cli.console import Exit
from analyzer.cli.groups import MIN_LOOKUPS, SORT, TZ, by_option
from analyzer.cli.options import RestoreCost, limit_option
from analyzer.cli.output import write
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import StatsOptions


@question_command(
    "stats",
    by_option("source"),
    TZ,
    SORT,
    limit_option(None, "Show the first N groups only."),
    MIN_LOOKUPS,
    click.option(
        "--explain", is_flag=True,
        help="Add each measure's definition, caveats and SQL; without SOURCE, show only these.",
    ),
    click.option(
        "--restore-cost", "restore_ms", type=RestoreCost(), metavar="local=MS,remote=MS",
        help="How long it takes to restore an artifact; adds net savings.",
    ),
)  # fmt: skip
def command(
    arguments: QuestionArguments, by: tuple[str, ...], tz: str, sort: str | None, limit: int | None,
    min_lookups: int | None, explain: bool, restore_ms: tuple[float, float] | None,
) -> int:  # fmt: skip
    """Hit rates and time saved, of logs or of an archive.

    \b
    Examples:
      analyzer stats sample_data
      analyzer stats sample_data --by week --team web
      analyzer stats sample_data --by task,team --sort hit_rate --min-lookups 100
      analyzer stats sample_data --by day,team -o days.csv
      analyzer stats --explain
    """
    from analyzer.archive.open_log import Needs  # noqa: PLC0415
    from analyzer.questions.stats import explain_measures, needs_lookups_only, stats  # noqa: PLC0415

    selection, has_costs = arguments.selection, arguments.cost_per_minute is not None
    options = StatsOptions(by, tz, sort, limit, min_lookups, has_costs, restore_ms, explain)
    if explain and not arguments.inputs.sources:
        write(explain_measures(options), arguments.output.target(arguments.inputs))
        return Exit.OK
    needs = Needs(needs_lookups_only(selection, options), selection)
    return arguments.answer(lambda log: stats(log, selection, options), needs)
