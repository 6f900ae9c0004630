"""What `load` answers."""

from analyzer.archive.opening import Opened
from analyzer.report.report import Report, account
from analyzer.table import BYTES, COUNT, TEXT, Heading, Table

FILE_COLUMNS = (
    Heading("file", TEXT, "the file, as it was named"),
    Heading("format", TEXT, "the format its content shows"),
    Heading("compression", TEXT, "the compression its content shows", detail=True),
    Heading("size_bytes", BYTES, "its plain bytes, decompressed", detail=True),
    Heading("read", COUNT, "events and items in the place of one"),
    Heading("kept", COUNT, "events now in the archive"),
    Heading("rejected", COUNT, "items that are no valid event"),
    Heading("duplicate", COUNT, "events not loaded again, as a file of the same content was loaded before"),
    Heading("duplicate_of", TEXT, "that file", detail=True),
)


def load(opened: Opened) -> Report:
    """Answer `load`: the table `files`, a row a file."""
    rows = [
        (r.name, r.format, r.compression, r.content.size_bytes, r.read, r.kept, r.rejected, r.duplicate, r.duplicate_of)
        for r in opened.intake.files
    ]
    table = Table("files", FILE_COLUMNS, rows)
    counts = opened.counts_now()
    return Report("load", account(counts, counts.kept), [table], table)
