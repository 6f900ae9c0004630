"""`analyzer sql`: runs a query on logs or an archive."""

from pathlib import Path

import click

from analyzer.cli.completion import complete_files
from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options
from analyzer.errors import Option, UsageError


@click.command("sql", cls=Command, epilog=exit_help())
@source_options("[SOURCE]... SQL")
@click.option(
    "--attach",
    multiple=True,
    metavar="NAME=FILE",
    shell_complete=complete_files,
    help="Add the rows of a CSV or Parquet file as the relation NAME. Repeatable.",
)
@output_options
def command(inputs: SourceOptions, attach: tuple[str, ...], output: OutputOptions) -> int:
    """Run a DuckDB SQL query on logs or an archive.

    The relations are events, lookups, sessions, session_quarters, runs, tasks, inputs, artifacts, files and rejects;
    the relation columns describes them. A query only reads them, and what --attach names: it cannot access other files
    or the network. CSV, NDJSON and Parquet are written while the query runs.

    \b
    Examples:
      analyzer sql sample_data "SELECT outcome, count(*) FROM lookups GROUP BY ALL ORDER BY ALL"
      analyzer sql sample_data "FROM events" -o events.parquet
      analyzer sql sample_data "SELECT name, description FROM columns WHERE relation = 'lookups'"
      analyzer sql sample_data --attach teams=teams.csv "SELECT * FROM sessions JOIN teams USING (team)"
    """
    from dataclasses import replace  # noqa: PLC0415

    from analyzer.questions.sql import prepare_query  # noqa: PLC0415

    if len(inputs.sources) < 2:  # noqa: PLR2004  (a source and the query)
        raise UsageError('SOURCE and SQL are required: analyzer sql sample_data "SELECT count(*) FROM events"')
    *sources, text = inputs.sources
    inputs = replace(inputs, sources=tuple(sources))
    attached = _attached_files(attach)
    target = output.target(inputs, *attached.values())
    with open_source(inputs) as log:
        query = prepare_query(log, text, attached)
        with query.errors(exit_on_second_interrupt=True):
            write(query.report(), target)
        return exit_code(log.load_result)


def _attached_files(values: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of --attach by name, before SOURCE is opened, which may take long."""
    from analyzer.questions.sql import attached_suffix  # noqa: PLC0415

    files = dict[str, Path]()
    for value in values:
        name, separator, path = value.partition("=")
        if not separator or not path:
            raise UsageError(Option("attach", value), ": a name and a file are expected, such as prices=prices.csv")
        if name.lower() in map(str.lower, files):
            raise UsageError(Option("attach", value), f": {name} is the name of another file; choose another name")
        files[name] = Path(path)
        attached_suffix(name, files[name])
        if not files[name].is_file():
            raise UsageError(Option("attach", value), ": no regular file" if files[name].exists() else ": no such file")
    return files
