"""What `load` answers."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from analyzer.archive.accounting import FileReport
from analyzer.archive.open_log import OpenLog
from analyzer.questions.report import Report, account_for
from analyzer.readers.formats import DOCUMENT_FORMATS
from analyzer.table import BYTES, COUNT, TEXT, Column, Table

FILE_COLUMNS = (
    Column("file", TEXT, "the file, as it was named"),
    Column("format", TEXT, "the format its content shows"),
    Column("compression", TEXT, "the compression its content shows", detail=True),
    Column("size_bytes", BYTES, "its plain bytes, decompressed", detail=True),
    Column("read", COUNT, "events and items in the place of one"),
    Column("kept", COUNT, "events now in the archive"),
    Column("rejected", COUNT, "items that are no valid event"),
    Column("duplicate", COUNT, "events not loaded again, as a file of the same content was loaded before"),
    Column("tasks", COUNT, "tasks of run summaries, now in the archive"),
    Column("duplicate_of", TEXT, "that file", detail=True),
)


def load(log: OpenLog) -> Report:
    """Answer `load`: the table `files`, a row a log; documents of one kind in one directory share a row."""
    table = Table("files", FILE_COLUMNS, list(_rows(log.load_result.files)))
    counts = log.counts_now()
    return Report("load", account_for(counts, counts.kept), [table], table)


def _rows(files: Sequence[FileReport]) -> Iterator[tuple[object, ...]]:
    for (directory, format_name), group in groupby(files, _kind):
        reports = list(group)
        if not directory or len(reports) == 1:
            yield from map(_row, reports)
            continue
        new = [report for report in reports if not report.duplicate_of]
        size_bytes, tasks = sum(r.content.size_bytes for r in reports), sum(r.tasks for r in new)
        known = f"{len(reports) - len(new):,} of them known already" if len(new) < len(reports) else None
        name = f"{len(reports):,} files in {directory}"
        yield name, format_name, reports[0].compression, size_bytes, 0, 0, 0, 0, tasks, known


def _kind(report: FileReport) -> tuple[str, str]:
    """Return what files share a row by: a log has its own, and no directory."""
    return (str(Path(report.name).parent), report.format) if report.format in DOCUMENT_FORMATS else ("", report.name)


def _row(r: FileReport) -> tuple[object, ...]:
    size_bytes = r.content.size_bytes
    events = (r.read, r.kept, r.rejected, r.duplicate)
    return r.name, r.format, r.compression, size_bytes, *events, 0 if r.duplicate_of else r.tasks, r.duplicate_of
