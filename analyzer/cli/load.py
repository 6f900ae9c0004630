"""`analyzer load`."""

from dataclasses import replace
from pathlib import Path

import click

from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, load_progress, report_input, require_logs, source_options
from analyzer.errors import UsageError


@click.command("load", cls=Command, epilog=exit_help())
@source_options(
    "LOG...",
    "Files, directories, globs, URLs (s3://, gs://, az://, https://), or - for stdin. File types are detected from"
    " content.",
)
@click.option(
    "--into", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.duckdb",
    help="The archive; created if it does not exist.",
)  # fmt: skip
@click.option("--reload-forgotten", is_flag=True, help="Load files again whose events were all forgotten.")
@output_options
def command(inputs: SourceOptions, into: Path, reload_forgotten: bool, output: OutputOptions) -> int:
    """Load logs into an archive, a DuckDB file that answers at once.

    Files are identified by content: loading one again adds nothing. A load that is killed leaves only whole files
    behind; run it again to continue.

    \b
    Examples:
      analyzer load sample_data --into cache.duckdb
      analyzer load sample_data/*.gz sample_data/*.zst --into cache.duckdb --rejects bad.ndjson
    """
    from analyzer.archive.open_log import load_into  # noqa: PLC0415
    from analyzer.questions.load import load  # noqa: PLC0415

    if not inputs.sources:
        raise UsageError("no LOG: name files, directories or globs, or - for stdin")
    target = output.target(inputs, into)
    reading = replace(inputs.read_options(), reload_forgotten=reload_forgotten)
    with load_into(inputs.sources, into, reading, load_progress()) as log:
        report_input(log, inputs.rejects)
        require_logs(log.load_result, inputs)
        write(load(log), target)
        return exit_code(log.load_result)
