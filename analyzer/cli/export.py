"""`analyzer export`."""

import click

from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options


@click.command("export", cls=Command, epilog=exit_help())
@source_options()
@click.option("--to", "place", required=True, metavar="LAKE", help="A directory, or a bucket: s3://bucket/lake.")
@output_options
def command(inputs: SourceOptions, place: str, output: OutputOptions) -> int:
    """Export logs, or an archive, to a lake: Parquet files by day and team, which other programs read too.

    A lake is a SOURCE, in a directory or a bucket (s3://bucket/lake). An export makes it equal to its own SOURCE, and
    writes only what has changed. Readers see all of an export or nothing of it.

    \b
    Examples:
      analyzer export sample_data --to lake
      analyzer misses lake --team web --last 30d
    """
    from analyzer.questions.export import export  # noqa: PLC0415
    from analyzer.readers.storage import open_storage  # noqa: PLC0415

    target = output.target(inputs)
    storage = open_storage(place)
    with open_source(inputs, "events", directories=(storage.root,)) as log:
        write(export(log, storage), target)
        return exit_code(log.load_result)
