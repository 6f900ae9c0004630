"""SOURCE and the options that say how it is read; the same in every command."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import say
from analyzer.cli.completion import files
from analyzer.cli.exits import Exit
from analyzer.cli.files import whole
from analyzer.cli.options import Decorator, gathered, under
from analyzer.errors import UsageError
from analyzer.event import NAMES
from analyzer.readers.source import is_archive

if TYPE_CHECKING:
    from analyzer.archive.file import Intake
    from analyzer.archive.opening import Observer, Opened
    from analyzer.archive.reading import Reading
    from analyzer.archive.view import Purpose

FORMAT_NAMES = ("ndjson", "batches", "array", "requests", "har", "csv", "tsv", "parquet", "runs", "metadata")
ANY_SOURCE = "SOURCE: logs, directories, globs, one archive (*.duckdb), or - for stdin. Formats are found by content."

_option = under("Input")
_OPTIONS = (
    _option("--from", "format", type=click.Choice(FORMAT_NAMES), help="Read every file as this format."),
    _option(
        "--map",
        "columns",
        multiple=True,
        metavar="COLUMN=THEIRS",
        help="The file's name for a column: --map timestamp=created_at. Repeatable.",
    ),
    _option(
        "--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Write all rejects to this NDJSON file."
    ),
    _option("--strict", is_flag=True, help="Fail on the first reject."),
)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the user said of the input."""

    sources: tuple[str, ...]
    format: str | None
    columns: tuple[str, ...]
    rejects: Path | None
    strict: bool

    def reading(self) -> "Reading":
        """Return how files are to be read."""
        from analyzer.archive.reading import Reading  # noqa: PLC0415

        pairs = [_pair(text) for text in self.columns]
        columns = dict(pairs)
        if len(columns) < len(pairs):
            raise UsageError(f"--map {' --map '.join(self.columns)}: a column is given twice; name each once")
        return Reading(self.format, columns, self.strict)


def source_options(metavar: str = "[SOURCE]...", text: str = ANY_SOURCE) -> Decorator:
    """Add SOURCE and its options; the command gets one argument `inputs`."""
    sources = click.argument("sources", nargs=-1, metavar=metavar, help=text, shell_complete=files)
    return gathered("inputs", (sources, *_OPTIONS), [field.name for field in fields(SourceOptions)], SourceOptions)


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not theirs or ours not in NAMES:
        raise UsageError(f"--map {text}: COLUMN=THEIRS is expected, COLUMN one of {', '.join(NAMES)}")
    return ours, theirs


@contextmanager
def open_source(source: SourceOptions, observer: "Observer", purpose: "Purpose") -> Iterator["Opened"]:
    """Open SOURCE, say on stderr what must be said of it, and write the rejects where they were asked for."""
    from analyzer.archive.opening import opened  # noqa: PLC0415

    if not source.sources:
        raise UsageError("no SOURCE: name a log, a directory, a glob, an archive (*.duckdb), or - for stdin")
    with opened(source.sources, source.reading(), observer, purpose) as found:
        tell(found, source.rejects)
        if not is_archive(Path(source.sources[0])):
            require_logs(found.intake, source)
        yield found


def tell(found: "Opened", rejects: Path | None) -> None:
    """Say on stderr what became of the input beyond its plain events, and write the rejects where they are wanted."""
    from analyzer.report.intake import said  # noqa: PLC0415

    intake = found.intake
    for error in intake.errors:
        say.error(error.message)
    for report in intake.files:
        say.detail(
            f"{report.name}: {report.format}, {report.read:,} read, {report.kept:,} kept, {report.rejected:,} rejected"
        )
    for words in said(found):
        say.note(words)
    if rejects:
        _write_rejects(found, rejects)


def _write_rejects(found: "Opened", path: Path) -> None:
    from analyzer.report.intake import REJECTS  # noqa: PLC0415

    keys = ("file", "line", "item", "reason", "text")
    with whole(path) as out:
        cursor = found.connection.execute(REJECTS, {"first": found.first_file_id})
        while batch := cursor.fetchmany(10_000):
            lines = (json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in batch)
            out.writelines(line.encode() for line in lines)


def require_logs(intake: "Intake", source: SourceOptions) -> None:
    """End the command where no log was read at all; what could not be read has been said."""
    from analyzer.report.intake import require_logs as require  # noqa: PLC0415

    if intake.errors and not intake.files:
        raise click.exceptions.Exit(Exit.INPUT)
    require(intake, source.sources)


def code_of(intake: "Intake") -> Exit:
    """Return the exit code: not 0 where a file could not be read."""
    return Exit.INPUT if intake.errors else Exit.OK


def progress() -> "Observer":
    """Return an observer that draws on stderr where that is a terminal."""
    from analyzer.archive.opening import Observer  # noqa: PLC0415

    if say.is_quiet() or not sys.stderr.isatty():
        return Observer()
    from analyzer.cli.progress import Bar  # noqa: PLC0415

    return Bar()
