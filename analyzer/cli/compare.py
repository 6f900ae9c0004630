"""`analyzer compare`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from analyzer.cli.options import limit_option
from analyzer.cli.output import write
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.cli.source import exit_code
from analyzer.errors import UsageError
from analyzer.questions.options import CompareOptions
from analyzer.readers.objects import is_url
from analyzer.text import replace_surrogates


@question_command(
    "compare",
    limit_option(CompareOptions().limit, "How many groups of each dimension to show."),
    source="[SOURCE]... [A B]",
)
def command(arguments: QuestionArguments, limit: int) -> int:
    """Compare two periods, filters or sources.

    Shows whether the hit rate changed or only the mix of lookups, by how much at least, where, and since when. Numbers
    in brackets are 95 % intervals. X → Y means X in A and Y in B.

    A and B are FROM..UNTIL, or NAME=VALUE (team, ci, interactive, session, hash, status), or both separated by commas.
    Two sources alone are compared with each other. Without A and B, the last 7 days of the log are compared with the 7
    days before.

    \b
    Examples:
      analyzer compare sample_data
      analyzer compare sample_data 2026-10-12..2026-10-26 2026-10-26..2026-11-09
      analyzer compare sample_data team=web team=platform --since 2026-11-01
      analyzer compare sample_data/acme/until-09-15.ndjson.gz sample_data/acme/until-10-15.parquet
    """
    from analyzer.questions.compare import compare  # noqa: PLC0415
    from analyzer.questions.comparison_sides import ComparisonSide, parse_sides  # noqa: PLC0415
    from analyzer.questions.report import with_costs  # noqa: PLC0415

    inputs, selection, options = arguments.inputs, arguments.selection, CompareOptions(limit)
    target = arguments.output.target(inputs)
    sources, sides = parse_sides(inputs.sources, datetime.now(UTC))
    for name in sources:
        # A mistyped side must not become a source that is left out, with an answer about something else.
        if not (name == "-" or is_url(name) or set("*?[/.") & set(name) or Path(name).exists()):
            expected = ": no such file, and no side of a comparison: FROM..UNTIL, or NAME=VALUE such as team=web"
            raise UsageError(f"{replace_surrogates(name)}{expected}")
    sources_of_logs = [sources]
    if sides is None and len(sources) == 2:  # noqa: PLR2004  (A and B)
        a, b = sources
        sources_of_logs = [(a,), (b,)]
        sides = ComparisonSide(f"A: {replace_surrogates(a)}", {}), ComparisonSide(f"B: {replace_surrogates(b)}", {})
    with arguments.open_logs(*(replace(inputs, sources=sources) for sources in sources_of_logs)) as logs:
        write(with_costs(compare(logs, selection, sides, options), arguments.cost_per_minute), target)
        return max(exit_code(log.load_result) for log in logs)
