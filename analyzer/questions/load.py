"""`load`: reports the files that were loaded. Also the notes on loading that every command gives."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.open_log import OpenLog
from analyzer.archive.rejects import format_place
from analyzer.errors import InputError, Message, Option
from analyzer.questions.report import Report
from analyzer.readers.formats import DOCUMENT_FORMATS
from analyzer.table import BYTES, COUNT, TEXT, Column, Table

FILE_COLUMNS = (
    Column("file", TEXT, "path of the file, or how many files of a directory the row is about"),
    Column("format", TEXT, "format, detected from the content"),
    Column("compression", TEXT, "compression, detected from the content", detail=True),
    Column("size_bytes", BYTES, "size after decompression", detail=True),
    Column("read", COUNT, "events read, valid or not"),
    Column("kept", COUNT, "events added to the archive"),
    Column("rejected", COUNT, "items that are not valid events"),
    Column("duplicate", COUNT, "events skipped because a file with the same content was loaded before"),
    Column("tasks", COUNT, "tasks of run summaries added to the archive"),
    Column("duplicate_of", TEXT, "the file with the same content", detail=True),
)

MAX_LISTED = 3  # duplicate files, and rejected events, that notes describe one by one
# The rejects of the files from id `first` on, as rows (file, line, item, reason, text).
REJECTS = """
SELECT f.name, line, item, reason, text FROM store.reject JOIN store.file f ON f.id = file_id WHERE file_id >= $first
"""


def load(log: OpenLog) -> Report:
    """Answer `load`: the table `files`, a row per log; run summaries or metadata of one directory share a row."""
    table = Table("files", FILE_COLUMNS, list(_rows(log.load_result.files)))
    return Report("load", log.loaded_counts(), [table], table)


def _rows(files: Sequence[FileReport]) -> Iterator[tuple[object, ...]]:
    for (directory, format_name), group in groupby(files, _row_key):
        reports = list(group)
        if not directory or len(reports) == 1:
            yield from map(_row, reports)
            continue
        new = [report for report in reports if not report.duplicate_of]
        size_bytes, tasks = sum(report.size_bytes for report in reports), sum(report.tasks for report in new)
        known = f"{len(reports) - len(new):,} of them already loaded" if len(new) < len(reports) else None
        name = f"{len(reports):,} files in {directory}"
        yield name, format_name, reports[0].compression, size_bytes, 0, 0, 0, 0, tasks, known


def _row_key(report: FileReport) -> tuple[str, str]:
    """Return the directory and format of a document; of a log, no directory and its own name."""
    return (str(Path(report.name).parent), report.format) if report.format in DOCUMENT_FORMATS else ("", report.name)


def _row(report: FileReport) -> tuple[object, ...]:
    file = (report.name, report.format, report.compression, report.size_bytes)
    events = (report.read, report.kept, report.rejected, report.accounting.duplicate)
    return *file, *events, 0 if report.duplicate_of else report.tasks, report.duplicate_of


def require_logs(result: LoadResult, sources: Sequence[str]) -> None:
    """Raise InputError if no log was read: an answer of zeros would look like one about an empty log."""
    if result.files:
        return
    if result.errors:
        raise result.errors[0]
    names = ", ".join(sources)
    if result.dry_runs:
        raise InputError(f"{names}: only dry runs, which run no task; name event logs or summaries of real runs")
    reason = ("; ", result.skip_reasons[0]) if result.skip_reasons else ()
    raise InputError(f"{names}: no event log found; name files, directories or globs that contain one", *reason)


def load_notes(log: OpenLog) -> list[str]:
    """Return the notes on loading: on files, duplicates and rejects. Unreadable files are in `load_result.errors`."""
    result = log.load_result
    notes: list[str] = [Message(f"{report.name}: ", text) for report in result.files for text in report.notes]
    notes += _duplicate_notes([report for report in result.files if report.duplicate_of])
    if result.skipped:
        notes.append(f"skipped (not an event log): {_first_name(result.skipped)}")
    if result.dry_runs:
        notes.append(f"ignored (a dry run, which runs no task): {_first_name(result.dry_runs)}")
    if result.duplicate_runs:
        notes.append(f"run summaries ignored (another has the same run id): {result.duplicate_runs:,}")
    if result.covered_lookups:
        derived = f"{result.covered_lookups:,} lookups derived from access logs are left out"
        notes.append(f"{derived}: events report the same team and time")
    return [*notes, *_reject_notes(log)]


def _first_name(names: Sequence[str]) -> str:
    others = len(names) - 1
    return names[0] + (f" and {others:,} more file{'s' * (others > 1)}" if others else "")


def _duplicate_notes(duplicates: Sequence[FileReport]) -> Iterator[str]:
    for report in duplicates[:MAX_LISTED]:
        if report.forgotten:
            nouns = "runs" if report.format in DOCUMENT_FORMATS else "events"
            part = "all" if report.is_gone else f"{report.forgotten:,}"
            text = f"{report.name}: not loaded again: {part} of its {nouns} were forgotten; "
            loads = " loads it" if report.is_gone else " loads only files of which nothing is left"
            yield Message(text, Option("reload_forgotten"), loads)
            continue
        same = f"the same content as {report.duplicate_of}" if report.duplicate_of != report.name else "already loaded"
        effect = "it counts once" if report.format in DOCUMENT_FORMATS else f"its {report.read:,} events count once"
        yield f"{report.name}: {same}; {effect}"
    if len(duplicates) > MAX_LISTED:
        yield f"{len(duplicates) - MAX_LISTED:,} more files are duplicates too"


def _reject_notes(log: OpenLog) -> Iterator[str]:
    # After loading into an archive, only the new files are reported, not all that it contains.
    counts = log.loaded_counts() if log.first_file_id else log.counts()
    if not counts.rejected:
        return
    yield Message(f"{counts.rejected:,} of {counts.read:,} events rejected; ", Option("rejects"), " lists all")
    rows = log.connection.execute(f"{REJECTS} LIMIT {MAX_LISTED}", {"first": log.first_file_id}).fetchall()
    for file, line, item, reason, text in rows:
        yield f"  {format_place(file, line, item)}: {reason}: {' '.join(text.split())}"
