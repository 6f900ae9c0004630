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
from analyzer.errors import InputError, UsageError
from analyzer.event import NAMES
from analyzer.readers.source import is_archive

if TYPE_CHECKING:
    from analyzer.archive.file import FileReport, Intake
    from analyzer.archive.opening import Observer, Opened
    from analyzer.archive.reading import Reading
    from analyzer.archive.view import Purpose

FORMAT_NAMES = ("ndjson", "batches", "array", "requests", "har", "csv", "tsv", "parquet", "runs", "metadata")
ANY_SOURCE = "SOURCE: logs, directories, globs, one archive (*.duckdb), or - for stdin. Formats are found by content."
FIRST_TOLD = 3
REJECTS = """
SELECT f.name, line, item, reason, text FROM store.reject JOIN store.file f ON f.id = file_id WHERE file_id >= $first
"""

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

        return Reading(self.format, dict(map(_pair, self.columns)), self.strict)


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
    """Say on stderr what became of the input beyond its plain events."""
    intake = found.intake
    for error in intake.errors:
        say.error(error.message)
    for report in intake.files:
        say.detail(
            f"{report.name}: {report.format}, {report.read:,} read, {report.kept:,} kept, {report.rejected:,} rejected"
        )
        for text in report.notes:
            say.note(f"{report.name}: {text}")
    _tell_duplicates([report for report in intake.files if report.duplicate_of])
    if intake.skipped:
        more = f" and {len(intake.skipped) - 1:,} more files" if len(intake.skipped) > 1 else ""
        say.note(f"skipped, as no event log: {intake.skipped[0]}{more}")
    if intake.dry_runs:
        count = len(intake.dry_runs)
        say.note(f"{count:,} dry run{'s' * (count > 1)} ignored, as nothing was run: {intake.dry_runs[0]}")
    if intake.same_runs:
        say.note(
            f"run summaries whose id is known by another summary, which is the one that counts: {intake.same_runs:,}"
        )
    _tell_rejects(found, rejects)


def _tell_duplicates(again: "list[FileReport]") -> None:
    """Say which files were known by their content; of many, the first."""
    from analyzer.readers.formats import DOCUMENTS  # noqa: PLC0415

    for report in again[:FIRST_TOLD]:
        known = f"the same content as {report.duplicate_of}" if report.duplicate_of != report.name else "known already"
        what = f"its {report.read:,} events count once" if report.format not in DOCUMENTS else "it counts once"
        say.note(f"{report.name}: {known}; {what}")
    if len(again) > FIRST_TOLD:
        say.note(f"so are {len(again) - FIRST_TOLD:,} more files")


def _tell_rejects(found: "Opened", path: Path | None) -> None:
    from analyzer.archive.faults import place_of  # noqa: PLC0415

    counts = found.counts_now() if found.first_file_id else found.counts()
    query, parameters = REJECTS, {"first": found.first_file_id}
    if counts.rejected:
        say.note(
            f"{counts.rejected:,} of {counts.read:,} events rejected" + ("" if path else "; --rejects FILE lists all")
        )
        rows = found.connection.execute(f"{query} LIMIT {FIRST_TOLD}", parameters).fetchall()
        for file, line, item, reason, text in rows:
            say.note(f"  {place_of(file, line, item)}: {reason}: {' '.join(text.split())}")
    if path:
        with whole(path) as out:
            cursor = found.connection.execute(query, parameters)
            while batch := cursor.fetchmany(10_000):
                keys = ("file", "line", "item", "reason", "text")
                lines = (json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in batch)
                out.writelines(line.encode() for line in lines)


def require_logs(intake: "Intake", source: SourceOptions) -> None:
    """End the command where no log was read at all: an answer about nothing would look like one."""
    if intake.files:
        return
    if intake.errors:
        raise click.exceptions.Exit(Exit.INPUT)
    named = ", ".join(source.sources)
    if intake.dry_runs:
        raise InputError(f"only dry runs in {named}, which run nothing; name event logs, or summaries of real runs")
    raise InputError(f"no event log in {named}; name files, directories or globs that hold some")


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
