"""`analyzer forget`."""

from datetime import datetime
from pathlib import Path

import click

from analyzer.cli.console import Exit, exit_help
from analyzer.cli.filters import Time
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write


@click.command("forget", cls=Command, epilog=exit_help())
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False), metavar="ARCHIVE")
@click.option("--before", type=Time(), required=True, help="Forget what is older: ISO 8601, or 36h, 7d, 4w before now.")
@click.option("--execute", is_flag=True, help="Remove it; without this, only show what would go.")
@output_options
def command(archive: Path, before: datetime, execute: bool, output: OutputOptions) -> int:
    """Remove what is older than a date from an archive, and make its file smaller.

    A lookup goes as a whole, by the time of its first event. Names go with their last use. The files that were loaded
    stay known: load does not add them again.

    \b
    Examples:
      analyzer forget cache.duckdb --before 2026-09-01
      analyzer forget cache.duckdb --before 52w --execute
    """
    from analyzer.questions.forget import forget_before  # noqa: PLC0415

    target = output.target(None, archive)
    write(forget_before(archive, before, execute=execute), target)
    return Exit.OK
