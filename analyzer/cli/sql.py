"""`analyzer sql`."""

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, load_progress, open_source, source_options
from analyzer.errors import UsageError


@click.command("sql", cls=Command, epilog=EXITS)
@source_options("[SOURCE]... SQL")
@output_options
def command(inputs: SourceOptions, output: OutputOptions) -> int:
    """Ask SQL (DuckDB's) of logs or of an archive.

    The relations are events, lookups, sessions, runs, tasks, files and rejects. The query reads; it reaches no file and
    no network.

    \b
    Examples:
      analyzer sql sample_data "SELECT outcome, count(*) FROM lookups GROUP BY ALL ORDER BY ALL"
      analyzer sql sample_data "FROM events" -o events.parquet
      analyzer sql sample_data "DESCRIBE lookups"
    """
    from dataclasses import replace  # noqa: PLC0415

    from analyzer.archive.view import ANY_QUESTION  # noqa: PLC0415
    from analyzer.questions.sql import answer_sql  # noqa: PLC0415

    if len(inputs.sources) < 2:  # noqa: PLR2004  (a source and the query)
        raise UsageError('a SOURCE and SQL are needed: analyzer sql sample_data "SELECT count(*) FROM events"')
    *sources, text = inputs.sources
    inputs = replace(inputs, sources=tuple(sources))
    target = output.target(inputs)
    with open_source(inputs, load_progress(), ANY_QUESTION) as log:
        write(answer_sql(log, text), target)
        return exit_code(log.load_result)
