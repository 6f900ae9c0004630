"""`analyzer misses`."""

from analyzer.cli.groups import MIN_LOOKUPS, SORT, TZ, by_option
from analyzer.cli.options import RETENTION, limit_option
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.questions.options import GroupOptions, MissesOptions


@question_command(
    "misses",
    by_option(),
    TZ,
    SORT,
    limit_option(None, f"Show the first N groups, and N of the costliest misses (default: {MissesOptions().limit})."),
    MIN_LOOKUPS,
    RETENTION,
)
def command(
    arguments: QuestionArguments, by: tuple[str, ...], tz: str, sort: str | None, limit: int | None,
    min_lookups: int | None, retention: float,
) -> int:  # fmt: skip
    """Why lookups missed, and what that cost.

    The costliest misses are listed by task where run summaries name tasks, else by hash, or as --by says.

    \b
    Examples:
      analyzer misses sample_data
      analyzer misses sample_data --team web --since 2026-11-01
      analyzer misses sample_data --by team,month --cost-per-minute 0.008
      analyzer misses sample_data --by hash --limit 3 --format json
    """
    from analyzer.questions.misses import misses  # noqa: PLC0415

    has_costs = arguments.cost_per_minute is not None
    groups = GroupOptions(by, tz, sort, limit if by else None, min_lookups, has_costs)
    options = MissesOptions(retention, groups, MissesOptions().limit if limit is None else limit)
    return arguments.answer(lambda log: misses(log, arguments.selection, options))
