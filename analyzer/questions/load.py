"""`load`: the files that were loaded into an archive, and the events, tasks and rejects of each."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from analyzer.archive.accounting import FileReport
from analyzer.archive.open_log import OpenLog
from analyzer.questions.report import Report, account_for
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


def load(log: OpenLog) -> Report:
    """Answer `load`: the table `files`, a row per log; run summaries or metadata of one directory share a row."""
    table = Table("files", FILE_COLUMNS, list(_rows(log.load_result.files)))
    counts = log.loaded_counts()
    return Report("load", account_for(counts, counts.kept), [table], table)


def _rows(files: Sequence[FileReport]) -> Iterator[tuple[object, ...]]:
    for (directory, format_name), group in groupby(files, _row_key):
        reports = list(group)
        if not directory or len(reports) == 1:
            yield from map(_row, reports)
            continue
        new = [report for report in reports if not report.duplicate_of]
        size_bytes, tasks = sum(r.content.size_bytes for r in reports), sum(r.tasks for r in new)
        known = f"{len(reports) - len(new):,} of them already loaded" if len(new) < len(reports) else None
        name = f"{len(reports):,} files in {directory}"
        yield name, format_name, reports[0].compression, size_bytes, 0, 0, 0, 0, tasks, known


def _row_key(report: FileReport) -> tuple[str, str]:
    """Return the directory and format that documents share a row by; for a log, no directory and its own name."""
    return (str(Path(report.name).parent), report.format) if report.format in DOCUMENT_FORMATS else ("", report.name)


def _row(r: FileReport) -> tuple[object, ...]:
    size_bytes = r.content.size_bytes
    events = (r.read, r.kept, r.rejected, r.duplicate)
    return r.name, r.format, r.compression, size_bytes, *events, 0 if r.duplicate_of else r.tasks, r.duplicate_of
