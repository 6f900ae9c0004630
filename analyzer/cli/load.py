"""`analyzer load`."""

from pathlib import Path

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, progress, require_logs, source_options, tell
from analyzer.errors import UsageError


@click.command("load", cls=Command, epilog=EXITS)
@source_options("LOG...", "Files, directories, globs, or - for stdin. Formats are found by content.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE.duckdb",
    help="The archive, made where there is none.",
)
@output_options
def command(inputs: SourceOptions, into: Path, output: OutputOptions) -> int:
    """Keep logs in an archive: a DuckDB file that answers at once.

    A file is known by its content: loading it again adds nothing. A load that is killed leaves whole files only; run it
    again to go on.

    \b
    Examples:
      analyzer load sample_data --into cache.duckdb
      analyzer load sample_data/*.gz sample_data/*.zst --into cache.duckdb --rejects bad.ndjson
    """
    from analyzer.archive.opening import loaded  # noqa: PLC0415
    from analyzer.report.load import load  # noqa: PLC0415

    if not inputs.sources:
        raise UsageError("no LOG: name files, directories or globs, or - for stdin")
    if not into.parent.is_dir():
        raise UsageError(f"--into {into}: there is no directory {into.parent}; make it first")
    target = output.target(inputs, into)
    with loaded(inputs.sources, into, inputs.reading(), progress()) as opened:
        tell(opened, inputs.rejects)
        require_logs(opened.intake, inputs)
        write(load(opened), target)
        return code_of(opened.intake)
