"""`analyzer stats`."""

import click

from analyzer.cli.completion import complete_dimensions
from analyzer.cli.console import Exit
from analyzer.cli.options import RestoreCost, limit_option
from analyzer.cli.output import write
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import StatsOptions

DIMENSIONS = (
    "hour, day, week, month, weekday, hour_of_day, ci, team, interactive, session, hash, task, package, branch, user,"
    " source"
)


@question_command(
    "stats",
    click.option(
        "--by", multiple=True, metavar="DIM", shell_complete=complete_dimensions,
        help=f"Group by {DIMENSIONS}. Repeatable, or separated by commas.",
    ),
    click.option("--tz", default="UTC", show_default=True, help="IANA time zone of the buckets; filter times are UTC."),
    click.option("--sort", metavar="COLUMN", help="Sort groups by this column; -COLUMN for descending order."),
    limit_option(None, "Show the first N groups only."),
    click.option("--min-lookups", type=int, metavar="N", help="Leave out groups with fewer lookups."),
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
    dimensions = tuple(name for names in by for name in names.split(","))
    options = StatsOptions(dimensions, tz, sort, limit, min_lookups, restore_ms, has_costs, explain)
    if explain and not arguments.inputs.sources:
        write(explain_measures(options), arguments.output.target(arguments.inputs))
        return Exit.OK
    needs = Needs(needs_lookups_only(selection, options), selection)
    return arguments.answer(lambda log: stats(log, selection, options), needs)
