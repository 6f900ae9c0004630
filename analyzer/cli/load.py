"""`analyzer load`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from analyzer.cli.completion import complete_files
from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import (
    SourceOptions,
    exit_code,
    load_progress,
    open_engine,
    report_input,
    require_logs,
    source_options,
)
from analyzer.errors import UsageError
from analyzer.readers.objects import is_url
from analyzer.readers.storage import open_storage

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog
    from analyzer.archive.staging import ReadOptions
    from analyzer.cluster.divided import Engine


@click.command("load", cls=Command, epilog=exit_help())
@source_options(
    "LOG...",
    "Files, directories, globs, URLs (s3://, gs://, az://, https://), or - for stdin. File types are detected from"
    " content.",
)
@click.option(
    "--into", required=True, metavar="FILE.duckdb|LAKE", shell_complete=complete_files,
    help="The archive; created if it does not exist. With --engine, a lake: a directory or s3://bucket/lake.",
)  # fmt: skip
@click.option("--reload-forgotten", is_flag=True, help="Load files again whose events were all forgotten.")
@click.option(
    "--engine", metavar="ENGINE",
    help="Load into a lake by Apache Spark: local[*], spark://HOST:PORT, or sc://HOST:PORT.",
)  # fmt: skip
@output_options
def command(
    inputs: SourceOptions, into: str, reload_forgotten: bool, engine: str | None, output: OutputOptions
) -> int:  # fmt: skip
    """Load logs into an archive, a DuckDB file that answers at once.

    Files are identified by content: loading one again adds nothing. A load that is killed leaves only whole files
    behind; run it again to continue.

    With --engine, event logs are loaded into a lake on many machines, all of them or none.

    \b
    Examples:
      analyzer load sample_data --into cache.duckdb
      analyzer load sample_data/acme/*.gz sample_data/acme/*.zst --into cache.duckdb --rejects bad.ndjson
    """
    from analyzer.questions.load import load  # noqa: PLC0415

    if not inputs.sources:
        raise UsageError("no LOG: name files, directories or globs, or - for stdin")
    reading = replace(inputs.read_options(), reload_forgotten=reload_forgotten)
    target = output.target(inputs, *(() if engine else (Path(into),)))
    with _open(inputs, into, reading, engine) as log:
        report_input(log, inputs.rejects)
        require_logs(log.load_result, inputs)
        write(load(log), target)
        return exit_code(log.load_result)


@contextmanager
def _open(inputs: SourceOptions, into: str, reading: "ReadOptions", engine: str | None) -> Iterator["OpenLog"]:
    from analyzer.archive.open_log import expand_for_load, load_into  # noqa: PLC0415

    if engine is None:
        if Path(into).is_dir():
            raise UsageError(f"--into {into}: a directory; name a file, or give --engine to load into a lake")
        with load_into(inputs.sources, Path(into), reading, load_progress()) as log:
            yield log
        return
    from analyzer.archive.lake import read_manifest  # noqa: PLC0415
    from analyzer.archive.leftovers import temp_directory  # noqa: PLC0415
    from analyzer.cluster.load import load_into_lake  # noqa: PLC0415

    if reading.reload_forgotten:
        raise UsageError("--reload-forgotten: nothing is forgotten in a lake; leave it out")
    if not is_url(into) and Path(into).is_file():
        raise UsageError(f"--into {into}: a file; with --engine, name a lake: a directory or s3://bucket/lake")
    storage = open_storage(into)
    with temp_directory() as scratch:
        sources = expand_for_load(inputs.sources, scratch)
        read_manifest(storage)  # whether it can be read, before the engine starts, which takes long
        with open_engine(engine) as spark, load_into_lake(sources, storage, reading, cast("Engine", spark)) as log:
            yield log
