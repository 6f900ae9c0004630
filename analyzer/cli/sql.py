"""`analyzer sql`: runs a query on logs or an archive."""

import click

from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options
from analyzer.errors import UsageError


@click.command("sql", cls=Command, epilog=exit_help())
@source_options("[SOURCE]... SQL")
@output_options
def command(inputs: SourceOptions, output: OutputOptions) -> int:
    """Run a DuckDB SQL query on logs or an archive.

    The relations are events, lookups, sessions, runs, tasks, inputs, artifacts, files and rejects. A query only reads
    them: it cannot access files or the network. CSV, NDJSON and Parquet are written while the query runs.

    \b
    Examples:
      analyzer sql sample_data "SELECT outcome, count(*) FROM lookups GROUP BY ALL ORDER BY ALL"
      analyzer sql sample_data "FROM events" -o events.parquet
      analyzer sql sample_data "DESCRIBE lookups"
    """
    from dataclasses import replace  # noqa: PLC0415

    from analyzer.questions.sql import prepare_query  # noqa: PLC0415

    if len(inputs.sources) < 2:  # noqa: PLR2004  (a source and the query)
        raise UsageError('SOURCE and SQL are required: analyzer sql sample_data "SELECT count(*) FROM events"')
    *sources, text = inputs.sources
    inputs = replace(inputs, sources=tuple(sources))
    target = output.target(inputs)
    with open_source(inputs) as log:
        query = prepare_query(log, text)
        with query.errors(exit_on_second_interrupt=True):
            write(query.report(), target)
        return exit_code(log.load_result)
